"""Models that see the picture beside the noised clip, as DynamiCrafter's and SVD's do: its latent joined to every frame."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..core.keyframes import Keyframes
from ..core.noise_levels import to_x0, vp
from ..methods.analytic_init import Statistics
from .animation import load
from .latents import clip_pixels, encode_clip
from .schedulers import KINDS, PipelineError, read
from .start_time import begin, start_late

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
        self.of_picture = copy.deepcopy(own)
        self.of_picture.register_parameter("bias", None)
        nn.init.zeros_(self.of_picture.weight)
        self.condition: Tensor | None = None
        """The condition latents: `[1, C, H, W]` for all rows of a batch (its frames included), or one for each row."""

    def forward(self, rows: Tensor) -> Tensor:
        if self.condition is None:
            raise PipelineError("this model needs a picture: call it inside `conditioned_on(pipe, picture)`")
        if len(self.condition) not in (1, len(rows)):
            raise PipelineError(
                f"condition has {len(self.condition)} pictures for {len(rows)} frames: give one, or as many"
            )
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
        remedy = "the installed package leaves them out, copy lib_noiserect/tiny/conditioned from the repository"
        if training not in TRAININGS:
            remedy = f"use {', '.join(TRAININGS)} or a file that training/condition.py wrote"
        raise PipelineError(f"there are no weights at {file}: {remedy}")
    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise PipelineError(
            f"{file} could not be read ({error}): give a file that training/condition.py wrote"
        ) from error
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
    pixels = torch.from_numpy(picture).movedim(-1, 0)[None].to(pipe.device) / 127.5 - 1
    with torch.no_grad():
        latent = encode_clip(pipe.vae, pixels)
    conv_in.condition = latent
    try:
        yield latent
    finally:
        conv_in.condition = None


@contextmanager
def starting_at(pipe: Any, start_time: float) -> Iterator[None]:
    """Inside, denoising starts at timestep M·T - 1 with all its steps; M = 1 changes nothing.

    Raises:
        PipelineError: the scheduler cannot begin there.
    """
    scheduler = pipe.scheduler
    if start_time < 1.0:
        late = copy.deepcopy(scheduler)
        start_late(late, start_time)
        set_timesteps = late.set_timesteps

        @functools.wraps(set_timesteps)
        def set_late_timesteps(*args: Any, **kwargs: Any) -> None:
            set_timesteps(*args, **kwargs)
            begin(late, scheduler, start_time)

        late.set_timesteps = set_late_timesteps
        pipe.scheduler = late
    try:
        yield
    finally:
        pipe.scheduler = scheduler


def animate_conditioned(
    pipe: Any,
    picture: NDArray[np.uint8],
    prompt: str,
    *,
    start_time: float = 1.0,
    statistics: Statistics | None = None,
    steps: int = 25,
    guidance: float = 1.0,
    frames: int = 8,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """The clip, `[F, H, W, 3]` uint8, of a picture `[H, W, 3]` uint8 that the model sees at every step.

    The same seed gives the same noise whatever the start.

    Args:
        pipe: of `load_conditioned`.
        start_time: M; the paper's start time.
        statistics: what the start is drawn from (the paper's analytic initialisation). None is the standard normal
            distribution, the paper's plain start.
        guidance: the scale of classifier-free guidance, with respect to the prompt; 1 is none.

    Raises:
        PipelineError, SettingsError: the pipeline, the picture, the start or the statistics do not fit each other.
    """
    height, width = picture.shape[:2]
    generator = torch.Generator().manual_seed(seed)
    with conditioned_on(pipe, picture) as clean, starting_at(pipe, start_time):
        shape = (frames, 1, *clean.shape[1:])
        noise = torch.randn(shape, generator=generator).to(clean)
        if statistics is not None:
            keys = Keyframes((0,), frames)
            statistics.check(shape[2:], keys, float(pipe.vae.config.scaling_factor))
            pipe.scheduler.set_timesteps(steps)
            level, _ = read(pipe.scheduler, pipe.scheduler.timesteps[0])
            drawn = level.a * clean + level.s * statistics.noise(clean.expand(shape), noise, level, keys)
            noise = drawn / float(pipe.scheduler.init_noise_sigma)
        made = pipe(
            prompt=prompt,
            num_frames=frames,
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            latents=noise.movedim(0, 2),
            output_type="np",
        ).frames
    return clip_pixels(made)


@torch.no_grad()
def predicted_clean(pipe: Any, latents: Tensor, picture: Tensor, timestep: int, prompt: str, noise: Tensor) -> Tensor:
    """What the model takes a noised clip for, at once: D, with the shape of `latents`.

    Args:
        latents, noise: of the clip, `[1, C, F, h, w]`.
        picture: the latent of the picture that the model sees, `[1, C, h, w]`.
        timestep: t, from 0 to T - 1.
    """
    level = vp(float(pipe.scheduler.alphas_cumprod[timestep]))
    mixed = level.a * latents + level.s * noise
    text, _ = pipe.encode_prompt(prompt, pipe.device, 1, do_classifier_free_guidance=False)
    texts = text.repeat_interleave(latents.shape[2], dim=0)
    pipe.unet.conv_in.condition = picture
    try:
        output = pipe.unet(mixed, torch.tensor(timestep, device=pipe.device), texts).sample
    finally:
        pipe.unet.conv_in.condition = None
    return to_x0(KINDS[pipe.scheduler.config.prediction_type], output, mixed, level)
