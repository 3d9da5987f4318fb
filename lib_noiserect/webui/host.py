"""The differences between the web UIs that AnimateDiff runs in, each with its reason.

AUTOMATIC1111 has one network, and AnimateDiff puts its motion modules into it for the length of a job. Forge and reForge
leave the network as it is and patch a copy of its options for each sampling, `forge_objects`; their AnimateDiff does the
same. The attributes that are there decide, never a version number.
"""

from __future__ import annotations

import inspect
import marshal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.stand_in import replaced

if TYPE_CHECKING:
    from torch import Tensor

WORKING = "AUTOMATIC1111 1.8.0 to 1.10.1, Forge 0.0.17 and the branch main-old of reForge"


def animatediff_extension() -> Any:
    """The entry of the active AnimateDiff in the web UI's list of extensions, also where it did not load; or None.

    On Forge 2 it fails at import, since the modules that it imports are missing, and the web UI goes on without it.
    """
    from modules import extensions

    return next((entry for entry in extensions.active() if (Path(entry.path) / "scripts/animatediff.py").is_file()), None)


def noise_modules(sampler: Callable[..., Any]) -> list[ModuleType]:
    """The modules through whose `torch` a sampler function may draw noise.

    Forge and reForge have copies of k-diffusion, in `ldm_patched` and `k_diff`, whose samplers draw through them.
    """
    names = [name for name in sys.modules if name.endswith("k_diffusion.sampling")]
    names.append(inspect.unwrap(sampler).__module__)
    return [sys.modules[name] for name in dict.fromkeys(names) if hasattr(sys.modules.get(name), "torch")]


def is_img2img(p: Any) -> bool:
    """Whether a job has an image."""
    return hasattr(p, "init_images")


@contextmanager
def levels_restored_after_error(sd_model: Any) -> Iterator[None]:
    """After an error in the block, give the model the noise levels that it had before.

    Forge puts AnimateDiff's levels into the network around the sampling, and an error skips the code that takes them out:
    the next job, a plain one too, would run with them. In AUTOMATIC1111 AnimateDiff's own restoration does it.
    """
    if not hasattr(sd_model, "forge_objects"):
        yield
        return
    levels, alphas_cumprod = sd_model.forge_objects.unet.model.model_sampling, sd_model.alphas_cumprod
    sigmas = levels.sigmas.clone()
    try:
        yield
    except Exception:
        sd_model.alphas_cumprod = alphas_cumprod
        levels.set_sigmas(sigmas)
        raise


def blends_softly(denoiser: Any) -> bool:
    """Whether scripts may change the blend of a protected area at each step.

    Forge 0.0.17 calls that hook after the last step only: its soft inpainting blends hard until then.
    """
    functions = (value for owner in type(denoiser).__mro__ for value in vars(owner).values() if hasattr(value, "__code__"))
    # A function's code in bytes has the names that it and the functions inside it look up.
    return any(b"on_mask_blend" in marshal.dumps(function.__code__) for function in functions)


def show(error: Exception) -> None:
    """Have the page show an error that is about to be raised.

    In Forge 0.0.17 and reForge a job of the page runs as a task of another thread, whose errors end in the console. The page
    reads the task's result, None, as the list of its outputs and shows the error of that instead. So the result becomes an
    object that raises this error when it is read. Forge 2 keeps the error and shows it.
    """
    main_thread = sys.modules.get("modules_forge.main_thread")
    work = getattr(getattr(main_thread, "Task", None), "work", None)
    if work is None or hasattr(main_thread, "last_exception"):
        return
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not work.__code__:
        frame = frame.f_back
    if frame is not None:
        frame.f_locals["self"].result = _Failed(error)


class _Failed:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __iter__(self) -> Iterator[Any]:
        raise self._error


def control_hints(p: Any) -> Iterator[Tensor]:
    """The images of a job's ControlNet units: of the extension's script, or of Forge's patched network."""
    for script in p.scripts.alwayson_scripts:
        for control in getattr(getattr(script, "latest_network", None), "control_params", None) or []:
            yield getattr(control, "hint_cond", None)
    objects = getattr(p.sd_model, "forge_objects", None)
    for network in objects.unet.list_controlnets() if objects is not None else []:
        yield getattr(network, "cond_hint_original", None)


def begin_sampling(p: Any, **kwargs: Any) -> None:
    """Call the scripts' hook before a sampling (from 1.10 on, and in Forge), as the host's `p.sample` does.

    In Forge scripts patch the network there, AnimateDiff too; they begin with a copy that has the LoRAs alone.
    """
    objects = getattr(p.sd_model, "forge_objects_after_applying_lora", None)
    if objects is not None:
        from modules import sd_models

        p.sd_model.forge_objects = objects.shallow_copy()
        sd_models.apply_token_merging(p.sd_model, p.get_token_merging_ratio())
    if hasattr(p.scripts, "process_before_every_sampling"):
        p.scripts.process_before_every_sampling(p=p, **kwargs)


@contextmanager
def network_ready(sd_model: Any, x: Tensor) -> Iterator[None]:
    """Inside the block the network is on the device, for calls with latents like `x`, as Forge's samplers make sure."""
    objects = getattr(sd_model, "forge_objects", None)
    if objects is None:
        yield
        return
    from modules_forge.forge_sampler import sampling_cleanup, sampling_prepare

    sampling_prepare(objects.unet, x=x)
    try:
        yield
    finally:
        sampling_cleanup(objects.unet)


@contextmanager
def answers_told(denoiser: Any, sd_model: Any, tell: Callable[[Tensor, Tensor], None]) -> Iterator[bool]:
    """Inside the block `tell` gets the predictions with the prompt and with the negative prompt, before guidance.

    Yields whether these are clean latents with every sampler, as in Forge; else they are of the sampler's own kind.
    """
    objects = getattr(sd_model, "forge_objects", None)
    if objects is None:
        combine = denoiser.combine_denoised

        def combine_told(x_out: Tensor, conds_list: Any, uncond: Any, cond_scale: float) -> Any:
            tell(x_out[[conds[0][0] for conds in conds_list]], x_out[-len(conds_list) :])
            return combine(x_out, conds_list, uncond, cond_scale)

        with replaced(denoiser, combine_denoised=combine_told):
            yield False
        return

    def guided(answer: dict[str, Any]) -> Any:
        tell(answer["cond_denoised"], answer["uncond_denoised"])
        return answer["denoised"]

    unet = objects.unet.clone()
    unet.set_model_sampler_post_cfg_function(guided, disable_cfg1_optimization=True)
    with replaced(objects, unet=unet):
        yield True
