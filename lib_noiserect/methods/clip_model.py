"""CLIP models for the scorers and the evaluation: features of images and texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.errors import UserError, need

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


class ScorerError(UserError):
    """A model that scores images is unavailable; the message names the missing part and the remedy."""


@dataclass(frozen=True)
class ClipModel:
    """A loaded CLIP model."""

    model: Any  # has `encode_image` and `encode_text`, both to `[N, D]`
    tokenize: Callable[[list[str]], Any]  # from texts to the input of `encode_text`
    image_size: int  # images are `[N, 3, image_size, image_size]`, prepared with `whole`
    mean: tuple[float, float, float] = OPENAI_MEAN  # of each channel in [0, 1]
    std: tuple[float, float, float] = OPENAI_STD
    device: str = "cpu"
    whole: bool = False

    def images(self, images: Sequence[Pixels]) -> Floats:
        """Features of images `[H, W, 3]` uint8 of any size, `[N, D]` of length 1."""
        import torch

        mean, std = (np.reshape(values, (3, 1, 1)) for values in (self.mean, self.std))
        batch = [(prepare(image, self.image_size, whole=self.whole) - mean) / std for image in images]
        with torch.inference_mode():
            return _unit(self.model.encode_image(torch.from_numpy(np.stack(batch)).float().to(self.device)))

    def texts(self, texts: Sequence[str]) -> Floats:
        """Features of texts, `[N, D]` of length 1."""
        import torch

        with torch.inference_mode():
            return _unit(self.model.encode_text(self.tokenize(list(texts)).to(self.device)))


def open_clip_model(name: str, weights: Path, device: str, purpose: str, *, whole: bool = False) -> ClipModel:
    """The model `name` of open_clip, such as `ViT-L-14`, with weights from a file of tensors alone; nothing is downloaded.

    Raises `MissingPackageError` without open_clip, for which messages name the `purpose`, and `ScorerError` if it is too
    old, lacks the model, or would download the model's text tower.
    """
    open_clip = need("open_clip", "open_clip_torch", purpose)
    if int(open_clip.__version__.split(".")[0]) < 3:  # older versions lack `weights_only`
        raise ScorerError(
            f"open_clip_torch {open_clip.__version__} is too old for {purpose}: run  python -m pip install -U open_clip_torch"
        )
    config = open_clip.get_model_config(name)
    if config is None:
        raise ScorerError(f"model = {name!r} is unknown: see open_clip.list_models()")
    if {"hf_model_name", "hf_tokenizer_name"} & set(config["text_cfg"]):
        raise ScorerError(f"model = {name!r} downloads its text model: use one that does not, for example ViT-L-14")
    model = open_clip.create_model(name, pretrained=str(Path(weights).resolve()), device=device, weights_only=True)
    visual = model.visual
    size = visual.image_size
    return ClipModel(
        model=model.eval(),
        tokenize=open_clip.get_tokenizer(name),
        image_size=size if isinstance(size, int) else size[0],
        mean=tuple(visual.image_mean or OPENAI_MEAN),
        std=tuple(visual.image_std or OPENAI_STD),
        device=device,
        whole=whole,
    )


def prepare(pixels: Pixels, size: int, *, whole: bool = False) -> Floats:
    """An image `[H, W, 3]` uint8 as CLIP's input, `[3, size, size]` in [0, 1].

    Its shorter side becomes `size` (bicubic), and its middle is cut out; if `whole`, its longer side, filled up with black.
    """
    image = need("PIL.Image", "Pillow", "CLIP")
    height, width = pixels.shape[:2]
    if whole:
        scale = size / max(height, width)
        shape = (max(round(width * scale), 1), max(round(height * scale), 1))
    else:  # rounded as in torchvision
        shape = (size * width // min(height, width), size * height // min(height, width))
    resized = image.fromarray(pixels).resize(shape, image.Resampling.BICUBIC)
    # Outside the image it is black.
    left, top = (math.ceil((side - size) / 2) if whole else round((side - size) / 2) for side in shape)
    prepared: Floats = np.asarray(resized.crop((left, top, left + size, top + size))).transpose(2, 0, 1) / 255.0
    return prepared


def _unit(features: Any) -> Floats:
    rows = features.double().cpu().numpy()
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
