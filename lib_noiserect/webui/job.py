"""One job as data: the request, the parts that answer it, and the log that the user reads."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from ..core.noise import noise_order
from ..core.report import VERSION
from ..core.settings import Settings
from ..methods.analytic_init import Statistics
from . import host, infotext
from .animatediff import AnimateDiff
from .image_inputs import ImageInputs

logger = logging.getLogger("noise_rectification")


class JobLog:
    """Tells the user about a job: under the result, in the infotext and in the console."""

    def __init__(self, p: Any) -> None:
        self._p = p
        self.warnings: list[str] = []
        self.rectified_steps = self.num_steps = 0

    def say(self, message: str, level: int = logging.INFO) -> None:
        """Show a message under the result."""
        logger.log(level, message)
        self._p.comment(f"Noise Rectification: {message}")

    def warn(self, message: str) -> None:
        """Show a warning under the result and in the infotext, once."""
        if message not in self.warnings:
            self.warnings.append(message)
            self.say(message, logging.WARNING)
            self._p.extra_generation_params[infotext.key("warning")] = "; ".join(self.warnings)

    def report(self, settings: Settings, rectified: int, steps: int, num_frames: int) -> None:
        """Record one run of the sampler: `rectified` of its `steps` were rectified."""
        self.rectified_steps, self.num_steps = rectified, steps
        entries = {infotext.key("steps"): f"{rectified} of {steps}", infotext.key("version"): VERSION}
        self._p.extra_generation_params.update(entries)
        logger.info(
            "%d of %d steps rectified: %d frames, %s, τ = [%g, %g], ω = %s",
            *(rectified, steps, num_frames, self._p.sampler_name, settings.tau_start, settings.tau_end),
            infotext.text(settings.omega),
        )


@dataclass
class Job:
    """The request of one job."""

    p: Any  # the host's own object of the job
    settings: Settings  # frozen; the motion search replaces them once
    animatediff: AnimateDiff
    images: ImageInputs
    statistics: Statistics | None  # of videos, for the initial noise; None for plain noise
    log: JobLog

    @property
    def is_img2img(self) -> bool:
        return host.is_img2img(self.p)

    @property
    def ends_with_candidates(self) -> bool:
        """Whether the job makes candidates for an image and no video."""
        settings = self.settings
        return settings.create and not self.is_img2img and settings.scorer == "pick" and settings.pick < 0

    def noise_order(self, num_frames: int) -> list[int]:
        """For each frame the frame whose noise it gets: its own, or in a long video that of a frame of the first context."""
        context = self.animatediff.context if self.settings.repeat_noise else 0
        return noise_order(num_frames, context or num_frames)
