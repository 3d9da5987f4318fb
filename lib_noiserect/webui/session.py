"""One job from its first hook to its last: checks it, arms its sampler, reports, and takes everything off."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..core.noise import NotTwinError, noise_order
from ..core.settings import NO_FILE, Settings, SettingsError
from . import host, infotext, settings_page, xyz
from .animatediff import AnimateDiff
from .arguments import settings_from_args, switch_forgotten
from .compatibility import check_creation, check_job, check_options, check_sampler
from .errors import NoiseRectificationError, for_host
from .image_inputs import Pictures, pictures_from_args

if TYPE_CHECKING:
    from ..core.motion_search import Found
    from ..methods.analytic_init import Statistics
    from ..methods.scorers import Scorer
    from .i4vgen import Creation
    from .rectified_sampling import RectifiedSampling

logger = logging.getLogger("noise_rectification")

_ATTRIBUTE = "_noise_rectification_job"


class Job:
    """What one job asked for and what became of it. Kept on the job's own processing object, and nowhere else."""

    def __init__(
        self, p: Any, settings: Settings, animatediff: AnimateDiff, pictures: Pictures, scorer: Scorer | None
    ) -> None:
        self._p = p
        self._animatediff = animatediff
        self._pictures = pictures
        self.settings = settings
        self.scorer = scorer
        self.statistics: Statistics | None = None
        if settings.statistics != NO_FILE:
            from ..methods.statistics_file import named

            self.statistics = named(settings.statistics)
        self.warnings: list[str] = []
        self.rectified_steps = self.num_steps = 0
        self._creation: Creation | None = None
        self._put_levels_back = host.level_keeper(p.sd_model)

    @property
    def p(self) -> Any:
        return self._p

    def arm(self) -> None:
        """Prepare what stands in for the job's sampling, which needs the picture's latent and, in img2img, the sampler."""
        # The half of the library that only a rectified job needs stays out of the web UI's start.
        from .reference import clean_of

        p, clean = self._p, None
        if is_img2img(p):
            check_sampler(p.sampler, p)
            clean = clean_of(p, self._pictures, self._animatediff, self)
        if self.settings.create:
            from .i4vgen import Creation

            self._creation = Creation(p, self._animatediff, self, clean)
            self._animatediff.replace_output(p, self._output)
            return
        from .rectified_sampling import RectifiedSampling

        assert clean is not None
        infotext.write_pictures(p, clean.keys.frames[1:], self._pictures)
        self._around_sample(RectifiedSampling(p, clean, self._animatediff, self))
        if self._compares:
            self._animatediff.replace_output(p, self._output)

    def arm_batch(self) -> None:
        if self._creation is not None:
            self._creation.put_on()

    @property
    def _compares(self) -> bool:
        return self.settings.enabled and settings_page.comparison_wanted(self._p) and not xyz.is_cell(self._p)

    @property
    def ends_with_candidates(self) -> bool:
        return self._creation is not None and self._creation.ends_with_candidates

    def _output(self, processed: Any, original: Callable[[], Any]) -> Any:
        """What AnimateDiff makes of the frames, with what this job adds to it."""
        results = None if self._creation is None else self._creation.results
        if self._compares and not self.ends_with_candidates:
            from .comparison import Comparison

            pictures = results.anchors if results is not None and not is_img2img(self._p) else None
            comparison = Comparison(self._p, self._animatediff, self, pictures)
            original = functools.partial(comparison.output, processed, original)
        return original() if results is None else results.output(processed, original)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """An error inside the block ends the job, and leaves AnimateDiff and the sampler as they were."""
        try:
            yield
        except Exception as error:
            self.abandon()
            if isinstance(error, (SettingsError, NoiseRectificationError, NotTwinError)):
                raise for_host(error, self._p.is_api) from error
            raise

    def noise_order(self, frames: int) -> list[int] | None:
        """For each frame of a long clip the one whose noise it gets; None is its own."""
        context = int(self._animatediff.option("batch_size") or frames)
        return noise_order(frames, context) if self.settings.repeat_noise and frames > context else None

    def say(self, message: str) -> None:
        """Show a message under the result."""
        logger.info(message)
        self._p.comment(f"Noise Rectification: {message}")

    def _around_sample(self, sampling: RectifiedSampling) -> None:
        """Have `p.sample` rectify: some extensions exchange the job's sampler after `p.init`, in their `process_batch`."""
        p, original = self._p, self._p.sample

        @functools.wraps(original)
        def sample(*args: Any, **kwargs: Any) -> Any:
            with self.refusing(), sampling.on(p.sampler):
                return original(*args, **kwargs)

        setattr(sample, _ATTRIBUTE, p.__dict__.get("sample"))
        p.sample = sample

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
        self.say(f"for SSIM {wanted:g}, {found.words()}")

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
        _take_off_sample(self._p)
        if self._creation is not None:
            self._creation.take_off()
        if self._p.__dict__.get(_ATTRIBUTE) is self:
            delattr(self._p, _ATTRIBUTE)

    def abandon(self) -> None:
        """Leave on an error: AnimateDiff's `postprocess` will not be called, and the UNet must not stay injected."""
        self.take_off()
        self._animatediff.restore(self._p)
        self._put_levels_back()


