"""The AnimateDiff extension, as far as a job needs to know it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
        raise NoiseRectificationError(
            "the AnimateDiff extension is not installed or not active: "
            "install sd-webui-animatediff, or switch Noise Rectification off"
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
    def is_injected(self) -> bool:
        return bool(getattr(self.motion_module, "mm_injected", False))

    @contextmanager
    def without_motion(self, sd_model: Any) -> Iterator[None]:
        """Inside the block the motion modules are out of the UNet, and the noise levels are still the motion modules' own.

        So the authors of I4VGen have it: their single pictures are made by the same model with the same levels.
        """
        module = self.motion_module
        params = module.ad_params
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
        if self.is_injected:
            self.motion_module.restore(p.sd_model)
            self.script.hacked = False
