"""Image-conditioned models, such as DynamiCrafter and SVD: the image's latent is an input beside each noised frame."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.noise_levels import noised, to_x0, vp
from lib_noiserect.core.settings import Settings
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines.latents import encode_video, video_pixels
from lib_noiserect.pipelines.loading import load
from lib_noiserect.pipelines.rectification import rectified
from lib_noiserect.pipelines.schedulers import KINDS, PipelineError, read
from lib_noiserect.pipelines.start_time import starting_late

FOLDER = Path(__file__).with_name("conditioned")
PLAIN_WEIGHTS = FOLDER / "plain.safetensors"
"""The weights of the model that was trained on clean images. training/condition.py makes the others."""


class PictureConv(nn.Module):
    """A model's first convolution, with more channels for the condition.

    A convolution of joined channels is the sum of two convolutions. As a sum, it leaves the model's number of channels
    and the names of its weights alone. The new weights start at 0, which changes nothing.
    """

    def __init__(self, own: nn.Conv2d) -> None:
        super().__init__()
        self.own = own
        self.of_picture = copy.deepcopy(own)
        self.of_picture.register_parameter("bias", None)
        nn.init.zeros_(self.of_picture.weight)
        self.condition: Tensor | None = None
        """The condition latents: `[1, C, H, W]` for all rows of a batch (frames are rows too), or one per row."""

    def forward(self, rows: Tensor) -> Tensor:
        if self.condition is None:
            raise PipelineError("this model needs an image: call it inside `conditioned_on(pipe, image)`")
        if len(self.condition) not in (1, len(rows)):
            raise PipelineError(
                f"condition has {len(self.condition)} images for {len(rows)} frames: use one, or one per frame"
            )
        joined: Tensor = self.own(rows) + self.of_picture(self.condition.to(rows))
        return joined


def widen(unet: Any) -> PictureConv:
    """Add the condition's channels to a UNet in place; its output stays the same."""
    if not isinstance(unet.conv_in, PictureConv):
        unet.conv_in = PictureConv(unet.conv_in)
    widened: PictureConv = unet.conv_in
    return widened


def changed_weights(unet: Any) -> dict[str, nn.Parameter]:
    """The weights that the training of a conditioned model changes: outermost layers and blocks, and motion modules.

    The rest, two thirds of the model, stays the image model's, as in PIA: a conditioned model is a small file beside it.
    """
    outermost = ("conv_in.", "down_blocks.0.", f"up_blocks.{len(unet.up_blocks) - 1}.", "conv_norm_out.", "conv_out.")
    return {
        name: parameter
        for name, parameter in unet.named_parameters()
        if name.startswith(outermost) or ".motion_modules." in name
    }


def save_changed(unet: Any, file: Path) -> None:
    """Write `changed_weights` to a file, in half precision."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.detach().half().contiguous() for name, weight in changed_weights(unet).items()}, file)


def load_conditioned(file: Path = PLAIN_WEIGHTS, device: str | None = None) -> Any:
    """The built-in model's image-conditioned sibling, an `AnimateDiffPipeline`; call it inside `conditioned_on`.

    Args:
        file: as `save_changed` writes it.

    Raises:
        PipelineError: the file is missing, or has the weights of another model.
    """
    if not file.is_file():
        command = "python training/condition.py --work WORK_FOLDER --out FOLDER"
        raise PipelineError(f"{file} is missing: train it by `{command}` (45 minutes), and add --conditioned FOLDER")
    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise PipelineError(f"{file} is unreadable ({error}): use a file that training/condition.py wrote") from error
    pipe = load(device=device)
    widen(pipe.unet)
    expected = changed_weights(pipe.unet)
    if weights.keys() != expected.keys() or any(weights[name].shape != expected[name].shape for name in expected):
        raise PipelineError(f"{file} has the weights of another model: use a file that training/condition.py wrote")
    with torch.no_grad():
        for name, weight in expected.items():
            weight.copy_(weights[name])
    return pipe


@contextmanager
def conditioned_on(pipe: Any, picture: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Condition the pipeline's model on an image inside the block; yields the image's clean latent, `[1, C, h, w]`.

    Args:
        pipe: of `load_conditioned`.
        picture: `[H, W, 3]` uint8, in the size of the videos.

    Raises:
        PipelineError: the model has no channels for an image, or `picture` has another shape or type.
    """
    conv_in = pipe.unet.conv_in
    if not isinstance(conv_in, PictureConv):
        raise PipelineError(f"{type(pipe.unet).__name__} has no channels for an image: load it with load_conditioned")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise PipelineError(f"the image is {picture.dtype} of shape {picture.shape}: use uint8 [H, W, 3]")
    pixels = torch.from_numpy(picture).movedim(-1, 0)[None].to(pipe.device) / 127.5 - 1
    with torch.no_grad():
        latent = encode_video(pipe.vae, pixels)
    conv_in.condition = latent
    try:
        yield latent
    finally:
        conv_in.condition = None


