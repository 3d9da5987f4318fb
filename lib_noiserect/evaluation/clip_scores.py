"""The scores of the paper's Table 1, by a CLIP model: fidelity to the picture, steadiness from frame to frame, the caption.

Nothing is downloaded: the weights are a file that the user has, and both its name and the model's stand in the results.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from ..media.metrics import Pixels
from ..methods.clip_model import ClipModel, ClipModelError, open_clip_model
from .errors import EvaluationError
from .store import Value


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
    try:
        return open_clip_model(scorer.model, scorer.weights, scorer.device, "the evaluation")
    except ClipModelError as error:
        raise EvaluationError(str(error)) from error


def clip_scores(clip_model: ClipModel, clip: Pixels, picture: Pixels, caption: str) -> dict[str, float]:
    """The mean cosines of a clip's frames, 1 where equal, as the paper's Table 1 has them (there in hundredths).

    `image_fidelity`: with the picture. `temporal_coherence`: with the next frame. `text_alignment`: with the caption.

    Args:
        clip: `[F, H, W, 3]` uint8, of at least two frames.
        picture: `[h, w, 3]` uint8, of any size.
    """
    images = clip_model.pictures([*clip, picture])
    frames, wanted = images[:-1], images[-1]
    text = clip_model.texts([caption])[0]
    return {
        "image_fidelity": float((frames @ wanted).mean()),
        "temporal_coherence": float((frames[:-1] * frames[1:]).sum(axis=1).mean()),
        "text_alignment": float((frames @ text).mean()),
    }
