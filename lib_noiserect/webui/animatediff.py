"""The AnimateDiff extension, as far as a job needs to know it."""

from __future__ import annotations

import inspect
from typing import Any

from .errors import NoiseRectificationError


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

    def restore(self, p: Any) -> None:
        """Take the motion modules out of the UNet, as AnimateDiff's `postprocess` does, which a raised error skips."""
        if self.is_injected:
            self.motion_module.restore(p.sd_model)
            self.script.hacked = False