def animate_conditioned(
    pipe: Any,
    picture: NDArray[np.uint8],
    prompt: str,
    *,
    settings: Settings | None = None,
    start_time: float = 1.0,
    statistics: Statistics | None = None,
    steps: int = 25,
    guidance: float = 1.0,
    frames: int = 8,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """A video, `[F, H, W, 3]` uint8, of an image `[H, W, 3]` uint8 that the model sees at every step.

    The same seed gives the same noise for all settings, start times and statistics.

    Args:
        pipe: of `load_conditioned`.
        settings: of a rectification, which starts from the noised image; None is noise alone, and no rectification.
        start_time: M, the paper's start time.
        statistics: the video statistics for the initial noise (the paper's Analytic-Init); None is standard normal noise.
        guidance: the scale of classifier-free guidance for the prompt; 1 is none.

    Raises:
        PipelineError, SettingsError: pipeline, image, start time and statistics do not fit each other.
    """
    height, width = picture.shape[:2]
    generator = torch.Generator().manual_seed(seed)
    start: AbstractContextManager[Any]
    if settings is None:
        start = starting_late(pipe, start_time)
    else:
        start = rectified(pipe, picture, replace(settings, start_time=start_time), statistics=statistics)
    with conditioned_on(pipe, picture) as clean, start:
        shape = (frames, 1, *clean.shape[1:])
        noise = torch.randn(shape, generator=generator).to(clean)
        if settings is None and statistics is not None:
            keys = Keyframes((0,), frames)
            statistics.check(shape[2:], keys, float(pipe.vae.config.scaling_factor))
            pipe.scheduler.set_timesteps(steps)
            level, _ = read(pipe.scheduler, pipe.scheduler.timesteps[0])
            noised_image = noised(clean, statistics.noise(clean.expand(shape), noise, level, keys), level)
            noise = noised_image / float(pipe.scheduler.init_noise_sigma)
        video = pipe(
            prompt=prompt,
            num_frames=frames,
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            latents=noise.movedim(0, 2),
            output_type="np",
        ).frames
    return video_pixels(video)


@torch.no_grad()
def predicted_clean(pipe: Any, latents: Tensor, picture: Tensor, timestep: int, prompt: str, noise: Tensor) -> Tensor:
    """The clean latent D that the model predicts for a noised video in one call, in the shape of `latents`.

    Args:
        latents, noise: of the video, `[1, C, F, h, w]`.
        picture: the latent of the image that the model sees, `[1, C, h, w]`.
        timestep: t, from 0 to T - 1.
    """
    level = vp(float(pipe.scheduler.alphas_cumprod[timestep]))
    mixed = noised(latents, noise, level)
    text, _ = pipe.encode_prompt(prompt, pipe.device, 1, do_classifier_free_guidance=False)
    texts = text.repeat_interleave(latents.shape[2], dim=0)
    pipe.unet.conv_in.condition = picture
    try:
        output = pipe.unet(mixed, torch.tensor(timestep, device=pipe.device), texts).sample
    finally:
        pipe.unet.conv_in.condition = None
    return to_x0(KINDS[pipe.scheduler.config.prediction_type], output, mixed, level)


def speedy_times(count: int, frames: int, seed: int, *, speed: float | None = None) -> Tensor:
    """When the frames of clips are that have a speed each, `[count, frames]` for `Scenes.render`.

    At speed 1 a clip goes from 0 to 1, whatever its frames; at 0 it stands still. Each is somewhere within [0, 1].

    Args:
        speed: of all clips; one for each, uniform in [0, 1), by default.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand((2, count, 1), generator=generator)
    speeds = drawn[0] if speed is None else torch.full((count, 1), speed)
    return drawn[1] * (1 - speeds) + speeds * torch.linspace(0, 1, frames)
