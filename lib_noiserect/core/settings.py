"""The settings of noise rectification: one row each for the UI, the API, the infotext, the command line and the docs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeAlias

from .errors import UserError, listed, shown

OMEGA_PRESETS = {
    "authors": "linear from First frame ω to Last frame ω over the first half of the video, then constant (authors' default)",
    "linear": "linear from First frame ω to Last frame ω over all frames",
    "constant": "First frame ω for every frame",
    "frozen": "0 for every frame: a still video",
    "motion": "solved for the chosen Motion amount, with the sampler, steps and window of the job",
}
TAU_UNITS = {
    "steps": "fractions of the sampling steps, as in the paper",
    "noise level": "fractions of the model's timesteps, the same for every sampler, schedule and number of steps",
}
INTERPOLATIONS = {"slerp": "spherical interpolation of the two images' latents", "hold": "the image of the nearest keyframe"}
SCORERS = {
    "model": "how much better the checkpoint denoises a candidate with the prompt than without it",
    "imagereward": "ImageReward, as in the authors' I4VGen",
    "clip": "CLIP similarity of image and prompt",
    "pickscore": "PickScore, trained on people's choices between two images",
    "hpsv2": "Human Preference Score v2",
    "pick": "manual: the number in Candidate; -1 generates the candidates and stops",
}
MAX_OMEGA_ENTRIES = 4096
MAX_CANDIDATES = 64
FILE_ENDING = ".safetensors"
NO_FILE = "none"
MAX_FILE_NAME = 120
# A letter or digit first: neither a hidden file nor an option. No separators, drives or quotes.
# Windows opens a device where a name begins with one of these, whatever the ending.
_DEVICES = "[Cc][Oo][Nn]|[Pp][Rr][Nn]|[Aa][Uu][Xx]|[Nn][Uu][Ll]|([Cc][Oo][Mm]|[Ll][Pp][Tt])[0-9¹²³]"
_FILE_NAME = rf"(?!({_DEVICES}) *\.)\w[\w .()+=@-]*{re.escape(FILE_ENDING)}"
FILE_PATTERN = f"^({_FILE_NAME}|{NO_FILE}|)$"

Omega: TypeAlias = "str | tuple[float, ...]"


class SettingsError(UserError):
    """A setting is unknown, has a wrong type or is out of range; the message names it, its value and the allowed values."""


@dataclass(frozen=True)
class Field:
    """One parameter: its name in the API, its label in the UI, its default, its range and its explanation."""

    name: str
    label: str
    default: Any
    help: str
    minimum: float
    maximum: float
    step: float
    choices: Mapping[str, str] | None = None

    @property
    def kind(self) -> str:
        """`"bool"`, `"whole"`, `"number"`, `"choice"`, `"file"` or `"omega"`."""
        if self.choices is not None:
            return "choice"
        if isinstance(self.default, str):
            return "file" if self.default == NO_FILE else "omega"
        return {bool: "bool", int: "whole", float: "number"}[type(self.default)]

    @property
    def allowed(self) -> str:
        """The accepted values, in words."""
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
        return f"{', '.join(OMEGA_PRESETS)}, or a list of numbers from 0 to 1, one per frame"

    def parse(self, value: object) -> Any:
        """`value` as this parameter's type; text is read as infotext and X/Y/Z plots write it. Raises `SettingsError`."""
        word = value.strip().lower() if isinstance(value, str) else None
        if self.kind == "bool":
            if isinstance(value, bool):
                return value
            if word in ("true", "false"):  # bool("False") is True, so text is compared and never converted
                return word == "true"
            raise self.refuse(value, "is not a boolean")
        if self.choices is not None:
            if word in self.choices:
                return word
            raise self.refuse(value, "is not allowed")
        if self.kind == "file":
            return self._parse_file(value)
        if self.kind == "omega":
            return self._parse_omega(value)
        number = self._parse_number(value)
        if self.kind == "number":
            return number
        if number != int(number):
            raise self.refuse(value, "is not a whole number")
        return int(number)

    def refuse(self, value: object, reason: str) -> SettingsError:
        return SettingsError(f"{self.name} = {shown(value)} {reason}: use {self.allowed}")

    def _parse_number(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.refuse(value, "is not a number")
        try:
            if isinstance(value, str) and (not value.isascii() or "_" in value):  # float() reads ٣ and 1_0
                raise ValueError
            number = float(value)
        except (ValueError, OverflowError):
            raise self.refuse(value, "is not a number") from None
        if not math.isfinite(number):
            raise self.refuse(value, "is not a finite number")
        if not self.minimum <= number <= self.maximum:
            raise self.refuse(value, "is out of range")
        return number

    def _parse_file(self, value: object) -> str:
        """The bare name of a file, without a folder in the notation of any system."""
        if not isinstance(value, str):
            raise self.refuse(value, "is not text")
        name = value.strip()
        if name.lower() in ("", NO_FILE):
            return NO_FILE
        if not is_file_name(name):
            raise self.refuse(value, "is not a valid file name")
        return name

    def _parse_omega(self, value: object) -> Omega:
        if isinstance(value, str):
            name = value.strip().lower()
            if name in OMEGA_PRESETS:
                return name
            # A list as a person types it or an infotext holds it: "1, 0.9, 0.5".
            value = name.strip("[]()").replace(",", " ").split(None, MAX_OMEGA_ENTRIES)
            try:
                float(value[0])
            except (IndexError, ValueError):
                raise self.refuse(name, "is neither a preset nor a list") from None
        if isinstance(value, Mapping) or not isinstance(value, Sequence):
            raise self.refuse(value, "is neither a preset nor a list")
        if not 1 <= len(value) <= MAX_OMEGA_ENTRIES:
            raise SettingsError(f"{self.name} has {len(value)} entries: use 1 to {MAX_OMEGA_ENTRIES}")
        return tuple(self._parse_number(entry) for entry in value)


def is_file_name(name: str) -> bool:
    """Whether a setting may name a file so: on no system a folder, a device or a hidden file."""
    return len(name) <= MAX_FILE_NAME and re.fullmatch(_FILE_NAME, name) is not None


def _row(label: str, default: Any, minimum: float = 0.0, maximum: float = 1.0, step: float = 0.01, **words: Any) -> Any:
    metadata = {"label": label, "minimum": minimum, "maximum": maximum, "step": step, **words}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The settings of one job. Immutable; every value is checked, and `SettingsError` names the wrong one."""

    # fmt: off
    enabled: bool = _row("Enable", False, help=
        "Rectify the predicted noise so that the video stays faithful to the image.")
    tau_start: float = _row("Starting Step (τ)", 0.0, 0.0, 1.0, 0.01, help=
        "Start rectification at this fraction of the steps. A late start preserves less of the image.")
    tau_end: float = _row("Ending Step (τ)", 0.6, 0.0, 1.0, 0.01, help=
        "End rectification at this fraction of the steps. A late end is more faithful and less lively.")
    omega: Omega = _row("Motion per frame (ω)", "authors", help=
        "Set how freely each frame moves, from 0 (frozen) to 1: a preset, or one number per frame.")
    omega_start: float = _row("First frame ω", 1.0, 0.0, 1.0, 0.01, help=
        "Set the weight of the first frames in the presets.")
    omega_end: float = _row("Last frame ω", 0.5, 0.0, 1.0, 0.01, help=
        "Set the weight of the last frames in the presets.")
    omega_resample: bool = _row("Fit curve to video length", False, help=
        "Resample a list of ω to the number of frames instead of rejecting it.")
    pin_first_frame: bool = _row("Lock first frame", False, help=
        "Rectify the first frame after the window too, so that it ends as the image.")
    follow_motion: bool = _row("Follow motion", False, help=
        "Carry the image's details along with what moves. Off is the paper's rule: details stay where they were.")
    motion: float = _row("Motion amount", 0.5, 0.0, 1.0, 0.01, help=
        "With ω = motion: keep this fraction of the model's motion, from 0 (still) to 1 (plain AnimateDiff).")
    target_ssim: float = _row("Target similarity (SSIM)", 0.0, 0.0, 1.0, 0.01, help=
        "Find the largest Motion amount that keeps the video this similar to the image, by short runs. 0: off.")
    tau_unit: str = _row("Window unit", "steps", choices=TAU_UNITS, help=
        "Measure the window in sampling steps or in noise level.")
    release: float = _row("Window fade-out", 0.0, 0.0, 1.0, 0.01, help=
        "Fade rectification out over this fraction after the window; frames far from a keyframe go first. 0: off.")
    hold_colour: bool = _row("Preserve color", False, help=
        "Preserve the first frame's color and light after the window, in all frames.")
    loop: bool = _row("Seamless loop", False, help=
        "Return to the first frame, so that the video repeats without a jump.")
    interpolation: str = _row("Keyframe interpolation", "slerp", choices=INTERPOLATIONS, help=
        "Choose the target of the frames between two keyframes.")
    repeat_noise: bool = _row("Repeat noise (FreeNoise)", True, help=
        "In videos longer than AnimateDiff's context: reuse the first frames' noise in another order.")
    mask_feather: float = _row("Mask blur (latent px)", 1.0, 0.0, 16.0, 0.5, help=
        "Blur the edge of the motion mask. 1 latent pixel is 8 image pixels.")
    create: bool = _row("Text → image → video (I4VGen)", False, help=
        "Generate candidate images, animate the best one, and make the video from it. In img2img: animate your image.")
    candidates: int = _row("Candidates", 0, 0, MAX_CANDIDATES, 1, help=
        "Set the number of images to choose from. 0: as many as frames, up to 64.")
    scorer: str = _row("Select by", "model", choices=SCORERS, help="Choose how the best candidate is selected.")
    pick: int = _row("Candidate", -1, -1, MAX_CANDIDATES - 1, 1, help=
        "Candidate to animate with Select by = pick, counted from 0. -1: generate candidates and stop.")
    animation_share: float = _row("Animation steps (fraction)", 0.6, 0.0, 1.0, 0.01, help=
        "Animate the still image over this fraction of the timesteps, from the noisiest on. 0: no animation.")
    animation_strength: float = _row("Animation strength", 1.0, 0.0, 2.0, 0.05, help=
        "Scale each update of the animation. The authors use 1.")
    regeneration: float = _row("Final denoising strength", 1.0, 0.05, 1.0, 0.01, help=
        "Set the denoising strength of the final video, in place of Denoising strength. 1: full noise.")
    start_time: float = _row("Start noise level (M)", 1.0, 0.5, 1.0, 0.01, help=
        "Start denoising at this fraction of the model's timesteps, with all steps. The paper: 0.82 to 0.94. 1: off.")
    statistics: str = _row("Initial noise statistics", NO_FILE, help=
        "Draw the initial noise from video statistics: a file in the folder statistics, or none.")
    # fmt: on

    def __post_init__(self) -> None:
        for row in FIELDS.values():
            object.__setattr__(self, row.name, row.parse(getattr(self, row.name)))
        if self.tau_start > self.tau_end:
            raise SettingsError(
                f"tau_start = {self.tau_start:g} is after tau_end = {self.tau_end:g}: set tau_start to tau_end or lower"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Settings:
        """Settings from names and values, as in an API request; missing ones take their defaults."""
        unknown = [name for name in values if name not in FIELDS]
        if unknown:
            raise SettingsError(f"unknown setting {listed(unknown)}: use {', '.join(FIELDS)}")
        return cls(**dict(values))  # type: ignore[arg-type]  # __post_init__ checks them


FIELDS: dict[str, Field] = {row.name: Field(name=row.name, default=row.default, **row.metadata) for row in fields(Settings)}


@dataclass(frozen=True)
class Preset:
    """Named settings: one sentence on their effect, and the fields that they fill."""

    help: str
    values: Mapping[str, Any]


def _preset(names: Sequence[str], help: str, **values: Any) -> Preset:
    """The settings of these names with these values, and the defaults of the others."""
    chosen = Settings(**values)
    return Preset(help, MappingProxyType({name: getattr(chosen, name) for name in names}))


# Settings with an effect only where I4VGen is on; the first one is its switch.
CREATION = ("create", "candidates", "scorer", "pick", "animation_share", "animation_strength", "regeneration")
_OF_CREATION = ("candidates", "animation_share", "animation_strength", "regeneration", "enabled")
# The other settings choose the kind of video, not its style.
_OF_STYLE = ("tau_start", "tau_end", "omega", "omega_start", "omega_end", "pin_first_frame", "follow_motion")
_OURS = {"pin_first_frame": True, "follow_motion": True}

# fmt: off
CREATION_PRESETS: Mapping[str, Preset] = MappingProxyType({
    "Rectified": _preset(_OF_CREATION, enabled=True, help=
        "The video stays with the chosen image: updates are relative to the first frame, and the video is rectified."),
    "Rectified, quicker": _preset(_OF_CREATION, enabled=True, candidates=4, help=
        "As Rectified, with 4 candidates: a third fewer model calls, with no measured loss."),
    "Authors' I4VGen": _preset(_OF_CREATION, enabled=False, help=
        "As in the paper and the authors' code, without rectification: livelier, and little of the image remains."),
})
AUTHORS_PRESET = "Authors' default"
# The page starts with it; the API starts with the paper's rule.
START_PRESET = "Balanced"
PRESETS: Mapping[str, Preset] = MappingProxyType({
    AUTHORS_PRESET: _preset(_OF_STYLE, tau_end=0.6, omega_start=1.0, omega_end=0.5, help=
        "As in the paper and the authors' code: 60 % of the steps; motion settles over the first half of the video."),
    "Faithful": _preset(_OF_STYLE, tau_end=1.0, omega_start=0.6, omega_end=0.3, **_OURS, help=
        "All steps and little motion: each frame stays close to the image, details included."),
    "Balanced": _preset(_OF_STYLE, tau_end=0.8, omega_start=0.9, omega_end=0.5, **_OURS, help=
        "Most steps and moderate motion; the video begins with the image itself."),
    "Lively": _preset(_OF_STYLE, tau_end=0.8, omega_start=1.0, omega_end=1.0, **_OURS, help=
        "Most steps and all of the model's motion, which carries the image's details along."),
})
# fmt: on
