"""The paper's experiments as rows: which clips are to be made, and which of them are the same job."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias, get_args

from ..core.schedule import omega_weights, rectified_steps
from ..core.settings import Omega, Settings
from .errors import EvaluationError
from .pictures import Picture

Method: TypeAlias = Literal["noising", "fixed noise", "pivot"]
METHODS: tuple[Method, ...] = get_args(Method)
_PIVOT: Method = "pivot"
OMEGAS: tuple[Omega, ...] = ((0.0,), (0.25,), (0.5,), (0.75,), (1.0,), "authors")
"""ω of the paper's Fig. 5: constants, and the authors' falling default."""
WINDOWS = ((0.0, 0.0), (0.0, 0.2), (0.0, 0.4), (0.0, 0.6), (0.0, 0.8), (0.0, 1.0), (0.3, 0.7), (0.6, 1.0))
"""τ of the paper's Fig. 6; the first is plain noising."""


@dataclass(frozen=True)
class Conditions:
    """What all rows of an experiment share. Each picture is animated once with each of the `seeds`."""

    steps: int
    guidance: float
    frames: int
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("frames", 2)):
            if getattr(self, name) < least:
                raise EvaluationError(f"{name} = {getattr(self, name)} is too few: use {least} or more")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise EvaluationError(f"seeds = {self.seeds}: give at least one, each once")


@dataclass(frozen=True)
class Row:
    """One clip to be made. `picture` is a `Picture.id`; an `omega` of another length than `frames` is stretched."""

    experiment: str
    method: Method
    sampler: str
    tau_start: float
    tau_end: float
    omega: Omega
    picture: str
    caption: str
    seed: int
    steps: int
    guidance: float
    frames: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise EvaluationError(f"method = {self.method!r} is unknown: use {', '.join(METHODS)}")
        if re.search(r"[\r\n]", self.caption):
            raise EvaluationError(f"caption = {self.caption!r} has line breaks: use one line")
        # As `Settings` has them: 0 and 0.0, list and tuple would be two jobs otherwise.
        checked = Settings(tau_start=self.tau_start, tau_end=self.tau_end, omega=self.omega)
        for name in ("tau_start", "tau_end", "omega"):
            object.__setattr__(self, name, getattr(checked, name))
        object.__setattr__(self, "guidance", float(self.guidance))

    @property
    def rectifies(self) -> bool:
        """Whether any step is rectified; the clip is plain noising's otherwise."""
        return self.method != "noising" and bool(rectified_steps(self.steps, self.tau_start, self.tau_end))

    @property
    def omega_text(self) -> str:
        """ω as it is typed, and read again exactly: a preset's name, or numbers with spaces between."""
        if isinstance(self.omega, str):
            return self.omega
        return " ".join(f"{weight:g}" if float(f"{weight:g}") == weight else repr(weight) for weight in self.omega)

    @property
    def settings(self) -> Settings:
        """What the job asks for: the window, ω for every frame, and whether it rectifies at all."""
        return Settings(
            enabled=self.rectifies,
            tau_start=self.tau_start,
            tau_end=self.tau_end,
            omega=self.omega,
            omega_resample=True,
        )

    @property
    def id(self) -> str:
        """16 hex digits of the job's content: the same for rows of two experiments that ask for the same clip."""
        job = {name: value for name, value in asdict(self).items() if name != "experiment"}
        if self.rectifies:
            job["omega"] = [round(weight, 9) for weight in omega_weights(self.settings, self.frames)]
        else:
            job.update(method="noising", tau_start=None, tau_end=None, omega=None)
        text = json.dumps(job, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def methods_experiment(pictures: Sequence[Picture], samplers: Sequence[str], conditions: Conditions) -> list[Row]:
    """Every method with every sampler (the paper's Table 1), τ and ω as they are by default."""
    cells = [(method, sampler, Settings()) for sampler in samplers for method in METHODS]
    return _rows("methods", cells, pictures, conditions)


def omega_experiment(pictures: Sequence[Picture], sampler: str, conditions: Conditions) -> list[Row]:
    """The pivot with the weights ω of the paper's Fig. 5, and τ as it is by default."""
    cells = [(_PIVOT, sampler, Settings(omega=omega)) for omega in OMEGAS]
    return _rows("omega", cells, pictures, conditions)


def tau_experiment(pictures: Sequence[Picture], sampler: str, conditions: Conditions) -> list[Row]:
    """The pivot in the windows τ of the paper's Fig. 6, and ω as it is by default."""
    cells = [(_PIVOT, sampler, Settings(tau_start=start, tau_end=end)) for start, end in WINDOWS]
    return _rows("tau", cells, pictures, conditions)


def _rows(
    experiment: str,
    cells: list[tuple[Method, str, Settings]],
    pictures: Sequence[Picture],
    conditions: Conditions,
) -> list[Row]:
    return [
        Row(
            experiment=experiment,
            method=method,
            sampler=sampler,
            tau_start=settings.tau_start,
            tau_end=settings.tau_end,
            omega=settings.omega,
            picture=picture.id,
            caption=picture.caption,
            seed=seed,
            steps=conditions.steps,
            guidance=conditions.guidance,
            frames=conditions.frames,
        )
        for method, sampler, settings in cells
        for picture in pictures
        for seed in conditions.seeds
    ]
