"""Models that see the picture beside the noised clip, as DynamiCrafter's and SVD's do: its latent joined to every frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .animate import load
from .levels import PipelineError

FOLDER = Path(__file__).parents[1] / "tiny" / "conditioned"
Training: TypeAlias = Literal["plain", "timenoise"]
TRAININGS: tuple[Training, ...] = get_args(Training)
"""How the built-in conditioned models were trained: with the clean picture, or with `methods.timenoise` on it."""


class PictureConv(nn.Module):
    """A model's first convolution with the condition's channels beside its own.

    A convolution of joined channels is the sum of two convolutions. Written so, the model's number of channels stays what
    pipelines and schedulers take it for, and its own weights keep their names' meaning. The new weights are 0 at first:
    the model is then what it was.
    """

    def __init__(self, own: nn.Conv2d) -> None:
        super().__init__()
        self.own = own
        self.of_picture = nn.Conv2d(
            own.in_channels, own.out_channels, own.kernel_size, own.stride, own.padding, bias=False  # type: ignore[arg-type]
        ).to(own.weight)
        nn.init.zeros_(self.of_picture.weight)
        self.condition: Tensor | None = None
        """The condition latents: `[1, C, H, W]` for all rows of a batch (its frames included), or one for each row."""

    def forward(self, rows: Tensor) -> Tensor:
        if self.condition is None:
            raise PipelineError("this model needs a picture: call it inside `conditioned_on(pipe, picture)`")
        if len(self.condition) not in (1, len(rows)):
            raise PipelineError(f"condition has {len(self.condition)} pictures for {len(rows)} frames: give one, or as many")
        seen: Tensor = self.own(rows) + self.of_picture(self.condition.to(rows))
        return seen


def widen(unet: Any) -> PictureConv:
    """Gives a UNet the condition's channels, in place; what it computes does not change by that."""
    if not isinstance(unet.conv_in, PictureConv):
        unet.conv_in = PictureConv(unet.conv_in)
    widened: PictureConv = unet.conv_in
    return widened


def changed_weights(unet: Any) -> dict[str, nn.Parameter]:
    """What the training of the conditioned models changes: first and last layers, outermost blocks, motion modules.

    The rest, which is two thirds of the model and works at half and at a quarter of the size, stays the image model's, as
    in PIA; so a conditioned model is a small file beside the built-in one.
    """
    outermost = ("conv_in.", "down_blocks.0.", f"up_blocks.{len(unet.up_blocks) - 1}.", "conv_norm_out.", "conv_out.")
    return {
        name: parameter
        for name, parameter in unet.named_parameters()
        if name.startswith(outermost) or ".motion_modules." in name
    }


def save_changed(unet: Any, file: Path) -> None:
    """Writes `changed_weights` in half precision."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.detach().half().contiguous() for name, weight in changed_weights(unet).items()}, file)


def load_conditioned(training: str | Path = "timenoise", device: str | None = None) -> Any:
    """The built-in model's image-conditioned sibling: an `AnimateDiffPipeline` to be called inside `conditioned_on`.

    Args:
        training: one of `TRAININGS`, or a file that `save_changed` wrote.

    Raises:
        PipelineError: no such file, or one of another model.
    """
    file = FOLDER / f"{training}.safetensors" if training in TRAININGS else Path(training)
    if not file.is_file():
        raise PipelineError(
            f"there are no weights at {file}: give {', '.join(TRAININGS)} or a file that training/condition.py wrote"
        )
    weights = load_file(file)
    pipe = load(device=device)
    widen(pipe.unet)
    wanted = changed_weights(pipe.unet)
    if weights.keys() != wanted.keys() or any(weights[name].shape != wanted[name].shape for name in wanted):
        raise PipelineError(f"{file} has weights of another model: give a file that training/condition.py wrote")
    with torch.no_grad():
        for name, weight in wanted.items():
            weight.copy_(weights[name])
    return pipe


@contextmanager
def conditioned_on(pipe: Any, picture: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Inside, calls of the pipeline see the picture; gives its clean latent, `[1, C, H, W]`.

    Args:
        pipe: of `load_conditioned`.
        picture: `[H, W, 3]` uint8, in the size of the clips.

    Raises:
        PipelineError: the pipeline's model has no place for a picture, or this is no picture.
    """
    conv_in = pipe.unet.conv_in
    if not isinstance(conv_in, PictureConv):
        raise PipelineError(f"{type(pipe.unet).__name__} has no channels for a picture: load it with load_conditioned")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise PipelineError(f"picture is {picture.dtype} of shape {picture.shape}: give uint8, [H, W, 3]")
    pixels = torch.from_numpy(picture).movedim(-1, 0)[None].to(pipe.device, pipe.vae.dtype) / 127.5 - 1
    with torch.no_grad():
        latent = pipe.vae.encode(pixels).latent_dist.mode() * pipe.vae.config.scaling_factor
    conv_in.condition = latent
    try:
        yield latent
    finally:
        conv_in.condition = None
