"""One job from its first hook to its last: checks it, arms its sampler, reports, and takes everything off."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..settings import NO_FILE, Settings, SettingsError
from . import infotext, options, xyz
from .animatediff import AnimateDiff
from .args import enabled_forgotten, settings_from_args
from .errors import NoiseRectificationError, for_host
from .inputs import Pictures, pictures_from_args
from .refusals import check_job

if TYPE_CHECKING:
    from ..methods.analytic import Statistics
    from ..target import Found
    from .sampling import RectifiedSampling

logger = logging.getLogger("noise_rectification")

_ATTRIBUTE = "_noise_rectification_job"


class Job:
    """What one job asked for and what became of it. Kept on the job's own processing object, and nowhere else."""

    def __init__(self, p: Any, settings: Settings, animatediff: AnimateDiff, pictures: Pictures) -> None:
        self._p = p
        self._animatediff = animatediff
        self._pictures = pictures
        self.settings = settings
        self.statistics: Statistics | None = None
        if settings.statistics != NO_FILE:
            from ..methods.statistics_file import named

            self.statistics = named(settings.statistics)
        self.warnings: list[str] = []
        self.rectified_steps = self.num_steps = 0
        self._sampling: RectifiedSampling | None = None

    @property
    def p(self) -> Any:
        return self._p

    def arm(self) -> None:
        """Put the rectified sampling on the job's sampler, which exists now, and remember the picture's clean latent."""
        # The half of the library that only a rectified job needs stays out of the web UI's start.
        from .sampling import RectifiedSampling

        p = self._p
        if not (hasattr(p.sampler, "func") and hasattr(p.sampler, "sample_img2img")):
            raise NoiseRectificationError(
                f"sampler {p.sampler_name!r} is not built like the host's own: choose another sampler"
            )
        from .clean import clean_of

        clean = clean_of(p, self._pictures, self._animatediff, self)
        infotext.write_pictures(p, clean.keys.frames[1:], self._pictures)
        self._sampling = RectifiedSampling(p, p.sampler, clean, self._animatediff, self)
        self._sampling.put_on()
        if options.comparison_wanted(p) and not xyz.is_cell(p):
            from .comparison import Comparison

            self._animatediff.around_output(p, Comparison(p, self._animatediff, self).around)

    def warn(self, message: str) -> None:
        """Show a warning under the result and in the infotext, once."""
        if message not in self.warnings:
            self.warnings.append(message)
            logger.warning(message)
            self._p.comment(f"Noise Rectification: {message}")
            infotext.write_warnings(self._p, self.warnings)

    def found(self, found: Found) -> None:
        """Go on with the settings that were found for a wanted similarity, and say what was tried."""
        wanted = self.settings.target_ssim
        self.settings = found.settings
        infotext.write_found(self._p, found.settings, f"for SSIM {wanted:g}, {found.words()}")
        logger.info("for SSIM %g, %s", wanted, found.words())
        self._p.comment(f"Noise Rectification: for SSIM {wanted:g}, {found.words()}")

    def report(self, rectified: int, steps: int, num_frames: int) -> None:
        """Say what happened in one run of the sampler."""
        self.rectified_steps, self.num_steps = rectified, steps
        self._p.extra_generation_params[infotext.STEPS_KEY] = f"{rectified} of {steps}"
        logger.info(
            "%d of %d steps rectified: %d frames, %s, τ = [%g, %g], ω = %s",
            *(rectified, steps, num_frames, self._p.sampler_name, self.settings.tau_start, self.settings.tau_end),
            infotext.text(self.settings.omega),
        )

    def take_off(self) -> None:
        if self._sampling is not None:
            self._sampling.take_off()
        if self._p.__dict__.get(_ATTRIBUTE) is self:
            delattr(self._p, _ATTRIBUTE)

    def abandon(self) -> None:
        """Leave on an error: AnimateDiff's `postprocess` will not be called, and the UNet must not stay injected."""
        self.take_off()
        self._animatediff.restore(self._p)


def begin(p: Any, args: Sequence[object]) -> None:
    """Called once all scripts have had `before_process`; makes the job a rectified one, if that is what it asks for.

    The host swallows what a hook raises, so nothing is raised here. The next thing that it does unguarded is to call
    `p.init`, and that is where a refused job ends: before the picture is encoded.
    """
    infotext.clear(p)
    animatediff = None
    try:
        settings = settings_from_args(args, xyz.changes_of(p))
        if not settings.enabled:
            if enabled_forgotten(args, xyz.changes_of(p)):
                logger.warning("settings were given without enabled: the job is not rectified")
            return
        if p.is_api:
            options.check_api_settings(settings)
        animatediff = AnimateDiff.find(p)
        check_job(p, animatediff)
        job = Job(p, settings, animatediff, pictures_from_args(args))
        setattr(p, _ATTRIBUTE, job)
        infotext.write_settings(p, settings)
        _at_init(p, job.arm, job.abandon)
    except Exception as error:
        refusal = error if isinstance(error, (SettingsError, NoiseRectificationError)) else _unexpected(error)
        _at_init(p, None, lambda: _restore(p), refusal=refusal)


def end(p: Any) -> None:
    """Called when the host has finished the job."""
    job = p.__dict__.get(_ATTRIBUTE)
    if job is not None:
        job.take_off()


def _at_init(p: Any, afterwards: Any, on_error: Any, *, refusal: Exception | None = None) -> None:
    """Have `p.init` raise the refusal, or call `afterwards` when it is done; once, and on this object only."""
    original = p.init

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> Any:
        del p.init  # a copy of p made later must not carry this along
        try:
            if refusal is not None:
                raise refusal
            result = original(*args, **kwargs)
            afterwards()
        except Exception as error:
            on_error()
            if isinstance(error, (SettingsError, NoiseRectificationError)):
                logger.error("refused: %s", error)
                raise for_host(error, p.is_api) from None
            raise
        return result

    p.init = init


def _restore(p: Any) -> None:
    """Restore AnimateDiff for a job that was refused before it was understood."""
    try:
        animatediff = AnimateDiff.find(p)
    except NoiseRectificationError:
        return
    animatediff.restore(p)


def _unexpected(error: Exception) -> NoiseRectificationError:
    logger.exception("the job could not be prepared")
    wrapped = NoiseRectificationError(
        f"the job could not be prepared ({type(error).__name__}: {error}): see the console"
    )
    wrapped.__cause__ = error
    return wrapped
