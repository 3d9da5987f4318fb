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
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ..core.errors import UserError, need
from ..core.settings import SCORERS
from .clip_model import ClipModel, ClipModelError, open_clip_model

if TYPE_CHECKING:
    from PIL import Image


class Scorer(Protocol):
    """Measures how well images follow a prompt: a number for each, higher is better."""

    def score(self, images: Sequence[Image.Image], prompt: str) -> Sequence[float]: ...


Score: TypeAlias = "Callable[[Sequence[Image.Image], str], Sequence[float]]"


class ScorerError(UserError):
    """The scorer is unavailable; the message names the missing part and the remedy."""


def load_scorer(name: str, device: str = "cpu") -> Scorer | None:
    """A scorer with its model on `device`; None for `model` and `pick`, which need no other model.

    Load it before the candidates are made, so that a missing part costs nothing.

    Raises:
        ScorerError: the name is unknown, or the weights are missing or more than tensors.
        MissingPackageError: a package is not installed.
    """
    if name not in SCORERS:
        raise ScorerError(f"scorer = {name!r} is unknown: use {', '.join(SCORERS)}")
    if name not in _LOADED:
        return None
    try:
        return _LOADED[name](device)
    except ClipModelError as error:
        raise ScorerError(str(error)) from error
    except pickle.UnpicklingError as error:
        raise ScorerError(
            f"the weights of the scorer {name} hold more than tensors and are not loaded: download them again"
        ) from error


def _clip(device: str) -> Scorer:
    repository = "timm/vit_large_patch14_clip_224.openai"
    return _open_clip("clip", "ViT-L-14-quickgelu", repository, "open_clip_model.safetensors", device)


def _hpsv2(device: str) -> Scorer:
    """With open_clip itself: the package hpsv2 has a copy of it, and loads its weights unsafely."""
    return _open_clip("hpsv2", "ViT-H-14", "xswu/HPSv2", "HPS_v2.1_compressed.pt", device, whole=True)


def _open_clip(scorer: str, model: str, repository: str, file: str, device: str, *, whole: bool = False) -> Scorer:
    need("open_clip", "open_clip_torch", f"the scorer {scorer}")
    (weights,) = _weights(scorer, repository, file)
    return _Similarity(open_clip_model(model, weights, device, f"the scorer {scorer}", whole=whole))


def _pickscore(device: str) -> Scorer:
    transformers = need("transformers", "transformers", "the scorer pickscore")
    files = ("config.json", "model.safetensors", "tokenizer_config.json", "vocab.json", "merges.txt")
    folder = _weights("pickscore", "yuvalkirstain/PickScore_v1", *files)[0].parent
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    longest = model.config.text_config.max_position_embeddings

    def tokenize(texts: list[str]) -> Any:
        return tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")

    size = model.config.vision_config.image_size
    clip_model = ClipModel(_AsOpenClip(model.eval().to(device)), tokenize, size, device=device)
    return _Similarity(clip_model, float(model.logit_scale.detach().exp()))


def _imagereward(device: str) -> Scorer:
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
    parameters = {parameter for parameter, _ in model.named_parameters()}
    missing = sorted(parameters & set(absent))
    if missing:
        raise ScorerError(f"{weights} has no {missing[0]} (and {len(missing) - 1} others): download it again")
    model.eval()
    return _Reward(model)


_LOADED: dict[str, Callable[[str], Scorer]] = {
    "imagereward": _imagereward,
    "clip": _clip,
    "pickscore": _pickscore,
    "hpsv2": _hpsv2,
}


class _AsOpenClip:
    """A CLIP model of transformers with the interface of open_clip."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def encode_image(self, images: Any) -> Any:
        return _features(self.model.get_image_features(pixel_values=images))

    def encode_text(self, tokens: Any) -> Any:
        return _features(self.model.get_text_features(**tokens))


def _features(output: Any) -> Any:
    """The features; transformers 5 wraps them in an object."""
    return getattr(output, "pooler_output", output)


@dataclass(frozen=True)
class _Similarity:
    """The cosine of image and prompt, times `scale`."""

    clip_model: ClipModel
    scale: float = 1.0

    def score(self, images: Sequence[Image.Image], prompt: str) -> Sequence[float]:
        pixels = [np.asarray(image.convert("RGB")) for image in images]
        similarities = self.clip_model.images(pixels) @ self.clip_model.texts([prompt])[0]
        return [self.scale * float(value) for value in similarities]


@dataclass(frozen=True)
class _Reward:
    """ImageReward's model."""

    model: Any

    def score(self, images: Sequence[Image.Image], prompt: str) -> Sequence[float]:
        import torch

        with torch.inference_mode():
            _, rewards = self.model.inference_rank(prompt, list(images))
        return [float(reward) for reward in np.atleast_1d(rewards)]  # for one image it is a number


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