def begin(p: Any, args: Sequence[object]) -> None:
    """Called once all scripts have had `before_process`; makes the job a rectified one, if that is what it asks for.

    The host swallows what a hook raises, so nothing is raised here. The next thing that it does unguarded is to call
    `p.init`, and that is where a refused job ends: before the picture is encoded.
    """
    infotext.clear(p)
    _take_off_sample(p)
    animatediff = None
    try:
        settings = settings_from_args(args, xyz.changes_of(p), is_img2img=is_img2img(p))
        if not (settings.enabled or settings.create):
            if switch_forgotten(args, xyz.changes_of(p)):
                logger.warning("settings were given without enabled or create: the job is not rectified")
            return
        if p.is_api:
            settings_page.check_api_settings(settings)
        animatediff = AnimateDiff.find(p)
        warnings: list[str] = []
        check_job(p, animatediff, warnings.append)
        pictures, scorer = pictures_from_args(args), None
        if settings.create:
            check_creation(p, animatediff, settings, pictures, is_img2img=is_img2img(p))
            p.denoising_strength = settings.regeneration
            if not is_img2img(p) and settings.scorer not in ("model", "pick"):
                scorer = _scorer(settings.scorer)
        job = Job(p, settings, animatediff, pictures, scorer)
        setattr(p, _ATTRIBUTE, job)
        infotext.write_settings(p, settings)
        for message in warnings:
            job.warn(message)
        _at_init(p, job.arm, job.abandon, check=functools.partial(check_options, animatediff, job.warn))
    except Exception as error:
        refusal = error if isinstance(error, (SettingsError, NoiseRectificationError)) else _unexpected(error)
        _at_init(p, None, lambda: _restore(p), refusal=refusal)


def begin_batch(p: Any) -> None:
    """Called before the sampling of each batch, when everything else has been prepared."""
    job = p.__dict__.get(_ATTRIBUTE)
    if job is not None:
        job.arm_batch()


def is_img2img(p: Any) -> bool:
    """Whether a job has a picture."""
    return hasattr(p, "init_images")


def end(p: Any) -> None:
    """Called when the host has finished the job."""
    job = p.__dict__.get(_ATTRIBUTE)
    # ADetailer calls the hooks of all scripts on copies of a job while that still has batches to make.
    if job is not None and job.p is p:
        job.take_off()


def _take_off_sample(p: Any) -> None:
    """Also from a copy of a job: what is on the job's own `sample` would sample the job itself."""
    sample = p.__dict__.get("sample")
    if hasattr(sample, _ATTRIBUTE):
        del p.sample
        if getattr(sample, _ATTRIBUTE) is not None:  # FreeInit's, which is on the object too
            p.sample = getattr(sample, _ATTRIBUTE)


def _at_init(p: Any, afterwards: Any, on_error: Any, *, check: Any = None, refusal: Exception | None = None) -> None:
    """Have `p.init` raise the refusal, or `check` first, and call `afterwards` when done; once, and on this object only."""
    original = p.init

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> Any:
        del p.init  # a copy of p made later must not carry this along
        try:
            if refusal is not None:
                raise refusal
            if check is not None:
                check()
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


def _scorer(name: str) -> Scorer | None:
    """What chooses among the candidates beside the model itself; refused before anything is computed, if it is not there."""
    from modules import devices

    from ..core.errors import MissingPackageError
    from ..methods.scorers import ScorerError, load_scorer

    try:
        return load_scorer(name, str(devices.device))
    except (ScorerError, MissingPackageError) as error:
        raise NoiseRectificationError(str(error)) from error


def _unexpected(error: Exception) -> NoiseRectificationError:
    logger.exception("the job could not be prepared")
    wrapped = NoiseRectificationError(
        f"the job could not be prepared ({type(error).__name__}: {error}): see the console"
    )
    wrapped.__cause__ = error
    return wrapped
