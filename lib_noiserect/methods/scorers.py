"""Scorers for I4VGen's candidates: models that measure how well an image follows a prompt.

Nothing is downloaded. Weights come from huggingface_hub's cache; if they are missing, the message has the command that
downloads them. Files with more than tensors are not loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..core.errors import need
from ..core.settings import SCORERS
from .clip_model import ClipModel, ScorerError, open_clip_model

if TYPE_CHECKING:
    from PIL import Image

# Measures how well images follow a prompt: a number for each, higher is better.
Score: TypeAlias = "Callable[[Sequence[Image.Image], str], Sequence[float]]"


@dataclass(frozen=True)
class Scorer:
    """A scorer whose model is loaded."""

    score: Score


def load_scorer(name: str, device: str = "cpu") -> Scorer | None:
    """A scorer with its model on `device`; None for `model` and `pick`, which need no other model.

    Load it before the candidates are made, so that a missing part costs nothing. Raises `MissingPackageError`, and
    `ScorerError` if the name is unknown, or the weights are missing or more than tensors.
    """
    if name not in SCORERS:
        raise ScorerError(f"scorer = {name!r} is unknown: use {', '.join(SCORERS)}")
    if name in ("model", "pick"):
        return None
    try:
        if name == "imagereward":
            return Scorer(_imagereward(device))
        return Scorer(_pickscore(device) if name == "pickscore" else _open_clip(name, device))
    except pickle.UnpicklingError as error:
        raise ScorerError(
            f"the weights of the scorer {name} hold more than tensors and are not loaded: download them again"
        ) from error


# The model, the repository of its weights and their file.
_OPEN_CLIP = {
    "clip": ("ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai", "open_clip_model.safetensors"),
    # With open_clip itself: the package hpsv2 has a copy of it, and loads its weights unsafely.
    "hpsv2": ("ViT-H-14", "xswu/HPSv2", "HPS_v2.1_compressed.pt"),
}


def _open_clip(name: str, device: str) -> Score:
    purpose = f"the scorer {name}"
    need("open_clip", "open_clip_torch", purpose)
    model, repository, file = _OPEN_CLIP[name]
    (weights,) = _weights(name, repository, file)
    return _similarity(open_clip_model(model, weights, device, purpose, whole=name == "hpsv2"))


def _pickscore(device: str) -> Score:
    transformers = need("transformers", "transformers", "the scorer pickscore")
    files = ("config.json", "model.safetensors", "tokenizer_config.json", "vocab.json", "merges.txt")
    folder = _weights("pickscore", "yuvalkirstain/PickScore_v1", *files)[0].parent
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval().to(device)
    longest = model.config.text_config.max_position_embeddings

    def tokenize(texts: list[str]) -> Any:
        return tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")

    def features(output: Any) -> Any:
        return getattr(output, "pooler_output", output)  # transformers 5 wraps them in an object

    as_open_clip = SimpleNamespace(
        encode_image=lambda images: features(model.get_image_features(pixel_values=images)),
        encode_text=lambda tokens: features(model.get_text_features(**tokens)),
    )
    clip_model = ClipModel(as_open_clip, tokenize, model.config.vision_config.image_size, device=device)
    return _similarity(clip_model, float(model.logit_scale.detach().exp()))


def _similarity(clip_model: ClipModel, scale: float = 1.0) -> Score:
    """The cosine of image and prompt, times `scale`."""

    def score(images: Sequence[Image.Image], prompt: str) -> Sequence[float]:
        pixels = [np.asarray(image.convert("RGB")) for image in images]
        similarities = clip_model.images(pixels) @ clip_model.texts([prompt])[0]
        return [scale * float(value) for value in similarities]

    return score


def _imagereward(device: str) -> Score:
    if importlib.util.find_spec("ImageReward") is None:
        need("ImageReward", "image-reward", "the scorer imagereward")
    try:
        ImageReward = importlib.import_module("ImageReward.ImageReward").ImageReward
    except Exception as error:  # its packages have changed since, and any error may come of it
        raise ScorerError(
            f"image-reward fails to load ({error}), since its packages are newer: install it in a separate environment with  "
            "python -m pip install image-reward clip-anytorch 'transformers<4.45' 'diffusers<0.32'"
        ) from error
    weights, configuration = _weights("imagereward", "THUDM/ImageReward", "ImageReward.pt", "med_config.json")
    _weights("imagereward", "bert-base-uncased", "tokenizer_config.json", "vocab.txt")
    import torch

    model = ImageReward(device=device, med_config=str(configuration)).to(device)
    absent, _ = model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=False)
    missing = sorted({parameter for parameter, _ in model.named_parameters()} & set(absent))
    if missing:
        raise ScorerError(f"{weights} has no {missing[0]} (and {len(missing) - 1} others): download it again")
    model.eval()

    def score(images: Sequence[Image.Image], prompt: str) -> Sequence[float]:
        with torch.inference_mode():
            _, rewards = model.inference_rank(prompt, list(images))
        return [float(reward) for reward in np.atleast_1d(rewards)]  # for one image it is a number

    return score


def _weights(scorer: str, repository: str, *files: str) -> list[Path]:
    """The paths of a repository's files in huggingface_hub's cache. Raises `ScorerError` for a missing file."""
    hub = need("huggingface_hub", "huggingface_hub", f"the scorer {scorer}")
    paths = [hub.try_to_load_from_cache(repository, file) for file in files]
    missing = [file for file, path in zip(files, paths) if not isinstance(path, str)]
    if missing:
        raise ScorerError(
            f"the scorer {scorer} needs {', '.join(missing)} of {repository}, which is not in the cache: run  python -c "
            f"\"from huggingface_hub import snapshot_download as get; get('{repository}', allow_patterns={list(files)})\""
        )
    return [Path(path) for path in paths]
