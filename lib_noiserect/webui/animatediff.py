"""The AnimateDiff extension in one job: its options, its motion modules, and their restoration."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from ..core.stand_in import replaced
from . import host
from .errors import NoiseRectificationError


@contextmanager
def restored_after_error(p: Any) -> Iterator[None]:
    """After an error, take the motion modules out of the UNet: the host then skips AnimateDiff's own `postprocess`."""
    try:
        yield
    except Exception:
        with suppress(NoiseRectificationError):  # there is no AnimateDiff
            AnimateDiff.find(p).restore(p)
        raise


class AnimateDiff:
    """AnimateDiff's part in one job.

    Its script is found by title, since users rename folders. Its classes exist twice in a running web UI, for the script
    loader and for imports, so `isinstance` tells nothing.
    """

    def __init__(self, script: Any, params: Any) -> None:
        self.script = script
        self.params = params  # its argument: an object, or still the dict of a request

    @classmethod
    def find(cls, p: Any) -> AnimateDiff:
        """Raises `NoiseRectificationError` if AnimateDiff is not installed, not active or did not load."""
        for script in getattr(p.scripts, "alwayson_scripts", []):
            if str(script.title()).strip().lower() == "animatediff":
                return cls(script, next(iter(p.script_args[script.args_from : script.args_to]), None))
        extension = host.animatediff_extension()
        if extension is not None:
            raise NoiseRectificationError(
                f"AnimateDiff ({extension.name}) failed to load: see its message in the console. Supported: {host.WORKING}"
            )
        raise NoiseRectificationError(
            "the AnimateDiff extension is not installed or not active: install sd-webui-animatediff "
            "(in Forge and reForge sd-forge-animatediff), or turn off Noise Rectification"
        )

    def option(self, name: str, default: Any = None) -> Any:
        """An option of this job."""
        params = self.params
        return params.get(name, default) if isinstance(params, dict) else getattr(params, name, default)

    @property
    def context(self) -> int:
        """Frames that AnimateDiff computes together; 0 if it does not say."""
        return int(self.option("batch_size") or 0)

    @property
    def video_length(self) -> int:
        """Frames of the video; 0 for one whole context."""
        return int(self.option("video_length") or 0)

    @property
    def motion_module(self) -> Any:
        """The object that puts the motion modules into the UNet: a global of the script's own file."""
        return inspect.unwrap(type(self.script).before_process).__globals__.get("motion_module")

    @property
    def patches(self) -> bool:
        """Whether it patches the network for each sampling, as in Forge, instead of changing it for the length of the job.

        That version also pads the shorter of prompt and negative prompt, and accepts any batch of the two; the other fails on
        both.
        """
        return not hasattr(self.motion_module, "mm_injected")

    @property
    def is_ready(self) -> bool:
        """Whether the motion module is in the network, or loaded if it patches that, before the job's image is encoded."""
        if not self.patches:
            return bool(self.motion_module.mm_injected)
        loaded = getattr(self.motion_module, "mm", None)
        return loaded is not None and self.option("model") in (None, loaded.mm_name)

    @contextmanager
    def watched(self, denoiser: Any) -> Iterator[None]:
        """Refuse the job after its first model call if that called no motion module.

        Nothing else tells: reForge's branch main accepts AnimateDiff's patches and never calls them. Elsewhere a motion
        module that does not fit the checkpoint raises an error that the web UI swallows.
        """
        called: list[Any] = []

        def check(*_: Any) -> None:
            hooks.close()
            if not called:
                raise NoiseRectificationError(
                    "AnimateDiff has no effect in this job: its motion modules were not called, so the frames would be "
                    f"unrelated images. See its message in the console. Supported: {host.WORKING}"
                )

        with ExitStack() as hooks:
            for module in self.motion_module.mm.modules():
                hooks.enter_context(module.register_forward_pre_hook(lambda module, _: called.append(module)))
            hooks.enter_context(denoiser.register_forward_hook(check))
            yield

    @property
    def positions(self) -> int | None:
        """The longest context of the motion module: 24 frames for v1, 32 for v2 and v3; None if it does not say."""
        return min((module.pe.shape[1] for module in self.motion_module.mm.modules() if hasattr(module, "pe")), default=None)

    @property
    def normalizes_pairs(self) -> bool:
        """Whether the module has the UNet normalize each half of its batch as one video: prompt and negative prompt."""
        hack = getattr(self.motion_module.mm, "enable_gn_hack", None)
        return hack is not None and bool(hack())

    @contextmanager
    def without_motion(self, sd_model: Any) -> Iterator[None]:
        """Inside the block the motion modules are out of the UNet, and the noise levels are still theirs.

        The authors of I4VGen do the same: they make their single images by the same model with the same levels.
        """
        module = self.motion_module
        params = module.ad_params
        if self.patches:
            module.set_ad_params(None)
            try:
                # This hook patches the network before each sampling; another one sets the levels before the batch.
                with replaced(self.script, process_before_every_sampling=lambda *_, **__: None):
                    yield
            finally:
                module.set_ad_params(params)
            return
        levels = sd_model.alphas_cumprod, sd_model.alphas_cumprod_original
        module.restore(sd_model)
        former = sd_model.alphas_cumprod, sd_model.alphas_cumprod_original
        try:
            sd_model.alphas_cumprod, sd_model.alphas_cumprod_original = levels
            # AnimateDiff's callback would otherwise warn of a missing motion module in each run.
            module.set_ad_params(None)
            yield
        finally:
            sd_model.alphas_cumprod, sd_model.alphas_cumprod_original = former
            module.set_ad_params(params)
            module.inject(sd_model, params.model)

    def restore(self, p: Any) -> None:
        """Take the motion modules out of the UNet, as AnimateDiff's `postprocess` does."""
        if getattr(self.motion_module, "mm_injected", False):
            self.motion_module.restore(p.sd_model)
            self.script.hacked = False
