"""Stand-in of the API's description of a script's arguments."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ScriptArg:
    label: str = None
    value: Any = None
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    choices: list = None


@dataclass
class ScriptInfo:
    name: str = None
    is_alwayson: bool = None
    is_img2img: bool = None
    args: list = field(default_factory=list)


def script_info(script, controls):
    described = []
    for control in controls:
        arg = ScriptArg(label=control.label or "")
        for name in ("value", "minimum", "maximum", "step"):
            setattr(arg, name, getattr(control, name, None))
        choices = getattr(control, "choices", None)
        if choices is not None:
            arg.choices = [choice[0] if isinstance(choice, tuple) else choice for choice in choices]
        described.append(arg)
    return ScriptInfo(name=script.name, is_alwayson=script.alwayson, is_img2img=script.is_img2img, args=described)
