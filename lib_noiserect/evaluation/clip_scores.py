"""The scores of the paper's Table 1, by a CLIP model: similarity to the image, from frame to frame, and to the caption.

Nothing is downloaded: the weights are the user's file, whose name stands in the results beside the model's.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..media.metrics import Pixels
from ..methods.clip_model import ClipModel, open_clip_model


@dataclass(frozen=True)
class ClipScorer:
    """Scores videos; small, so that it can travel to a worker, which loads the model once.

    Raises `UserError` if the file is missing, or the model's name would fetch something from the network.
    """

    model: str  # an open_clip name such as `ViT-L-14` (for OpenAI's weights `ViT-L-14-quickgelu`)
    weights: Path
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.weights.is_file():
            raise UserError(f"weights = {self.weights} is not a file: give the weights of {self.model}")
        if ":" in self.model:
            raise UserError(f"model = {self.model!r} would be looked up online: give the name of a built-in model")

    @property
    def names(self) -> dict[str, str]:
        """What the results say of the model."""
        return {"clip_model": self.model, "clip_weights": self.weights.name}

    def __call__(self, video: Pixels, image: Pixels, caption: str) -> dict[str, float | str]:
        return {**clip_scores(load(self), video, image, caption), **self.names}


@functools.lru_cache(maxsize=1)
def load(scorer: ClipScorer) -> ClipModel:
    """The model of a scorer, through open_clip, with weights that hold tensors alone.

    Raises `UserError` if open_clip is not installed, has no such model, or would download the model's text tower.
    """
    return open_clip_model(scorer.model, scorer.weights, scorer.device, "the evaluation")


def clip_scores(clip_model: ClipModel, video: Pixels, image: Pixels, caption: str) -> dict[str, float]:
    """The mean cosines of a video's frames, `[F, H, W, 3]` uint8, 1 where equal; the paper's Table 1 has hundredths.

    `image_fidelity`: with the image of any size. `temporal_coherence`: with the next frame. `text_alignment`: with the text.
    """
    features = clip_model.images([*video, image])
    frames, target = features[:-1], features[-1]
    text = clip_model.texts([caption])[0]
    return {
        "image_fidelity": float((frames @ target).mean()),
        "temporal_coherence": float((frames[:-1] * frames[1:]).sum(axis=1).mean()),
        "text_alignment": float((frames @ text).mean()),
    }
