"""The preview of a job: its steps, weights and cost, from its settings and the host's schedule, without a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ..core.errors import listed, shown
from ..core.keyframes import Keyframes
from ..core.schedule import omega_weights
from ..core.settings import FIELDS, MAX_OMEGA_ENTRIES, Settings, SettingsError
from ..core.summary import Phrase
from ..methods.i4vgen import calls_words, job_calls
from . import report, settings_page
from .errors import in_labels
from .image_inputs import INPUTS, check_count, frame_number, frames_of
from .planned_steps import PlannedSteps, planned_steps

MAX_STEPS = 10_000

T = TypeVar("T")


def for_api(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the API. Raises `SettingsError` for a wrong value."""
    known: dict[str, Any] = {"settings": {}, "frames": 16, "steps": 25, "sampler": "Euler", "scheduler": "Automatic"}
    known |= {"denoising_strength": 1.0, "picture": True}
    unknown = [name for name in request if name not in known]
    if unknown:
        raise SettingsError(f"unknown {listed(unknown)}: use {', '.join(known)}")
    asked = {**known, **request}
    if not isinstance(asked["settings"], Mapping):
        raise SettingsError(f"settings = {shown(asked['settings'])} is not a dict: use {', '.join(FIELDS)}")
    # A job's dict may include images; the preview needs only the places of the keyframes.
    settings = Settings.from_mapping({name: value for name, value in asked["settings"].items() if name not in INPUTS})
    settings_page.check_api_settings(settings)
    frames = _whole_number("frames", asked["frames"], MAX_OMEGA_ENTRIES)
    if not isinstance(asked["picture"], bool):
        raise SettingsError(f"picture = {shown(asked['picture'])} is not a boolean: use true or false")
    keys = asked["settings"].get("key_frames")
    numbers = frames_of("key_frames", keys) if isinstance(keys, Mapping) else ()
    weights = omega_weights(settings, _key_frames(numbers, frames, settings.loop))
    planned = _planned(asked, settings)
    calls, cost = None, ""
    if settings.create:
        calls = job_calls(settings, frames, asked["steps"], has_picture=asked["picture"], **planned.cost())
        cost = f"about {calls_words(calls, frames)}; "
    is_known, is_share = settings.target_ssim == 0.0, settings.omega == "motion"
    return {
        "unet_calls": calls,
        "omega": weights if is_known and not is_share else None,
        "motion_shares": weights if is_known and is_share else None,
        "rectified_steps": planned.rectified(settings),
        "summary": f"{cost}{planned.summary(settings, weights)}",
    }


def for_page(request: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the status line and the curves; beside a problem the curves show what can be read of the settings.

    `request` has the tab, the texts of our controls, the names of the keyframes' files, and the job as in `for_api`.
    `problem`: the first wrong value, as the job would refuse it, or null; `sentences`: parts of `Phrase`s; `curve`: ω of each
    frame, of the whole Motion amount where ω is `motion`; `noise`: the share of noise of each step, in [0, 1]; `positions`:
    where each step begins on the axis of τ, in [0, 1). For a request with `report`, that alone.
    """
    if "report" in request:
        return {"report": report.for_page(request)}
    problems: list[str] = []

    def attempt(make: Callable[[], T], otherwise: T) -> T:
        try:
            return make()
        except SettingsError as error:
            problems.append(in_labels(str(error)))
            return otherwise

    in_txt2img = request.get("tab") == "txt2img"
    values = request.get("settings")
    settings = attempt(lambda: Settings.from_mapping(values if isinstance(values, Mapping) else {}), Settings())
    frames = attempt(lambda: _whole_number("frames", request.get("frames"), MAX_OMEGA_ENTRIES), 1)
    names = request.get("key_frames") or ()
    numbers = [frame_number(str(name)[-80:]) or 0 for name in names] if isinstance(names, list) else []
    keys = attempt(lambda: _key_frames(numbers, frames, settings.loop), Keyframes((0,), frames))
    weights = attempt(lambda: omega_weights(settings, keys), omega_weights(replace(settings, omega_resample=True), keys))
    curve = omega_weights(replace(settings, motion=1.0), keys) if settings.omega == "motion" else weights
    planned = attempt(lambda: _planned(request, settings, in_txt2img), PlannedSteps(None))
    sentences = [] if problems else _sentences(settings, weights, request["steps"], planned, in_txt2img)
    return {
        "problem": problems[0] if problems else None,
        "sentences": [sentence.parts() for sentence in sentences],
        "curve": curve,
        "noise": [sigma / math.hypot(1.0, sigma) for sigma in planned.sigmas],
        "positions": planned.positions(settings),
    }


def _sentences(settings: Settings, weights: list[float], steps: int, planned: PlannedSteps, in_txt2img: bool) -> list[Phrase]:
    """What the job does, after its cost where it goes through an image."""
    summary = planned.summary(settings, weights)
    if not (in_txt2img or settings.create):
        return [summary]
    calls = job_calls(settings, len(weights), steps, has_picture=not in_txt2img, **planned.cost())
    cost = calls_words(calls, len(weights))
    if "regeneration" not in calls:
        return [Phrase("about {0}; then select one of them", cost)]
    if in_txt2img and not settings.enabled:
        summary = Phrase("the video is regenerated without rectification")
    return [Phrase("about {0} (a plain video has {1})", cost, steps * planned.calls_a_step), summary]


def _planned(job: Mapping[str, Any], settings: Settings, creates: bool = False) -> PlannedSteps:
    """The steps of the job that a request describes."""
    steps = _whole_number("steps", job.get("steps"), MAX_STEPS)
    for name in ("sampler", "scheduler"):
        if not isinstance(job.get(name), str):
            raise SettingsError(f"{name} = {shown(job.get(name))} is not text: use a {name}'s name")
    strength = settings.regeneration if creates or settings.create else _strength(job.get("denoising_strength"))
    return planned_steps(job["sampler"], job["scheduler"], steps, strength, settings.start_time)


def _key_frames(numbers: Collection[int], frames: int, loop: bool) -> Keyframes:
    check_count("key_frames", len(numbers))
    return Keyframes((0, *{number for number in numbers if 0 < number < frames}), frames, loop)


def _whole_number(name: str, value: object, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise SettingsError(f"{name} = {shown(value)} is not allowed: use a whole number from 1 to {most}")
    return value


def _strength(value: object) -> float:
    name, allowed = "denoising_strength", "use a number above 0, to 1"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SettingsError(f"{name} = {shown(value)} is not a number: {allowed}")
    if not 0 < value <= 1:  # NaN too
        raise SettingsError(f"{name} = {shown(value)} is out of range: {allowed}")
    return float(value)
