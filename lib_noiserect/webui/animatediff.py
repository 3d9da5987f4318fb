"""The AnimateDiff extension, as far as a job needs to know it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..core.stand_in import replaced
from . import host
from .errors import NoiseRectificationError

_OURS = "_of_noise_rectification"


class AnimateDiff:
    """AnimateDiff's part in one job.

    Its script is found by title, since people rename folders. Its classes exist twice in a running web UI (once for the
    script loader and once for the imports), so nothing is told by `isinstance`.
    """

    def __init__(self, script: Any, args: list[Any]) -> None:
        self.script = script
        self._args = args

    @classmethod
    def find(cls, p: Any) -> AnimateDiff:
        """Raises `NoiseRectificationError` where there is no AnimateDiff."""
        for script in getattr(p.scripts, "alwayson_scripts", []):
            if str(script.title()).strip().lower() == "animatediff":
                return cls(script, list(p.script_args[script.args_from : script.args_to]))
        folder = host.unloaded_animatediff()
        if folder is not None:
            raise NoiseRectificationError(
                f"AnimateDiff is installed as {folder} and did not load in this web UI, see its message in the console: "
                f"use {host.WORKING}"
            )
        raise NoiseRectificationError(
            "the AnimateDiff extension is not installed or not active: install sd-webui-animatediff "
            "(in Forge and reForge sd-forge-animatediff), or switch Noise Rectification off"
        )

    def option(self, name: str, default: Any = None) -> Any:
        """An option of this job; through the API, AnimateDiff's argument may still be a dict."""
        params = self._args[0] if self._args else None
        return params.get(name, default) if isinstance(params, dict) else getattr(params, name, default)

    @property
    def motion_module(self) -> Any:
        """The object that puts the motion modules into the UNet: a global of the script's own file."""
        return inspect.unwrap(type(self.script).before_process).__globals__.get("motion_module")

    @property
    def is_set_up(self) -> bool:
        """Whether its first hook came to its end: it turns the API's dict into an object, and the prompts come last."""
        params = self._args[0] if self._args else None
        return not isinstance(params, dict) and self.option("prompt_scheduler", "unknown") is not None

    @property
    def patches(self) -> bool:
        """Whether it patches the network for each sampling, or else changes it for the length of the job."""
        return host.patches(self.motion_module)

    @property
    def is_ready(self) -> bool:
        """Whether the motion module is where it has to be before the job's picture is encoded."""
        return host.is_ready(self.motion_module, self.option("model"))

    @contextmanager
    def watched(self, denoiser: Any) -> Iterator[None]:
        """Refuse the job after its first model call if no motion module was called in that.

        Nothing else tells: reForge's branch main takes AnimateDiff's patches and never calls them, and elsewhere a motion
        module that does not fit the checkpoint is an error that the web UI swallows.
        """
        called = False

        def note(*_: Any) -> None:
            nonlocal called
            called = True

        def check(*_: Any) -> None:
            remove()
            if not called:
                raise NoiseRectificationError(
                    "AnimateDiff has no effect in this job: its motion modules were not called, so that each frame would "
                    f"be a picture of its own: see its message in the console, and use {host.WORKING}"
                )

        def remove() -> None:
            for hook in hooks:
                hook.remove()
            hooks.clear()

        hooks = [module.register_forward_pre_hook(note) for module in self.motion_module.mm.modules()]
        hooks.append(denoiser.register_forward_hook(check))
        try:
            yield
        finally:
            remove()

    @property
    def positions(self) -> int | None:
        """The longest context that the motion module knows: 24 frames for v1, 32 for v2 and v3. None if that is not told."""
        modules = getattr(getattr(self.motion_module, "mm", None), "modules", None)
        lengths = [module.pe.shape[1] for module in modules() if hasattr(module, "pe")] if callable(modules) else []
        return min(lengths, default=None)

    @property
    def normalises_pairs(self) -> bool:
        """Whether the module makes the UNet normalise each half of its batch as a clip: prompt and negative prompt."""
        hack = getattr(getattr(self.motion_module, "mm", None), "enable_gn_hack", None)
        return bool(callable(hack) and hack())

    @contextmanager
    def without_motion(self, sd_model: Any) -> Iterator[None]:
        """Inside the block the motion modules are out of the UNet, and the noise levels are still the motion modules' own.

        So the authors of I4VGen have it: their single pictures are made by the same model with the same levels.
        """
        module = self.motion_module
        params = module.ad_params
        if self.patches:
            module.set_ad_params(None)
            try:
                # The patch comes by this hook before each sampling, and the levels by another one, before the batch.
                with replaced(self.script, process_before_every_sampling=lambda *_, **__: None):
                    yield
            finally:
                module.set_ad_params(params)
            return
        levels = sd_model.alphas_cumprod, sd_model.alphas_cumprod_original
        module.restore(sd_model)
        own = sd_model.alphas_cumprod, sd_model.alphas_cumprod_original
        sd_model.alphas_cumprod, sd_model.alphas_cumprod_original = levels
        # Its callback would warn in every run that there is no motion module.
        module.set_ad_params(None)
        try:
            yield
        finally:
            sd_model.alphas_cumprod, sd_model.alphas_cumprod_original = own
            module.set_ad_params(params)
            module.inject(sd_model, params.model)

    def replace_output(self, p: Any, output: Callable[[Any, Callable[[], Any]], Any]) -> None:
        """Have `output(processed, original)` called where AnimateDiff turns the frames of this job into clips.

        That is its `postprocess`, which `original` is: before it the host's result has the frames, and after it what the
        gallery shows. This extension's own `postprocess` comes before or after it, as the names of folders and the user's
        settings have it.
        """
        self._leave_output()  # to a job that failed before it came so far
        script, original = self.script, self.script.postprocess

        @functools.wraps(original)
        def postprocess(of_p: Any, processed: Any, *args: Any) -> Any:
            if of_p is not p:  # a job inside this job, of another extension
                return original(of_p, processed, *args)
            self._leave_output()
            return output(processed, functools.partial(original, of_p, processed, *args))

        setattr(postprocess, _OURS, True)
        script.postprocess = postprocess

    def _leave_output(self) -> None:
        if hasattr(self.script.__dict__.get("postprocess"), _OURS):
            del self.script.postprocess

    def restore(self, p: Any) -> None:
        """Take the motion modules out of the UNet, as AnimateDiff's `postprocess` does, which a raised error skips."""
        self._leave_output()
        if getattr(self.motion_module, "mm_injected", False):
            self.motion_module.restore(p.sd_model)
            self.script.hacked = False
