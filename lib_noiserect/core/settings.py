"""The parameters of noise rectification: one row each, which drives the UI, the API, the infotext and the documentation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeAlias

from .errors import UserError

OMEGA_PRESETS = {
    "authors": "falls linearly from ω start to ω end over the first half of the frames, then stays (the authors' default)",
    "linear": "falls linearly from ω start to ω end over all frames",
    "constant": "ω start for every frame",
    "frozen": "0 for every frame: nothing moves",
    "motion": "what lets the share Motion of the model's own motion survive, for the sampler, its steps and τ of the job",
}
TAU_UNITS = {
    "steps": "fractions of the steps, as in the paper",
    "noise level": "fractions of the model's timesteps, so that τ means the same for every sampler, schedule and number of "
    "steps",
}
INTERPOLATIONS = {
    "slerp": "the pictures' latents, turned into each other",
    "hold": "the picture of the nearest key frame",
}
SCORERS = {
    "model": "how much better the job's own model denoises a candidate with the prompt than without it",
    "imagereward": "ImageReward, which I4VGen's authors use",
    "clip": "how near picture and prompt are to each other for CLIP",
    "pickscore": "PickScore, trained on which of two pictures people took",
    "hpsv2": "Human Preference Score v2",
    "pick": "the candidate with the number Pick; at -1 the job makes the candidates and ends with them",
}
MAX_OMEGA_ENTRIES = 4096
MAX_CANDIDATES = 64
FILE_ENDING = ".safetensors"
NO_FILE = "none"
MAX_FILE_NAME = 120
# It begins with a letter or a digit, so that it is neither hidden nor an option; no separators, drives or quotes.
_FILE_NAME = rf"\w[\w .()+=@-]*{re.escape(FILE_ENDING)}"
FILE_PATTERN = f"^({_FILE_NAME}|{NO_FILE}|)$"

Omega: TypeAlias = "str | tuple[float, ...]"


class SettingsError(UserError):
    """A setting is unknown, of the wrong kind or out of range; the message names it, its value and what is allowed."""


@dataclass(frozen=True)
class Field:
    """One parameter: its name in the API, its label in the UI, its default, its range and its explanation."""

    name: str
    label: str
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: Mapping[str, str] | None = None

    @property
    def kind(self) -> str:
        """`"bool"`, `"whole"`, `"number"`, `"choice"`, `"file"` or `"omega"`."""
        if isinstance(self.default, bool):
            return "bool"
        if self.choices is not None:
            return "choice"
        if isinstance(self.default, int):
            return "whole"
        if self.minimum is not None:
            return "number"
        return "file" if self.default == NO_FILE else "omega"

    @property
    def allowed(self) -> str:
        """What the parameter accepts, in words."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "number":
            return f"a number from {self.minimum:g} to {self.maximum:g}"
        if self.kind == "whole":
            return f"a whole number from {self.minimum:g} to {self.maximum:g}"
        if self.choices is not None:
            return " or ".join(self.choices)
        if self.kind == "file":
            return f"the name of a file that ends in {FILE_ENDING}, or {NO_FILE}"
        return f"{', '.join(OMEGA_PRESETS)}, or a list of numbers from 0 to 1, one a frame"

    def parse(self, value: object) -> Any:
        """`value` as this parameter's type; text is read as infotext and X/Y/Z plots write it. Raises `SettingsError`."""
        if self.kind == "bool":
            return self._parse_bool(value)
        if self.kind in ("number", "whole"):
            assert self.minimum is not None and self.maximum is not None
            number = self._parse_number(value, self.minimum, self.maximum)
            if self.kind == "number":
                return number
            if number != int(number):
                raise self.refuse(value, "is not a whole number")
            return int(number)
        if self.kind == "file":
            return self._parse_file(value)
        return self._parse_omega(value) if self.choices is None else self._parse_choice(value, self.choices)

    def refuse(self, value: object, reason: str) -> SettingsError:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return SettingsError(f"{self.name} = {shown} {reason}: use {self.allowed}")

    def _parse_bool(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        # bool("False") is True, so text is compared and never converted.
        text = value.strip().lower() if isinstance(value, str) else None
        if text in ("true", "false"):
            return text == "true"
        raise self.refuse(value, "is not a boolean")

    def _parse_number(self, value: object, minimum: float, maximum: float) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.refuse(value, "is not a number")
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise self.refuse(value, "is not a number") from None
        if not math.isfinite(number):
            raise self.refuse(value, "is not a finite number")
        if not minimum <= number <= maximum:
            raise self.refuse(value, "is out of range")
        return number

    def _parse_choice(self, value: object, choices: Mapping[str, str]) -> str:
        name = value.strip().lower() if isinstance(value, str) else None
        if name is None or name not in choices:
            raise self.refuse(value, "is not allowed")
        return name

    def _parse_file(self, value: object) -> str:
        """A bare name, which says no folder in no system's way."""
        name = value.strip() if isinstance(value, str) else None
        if name is None:
            raise self.refuse(value, "is not a text")
        if name.lower() in ("", NO_FILE):
            return NO_FILE
        if len(name) > MAX_FILE_NAME or not re.fullmatch(_FILE_NAME, name):
            raise self.refuse(value, "is no such name")
        return name

    def _parse_omega(self, value: object) -> Omega:
        if isinstance(value, str):
            name = value.strip().lower()
            if name in OMEGA_PRESETS:
                return name
            # As text, a list is what a person types or an infotext holds: "1, 0.9, 0.5".
            value = name.strip("[]()").replace(",", " ").split(None, MAX_OMEGA_ENTRIES)
            if not value or not _is_number(value[0]):
                raise self.refuse(name, "is neither a preset nor a list")
        if isinstance(value, Mapping) or not isinstance(value, Sequence):
            raise self.refuse(value, "is neither a preset nor a list")
        if not 1 <= len(value) <= MAX_OMEGA_ENTRIES:
            raise SettingsError(f"{self.name} has {len(value)} entries: use 1 to {MAX_OMEGA_ENTRIES}")
        return tuple(self._parse_number(entry, 0.0, 1.0) for entry in value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _row(
    label: str,
    default: Any,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    choices: Mapping[str, str] | None = None,
) -> Any:
    metadata = {"label": label, "help": help, "minimum": minimum, "maximum": maximum, "step": step, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What a job asks for. Immutable; every value is checked, and `SettingsError` names the one that is wrong."""

    enabled: bool = _row(
        "Enable", False, "Rectify the predicted noise, so that the clip stays faithful to the picture."
    )
    tau_start: float = _row(
        "τ start",
        0.0,
        "Where rectification begins, as a fraction of the steps. A late start keeps less of the picture.",
        0.0,
        1.0,
        0.01,
    )
    tau_end: float = _row(
        "τ end",
        0.6,
        "Where rectification ends, as a fraction of the steps. Later: more faithful, less lively.",
        0.0,
        1.0,
        0.01,
    )
    omega: Omega = _row(
        "ω",
        "authors",
        "How freely each frame moves, from 0 (frozen) to 1: a preset, or a list of numbers, one a frame.",
    )
    omega_start: float = _row(
        "ω start", 1.0, "Where the presets begin: the weight of the first frames.", 0.0, 1.0, 0.01
    )
    omega_end: float = _row("ω end", 0.5, "Where the presets end: the weight of the last frames.", 0.0, 1.0, 0.01)
    omega_resample: bool = _row(
        "Resample ω", False, "Stretch a list of ω that has another length than the clip, instead of refusing it."
    )
    pin_first_frame: bool = _row(
        "Keep first frame",
        False,
        "After τ has ended, go on rectifying the first frame alone, so that it ends as the picture.",
    )
    motion: float = _row(
        "Motion",
        0.5,
        "With ω = motion: which share of the model's motion survives, from 0 (still) to 1 (as AnimateDiff would).",
        0.0,
        1.0,
        0.01,
    )
    target_ssim: float = _row(
        "Wanted SSIM",
        0.0,
        "Find the liveliest Motion that keeps the clip at least so similar to the picture, by a few short runs before the "
        "job. 0 is off.",
        0.0,
        1.0,
        0.01,
    )
    tau_unit: str = _row("τ in", "steps", "What τ counts.", choices=TAU_UNITS)
    release: float = _row(
        "Soft release",
        0.0,
        "How long after τ the frames beside the picture are let go, as a fraction like τ; the farther a frame, the sooner. 0 "
        "is at once.",
        0.0,
        1.0,
        0.01,
    )
    hold_colour: bool = _row(
        "Hold colour", False, "After τ, keep the first frame's colours and light, and with them those of all frames."
    )
    loop: bool = _row(
        "Loop", False, "The clip comes back to its first frame, so that it can be played round and round."
    )
    interpolation: str = _row(
        "Between key frames", "slerp", "What the frames between two pictures are held to.", choices=INTERPOLATIONS
    )
    repeat_noise: bool = _row(
        "Repeat noise",
        True,
        "In clips longer than AnimateDiff's context, give later frames the noise of the first ones in another order: what is "
        "corrected by the first frame then holds for all of them.",
    )
    mask_feather: float = _row(
        "Mask feather", 1.0, "How softly a motion mask ends, in latent pixels (8 of the picture's).", 0.0, 16.0, 0.5
    )
    create: bool = _row(
        "Create through a picture",
        False,
        "I4VGen: make candidates for a picture, animate the best one, and make the clip from that; in img2img the picture is "
        "the tab's own.",
    )
    candidates: int = _row(
        "Candidates", 0, "How many pictures to choose from; 0 is as many as frames, up to 64.", 0, MAX_CANDIDATES, 1
    )
    scorer: str = _row("Scorer", "model", "What chooses among the candidates.", choices=SCORERS)
    pick: int = _row(
        "Pick",
        -1,
        "With the scorer pick, the number of the candidate to take, from 0; it alone is then made. -1 shows the candidates "
        "and ends there.",
        -1,
        MAX_CANDIDATES - 1,
        1,
    )
    animation_share: float = _row(
        "Animation share",
        0.6,
        "Through which share of the timesteps, from the noisiest on, the still picture is animated; 0 leaves it still.",
        0.0,
        1.0,
        0.01,
    )
    animation_strength: float = _row(
        "Animation strength", 1.0, "How much each of those updates counts; 1 is the authors'.", 0.0, 2.0, 0.05
    )
    regeneration: float = _row(
        "Regeneration",
        1.0,
        "How much of the noise range the clip is then made anew in, 1 being all of it; it takes the place of Denoising "
        "strength.",
        0.05,
        1.0,
        0.01,
    )

    start_time: float = _row(
        "Start time",
        1.0,
        "The noise level at which denoising starts, with all its steps, as a fraction of the model's timesteps: 0.82 to 0.94 "
        "in the paper on conditional image leakage. Rectified clips of the built-in model gained little: 0.94 moves a little "
        "more and keeps a little less, and lower ones move less. 1 is off.",
        0.5,
        1.0,
        0.01,
    )
    statistics: str = _row(
        "Start statistics",
        NO_FILE,
        "Draw the start from what is known of clips: the name of a file in the folder statistics, or none. Rectified clips "
        "of the built-in model were no better with any: the same with those around the picture (conditional) and spectral "
        "ones, less like it with a mean.",
    )

    def __post_init__(self) -> None:
        for row in FIELDS.values():
            object.__setattr__(self, row.name, row.parse(getattr(self, row.name)))
        if self.tau_start > self.tau_end:
            raise SettingsError(
                f"tau_start = {self.tau_start:g} is after tau_end = {self.tau_end:g}: use a tau_start that is not larger"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Settings:
        """Settings from names and values, as the API gives them; what is missing takes its default."""
        unknown = sorted(str(name)[:80] for name in values if name not in FIELDS)
        if unknown:
            raise SettingsError(f"unknown setting {', '.join(unknown)}: use {', '.join(FIELDS)}")
        return cls(**dict(values))  # type: ignore[arg-type]  # __post_init__ checks them


FIELDS: dict[str, Field] = {
    row.name: Field(name=row.name, default=row.default, **row.metadata) for row in fields(Settings)
}


@dataclass(frozen=True)
class Preset:
    """Settings with a name: what they make of the clip, in one sentence, and the fields that they fill."""

    help: str
    values: Mapping[str, Any]


def _preset(help: str, tau_end: float, omega_start: float, omega_end: float, pin_first_frame: bool) -> Preset:
    chosen = Settings(tau_end=tau_end, omega_start=omega_start, omega_end=omega_end, pin_first_frame=pin_first_frame)
    # What else there is says what kind of clip is made, and not in which style.
    names = ("tau_start", "tau_end", "omega", "omega_start", "omega_end", "pin_first_frame")
    return Preset(help, MappingProxyType({name: getattr(chosen, name) for name in names}))


# What counts only where a clip is created through a picture; the master switch is the first one.
CREATION = (
    "create",
    "candidates",
    "scorer",
    "pick",
    "animation_share",
    "animation_strength",
    "regeneration",
)
_CREATION_VALUES = {
    name: FIELDS[name].default for name in ("candidates", "animation_share", "animation_strength", "regeneration")
}
CREATION_PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "Rectified": Preset(
            "The clip keeps to the animated picture: its updates are taken less the first frame's, and it is made anew with "
            "rectification.",
            MappingProxyType({**_CREATION_VALUES, "enabled": True}),
        ),
        "Rectified, quicker": Preset(
            "As Rectified, with 4 candidates: a third of the calls less, at no loss that was measured.",
            MappingProxyType({**_CREATION_VALUES, "candidates": 4, "enabled": True}),
        ),
        "Authors' I4VGen": Preset(
            "As in the authors' paper and code, without rectification: livelier, and little of the picture is left.",
            MappingProxyType({**_CREATION_VALUES, "enabled": False}),
        ),
    }
)

AUTHORS_PRESET = "Authors' default"
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        AUTHORS_PRESET: _preset(
            "As in the authors' paper and code: 60 % of the steps, motion settling over the first half of the clip.",
            0.6, 1.0, 0.5, False,
        ),
        "Faithful": _preset(
            "Every step and little motion: each frame stays close to the picture, details included.", 1.0, 0.6, 0.3, True
        ),
        "Balanced": _preset(
            "Most steps, moderate motion, and the clip begins with the picture itself.", 0.8, 0.9, 0.5, True
        ),
        "Lively": _preset(
            "The first 40 % of the steps and free motion: the picture is where the clip begins, not where it stays.",
            0.4, 1.0, 0.8, True,
        ),
    }
)  # fmt: skip
