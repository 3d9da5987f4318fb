"""Loads a video pipeline, the built-in one or another, and sets its sampler."""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import safe_open

from ..core.devices import device_named
from .schedulers import PipelineError

BUILT_IN = Path(__file__).parents[1] / "tiny" / "model"

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm++ 2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "final_sigmas_type": "zero"}),
    "dpm++ 2m karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "final_sigmas_type": "zero"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "dpm++ sde": ("DPMSolverSDEScheduler", {}),
    "dpm++ 2m sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "final_sigmas_type": "zero"}),
    "ddpm": ("DDPMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
"""The samplers by their common names: the scheduler's class, and its changes of the model's configuration."""

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load(
    model: str | None = None,
    motion_adapter: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    config: str | None = None,
) -> Any:
    """A text-to-video pipeline: the built-in one, or `model` with a motion adapter if it needs one.

    Only safetensors are read. Raises `PipelineError` for a model that cannot be loaded or that makes no videos.

    Args:
        model, motion_adapter: a folder, a hub id, or a .safetensors file as web UIs have them.
        device: as `core.devices.device_named` takes it, which raises `UserError` for one that is not there.
        precision: one of `PRECISIONS`; None is fp16 on a GPU for all models but the built-in one, and else fp32.
        config: of a checkpoint file: a diffusers folder or hub id of the same kind of model, whose weights are not read.
            Without it, diffusers asks the hub for the kind that the file seems to be of.
    """
    place = device_named(device)
    if precision is None:
        precision = "fp32" if model is None or place.type == "cpu" else "fp16"
    if precision not in PRECISIONS:
        raise PipelineError(f"precision = {precision!r} is unknown: use {', '.join(PRECISIONS)}")
    options: dict[str, Any] = {"torch_dtype": PRECISIONS[precision], "use_safetensors": True}
    for name in filter(None, (model, motion_adapter)):
        if Path(name).suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
            raise PipelineError(f"{name} may hold code: use a .safetensors file")
    is_file = model is not None and _is_file(model)
    if config is not None and not is_file:
        raise PipelineError("--config is for a checkpoint: leave it out, or use a .safetensors file as --model")
    if is_file and motion_adapter is None:
        raise PipelineError(f"{model} is an image model: give --motion-adapter with it")
    try:
        with _quiet():
            if model is None:
                pipe = diffusers.AnimateDiffPipeline.from_pretrained(BUILT_IN, **options)
            elif motion_adapter is None:
                pipe = diffusers.DiffusionPipeline.from_pretrained(model, **options)
            else:
                adapter, read = _adapter(motion_adapter, options), _animatediff_class(model)
                if is_file:
                    pipe = read.from_single_file(model, motion_adapter=adapter, config=config, **options)
                else:
                    pipe = read.from_pretrained(model, motion_adapter=adapter, **options)
    except PipelineError:
        raise
    except Exception as error:  # damaged files raise errors of every kind in diffusers, transformers and safetensors
        if isinstance(error, LocalEntryNotFoundError) and is_file and config is None:
            raise PipelineError(
                f"model {model} needs its configuration, and the hub cannot be reached: "
                "give --config, a diffusers folder of the same kind of model (such as Stable Diffusion 1.5)"
            ) from error
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PipelineError(f"model {model or BUILT_IN} failed to load: {first_line}") from error
    if type(pipe).__name__ in ("StableDiffusionPipeline", "StableDiffusionXLPipeline"):
        raise PipelineError(f"{model} is an image model: give --motion-adapter with it")
    pipe.to(place)
    return pipe


def _is_file(name: str) -> bool:
    return name.lower().endswith(".safetensors")


def _shapes(path: str) -> dict[str, list[int]]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118  # not a dict


def _adapter(name: str, options: dict[str, Any]) -> Any:
    """The motion modules of a folder, a hub id, or a file of AnimateDiff's own, whose shapes are its configuration."""
    if not _is_file(name):
        return diffusers.MotionAdapter.from_pretrained(name, **options)
    shapes = _shapes(name)
    found = [re.match(r"down_blocks\.(\d+)\.motion_modules\.(\d+)\.", key) for key in shapes]
    places = {(int(match[1]), int(match[2])) for match in found if match}
    encoders = [shape for key, shape in shapes.items() if key.endswith("pos_encoder.pe")]
    if not places or not encoders:
        raise PipelineError(f"{name} holds no motion modules of AnimateDiff: use another file")
    norm = "down_blocks.{}.motion_modules.0.temporal_transformer.norm.weight"
    adapter: Any = diffusers.MotionAdapter(
        block_out_channels=tuple(shapes[norm.format(block)][0] for block in range(max(places)[0] + 1)),
        motion_layers_per_block=max(module for _, module in places) + 1,
        motion_max_seq_length=encoders[0][1],
        use_motion_mid_block=any(key.startswith("mid_block.") for key in shapes),
    )
    with tempfile.TemporaryDirectory() as folder:
        adapter.save_config(folder)
        return diffusers.MotionAdapter.from_single_file(name, config=folder, torch_dtype=options["torch_dtype"])


def _animatediff_class(model: str) -> Any:
    if _is_file(model):
        is_xl = any(key.startswith("conditioner.embedders.1.") for key in _shapes(model))
    else:
        is_xl = "XL" in str(diffusers.DiffusionPipeline.load_config(model).get("_class_name"))
    return diffusers.AnimateDiffSDXLPipeline if is_xl else diffusers.AnimateDiffPipeline


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and advice inside the block."""
    from transformers.utils import logging as transformers_logging

    loggers = [diffusers.utils.logging, transformers_logging]
    levels = [library.get_verbosity() for library in loggers]
    for library in loggers:
        library.set_verbosity(logging.CRITICAL)  # errors are raised too
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # `torch_dtype` has become `dtype`, which older versions do not know.
            warnings.filterwarnings("ignore", message=".*torch_dtype", category=FutureWarning)
            yield
    finally:
        for library, level in zip(loggers, levels, strict=True):
            library.set_verbosity(level)
            library.enable_progress_bar()


def use_sampler(pipe: Any, name: str) -> None:
    """Set the pipeline's sampler, with the model's noise levels. Raises `PipelineError` for a name not in `SAMPLERS`."""
    if name not in SAMPLERS:
        raise PipelineError(f"sampler = {name!r} is unknown: use one of {', '.join(SAMPLERS)}")
    class_name, changes = SAMPLERS[name]
    pipe.scheduler = getattr(diffusers, class_name).from_config(pipe.scheduler.config, **changes)


def native_size(pipe: Any) -> tuple[int, int]:
    """The width and height in pixels of the pipeline's videos by default. Raises `PipelineError` where it has none."""
    parameters = inspect.signature(type(pipe).__call__).parameters
    width, height = (getattr(parameters.get(name), "default", None) for name in ("width", "height"))
    if isinstance(width, int) and isinstance(height, int):  # Stable Video Diffusion is no square, unlike its model's size
        return width, height
    model = getattr(pipe, "unet", None) or pipe.transformer
    scale = getattr(pipe, "vae_scale_factor", None) or pipe.vae_scale_factor_spatial
    size = getattr(model.config, "sample_size", None) or getattr(model.config, "sample_width", None)
    if size is None:
        raise PipelineError(f"{type(pipe).__name__} has no default size: give --width and --height")
    return int(size) * scale, int(size) * scale


def most_frames(pipe: Any) -> int | None:
    """The length of the longest video for the pipeline's motion modules; None where there is no such limit."""
    adapter = getattr(pipe, "motion_adapter", None)
    if adapter is None or getattr(pipe, "free_noise_enabled", False):
        return None
    return int(adapter.config.motion_max_seq_length)
