"""The scores of the paper's Table 1, by a CLIP model: fidelity to the picture, steadiness from frame to frame, the caption.

Nothing is downloaded: the weights are a file that the user has, and both its name and the model's stand in the results.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import EvaluationError, need
from .metrics import Floats, Pixels
from .store import Value


@dataclass(frozen=True)
class ClipModel:
    """A CLIP model that is loaded: it has `encode_image` and `encode_text`, both to `[N, D]`.

    `tokenize` gives a list of texts as what `encode_text` takes. Images go in as `[N, 3, image_size, image_size]`,
    normalised by `mean` and `std` of each channel in 0 … 1.
    """

    model: Any
    tokenize: Callable[[list[str]], Any]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    device: str = "cpu"


@dataclass(frozen=True)
class ClipScorer:
    """Scores clips as `runner.run` wants it; small, so that it can travel to a worker, which loads the model once.

    `model` is an open_clip name such as `ViT-L-14` (for OpenAI's weights `ViT-L-14-quickgelu`), `weights` its local file.

    Raises:
        EvaluationError: there is no such file, or the model's name would fetch something from the network.
    """

    model: str
    weights: Path
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not Path(self.weights).is_file():
            raise EvaluationError(f"weights = {self.weights} is not a file: give the weights of {self.model}")
        if ":" in self.model:
            raise EvaluationError(
                f"model = {self.model!r} would be looked up online: give the name of a built-in model"
            )

    def __call__(self, clip: Pixels, picture: Pixels, caption: str) -> dict[str, Value]:
        scores: dict[str, Value] = {**clip_scores(load(self), clip, picture, caption)}
        return {**scores, "clip_model": self.model, "clip_weights": Path(self.weights).name}


@functools.lru_cache(maxsize=1)
def load(scorer: ClipScorer) -> ClipModel:
    """The model of a scorer, through open_clip, with weights that hold tensors alone.

    Raises:
        EvaluationError: open_clip has no such model, or the model's text tower would be downloaded.
        MissingPackageError: open_clip is not installed.
    """
    open_clip = need("open_clip", "open_clip_torch")
    config = open_clip.get_model_config(scorer.model)
    if config is None:
        raise EvaluationError(f"model = {scorer.model!r} is unknown: see open_clip.list_models()")
    if {"hf_model_name", "hf_tokenizer_name"} & set(config["text_cfg"]):
        raise EvaluationError(f"model = {scorer.model!r} downloads its text model: use one that is whole, as ViT-L-14")
    model = open_clip.create_model(
        scorer.model, pretrained=str(Path(scorer.weights).resolve()), device=scorer.device, weights_only=True
    )
    visual = model.visual
    size = visual.image_size
    return ClipModel(
        model=model.eval(),
        tokenize=open_clip.get_tokenizer(scorer.model),
        image_size=size if isinstance(size, int) else size[0],
        mean=tuple(visual.image_mean or open_clip.OPENAI_DATASET_MEAN),
        std=tuple(visual.image_std or open_clip.OPENAI_DATASET_STD),
        device=scorer.device,
    )


def clip_scores(clip_model: ClipModel, clip: Pixels, picture: Pixels, caption: str) -> dict[str, float]:
    """The mean cosines of a clip's frames, 1 where equal, as the paper's Table 1 has them (there in hundredths).

    `image_fidelity`: with the picture. `temporal_coherence`: with the next frame. `text_alignment`: with the caption.

    Args:
        clip: `[F, H, W, 3]` uint8, of at least two frames.
        picture: `[h, w, 3]` uint8, of any size.
    """
    images = _unit(_encode_images(clip_model, [*clip, picture]))
    frames, wanted = images[:-1], images[-1]
    text = _unit(_encode_text(clip_model, caption))[0]
    return {
        "image_fidelity": float((frames @ wanted).mean()),
        "temporal_coherence": float((frames[:-1] * frames[1:]).sum(axis=1).mean()),
        "text_alignment": float((frames @ text).mean()),
    }


def prepare(pixels: Pixels, size: int) -> Floats:
    """A picture as CLIP takes it: shorter side to `size` (bicubic), the middle cut out, `[3, size, size]` in 0 … 1."""
    image = need("PIL.Image", "Pillow")
    height, width = pixels.shape[:2]
    scale = size / min(height, width)
    shape = (max(round(width * scale), size), max(round(height * scale), size))
    resized = np.asarray(image.fromarray(pixels).resize(shape, image.Resampling.BICUBIC))
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    prepared: Floats = resized[top : top + size, left : left + size].transpose(2, 0, 1) / 255.0
    return prepared


def _encode_images(clip_model: ClipModel, pictures: list[Pixels]) -> Any:
    import torch

    mean, std = (np.reshape(values, (3, 1, 1)) for values in (clip_model.mean, clip_model.std))
    batch = np.stack([(prepare(picture, clip_model.image_size) - mean) / std for picture in pictures])
    with torch.inference_mode():
        return clip_model.model.encode_image(torch.from_numpy(batch).float().to(clip_model.device))


def _encode_text(clip_model: ClipModel, caption: str) -> Any:
    import torch

    with torch.inference_mode():
        return clip_model.model.encode_text(clip_model.tokenize([caption]).to(clip_model.device))


def _unit(features: Any) -> Floats:
    """Rows of length 1, `[N, D]`."""
    rows = features.double().cpu().numpy()
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
