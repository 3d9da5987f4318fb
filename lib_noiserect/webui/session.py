"""One job from its first hook to its last: what is put on the host for it, and the one list that takes all of it off."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from modules import shared

from ..core.errors import UserError
from ..core.settings import NO_FILE
from ..methods import statistics_file
from . import compatibility, host, infotext, settings_page, xyz
from .animatediff import AnimateDiff, restored_after_error
from .arguments import by_name, settings_from_args, switch_forgotten
from .errors import NoiseRectificationError, for_host
from .image_inputs import images_of
from .job import Job, JobLog

if TYPE_CHECKING:
    from .i4vgen import I4VGen
    from .rectified_sampling import RectifiedSampling

logger = logging.getLogger("noise_rectification")

_ATTRIBUTE = "_noise_rectification_session"
_MISSING = object()


def refusing(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator of hooks: if one fails, the host's next call of the method `name` of the job raises the error.

    The host swallows what a hook raises, and would go on with a plain job. Whatever the error is, the statements that wrap
    the method call nothing, so that they cannot fail in turn.
    """

    def decorate(hook: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(hook)
        def guarded(script: Any, p: Any, *args: Any, **kwargs: Any) -> None:
            try:
                hook(script, p, *args, **kwargs)
            except Exception as error:
                reason = error

                def refused(*_args: Any, **_kwargs: Any) -> None:
                    del p.__dict__[name]
                    _end_refused(p, reason)

                p.__dict__[name] = refused

        return guarded

    return decorate


def _end_refused(p: Any, error: Exception) -> None:
    """Undo everything and raise the refusal of the job."""
    with (Session.of(p) or Session(p)).ending_on_error():
        if isinstance(error, UserError):
            raise error
        logger.error("the job could not be prepared", exc_info=error)
        raise NoiseRectificationError(
            f"the job could not be prepared ({type(error).__name__}: {error}): see the console"
        ) from error


class Session:
    """Owns one job and the list of everything that has to be undone after it.

    An attribute that outlives the call which sets it goes through `_put_on` and so onto the list. A hook that lasts for one
    call stands in a `with` block of that call.
    """

    job: Job  # of a job that asks for rectification

    def __init__(self, p: Any) -> None:
        self.p = p
        self._undo = ExitStack()
        self._undo.enter_context(restored_after_error(p))
        self._put_on_p: list[Callable[[Any], None]] = []  # each takes one attribute off, also off a copy of p
        self._sampling: RectifiedSampling | I4VGen | None = None
        self._awaits_output = False

    @staticmethod
    def of(p: Any) -> Session | None:
        """The session of a job; None for a copy: ADetailer calls the hooks of all scripts on copies while the job goes on."""
        session: Session | None = p.__dict__.get(_ATTRIBUTE)
        return session if session is not None and session.p is p else None

    def begin(self, args: Sequence[object]) -> None:
        """Read what the job asks for, check it, and wrap `p.init`; a plain job is left alone.

        Call it when all scripts have had `before_process`.
        """
        p = self.p
        _take_off_leftovers(p)
        before = p.__dict__.pop(_ATTRIBUTE, None)
        if before is not None:  # p is a copy of a job, or that job again
            for take_off in reversed(before._put_on_p):
                take_off(p)
        changes = xyz.changes_of(p)
        settings = settings_from_args(args, changes, is_img2img=host.is_img2img(p))
        infotext.write_settings(p, settings)
        if settings is None:
            if switch_forgotten(args, changes):
                logger.warning("the job has settings and neither enabled nor create: it is not rectified")
            return
        self._put_on(p, _ATTRIBUTE, self)
        self._put_on(p, "close", self._close_after_error(p.close))
        self._undo.enter_context(host.levels_restored_after_error(p.sd_model))
        if p.is_api:
            settings_page.check_api_settings(settings)
        statistics = statistics_file.named(settings.statistics) if settings.statistics != NO_FILE else None
        self.job = Job(p, settings, AnimateDiff.find(p), images_of(by_name(args)), statistics, JobLog(p))
        compatibility.check_job(self.job)
        if settings.create:
            p.denoising_strength = settings.regeneration
        self._replace_next("init", self._init)

    def begin_batch(self) -> None:
        """Take over the sampling of the next batch, when everything else is prepared."""
        assert self._sampling is not None, "another extension has replaced p.init"
        self._replace_next("sample", self._sampling.sample)

    def end(self) -> None:
        """Undo everything when the host has finished the job, now or after AnimateDiff's `postprocess`.

        Users' settings and folder names order the two.
        """
        if not self._awaits_output:
            self._undo.close()

    def _put_on(self, owner: Any, name: str, value: Any) -> Callable[..., None]:
        """Set an attribute until the returned function or the list takes it off; later changes by others stay."""
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)

        def take_off(of: Any = owner) -> None:
            if vars(of).get(name) is value:
                if before is _MISSING:
                    delattr(of, name)
                else:
                    setattr(of, name, before)

        self._undo.callback(take_off)
        if owner is self.p:
            self._put_on_p.append(take_off)
        return take_off

    @contextmanager
    def ending_on_error(self) -> Iterator[None]:
        """An error in the block undoes everything, and a refusal reaches the user in its own words."""
        try:
            yield
        except Exception as error:
            self._undo.__exit__(type(error), error, error.__traceback__)
            if isinstance(error, UserError):
                logger.error("refused: %s", error)
                raise for_host(error, self.p.is_api) from None
            raise

    def _close_after_error(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The job's `close`, which the host calls in any case: after an error behind the sampling it calls no other hook."""

        @functools.wraps(original)
        def close(*args: Any, **kwargs: Any) -> Any:
            if sys.exc_info()[0] is not None:
                self._undo.__exit__(*sys.exc_info())
            return original(*args, **kwargs)

        return close

    def _replace_next(self, name: str, method: Callable[..., Any]) -> None:
        """Have `method(original, …)` answer the job's next call of `name`, and not those of copies that are made later."""
        original = getattr(self.p, name)

        @functools.wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            take_off()
            with self.ending_on_error():
                return method(original, *args, **kwargs)

        take_off = self._put_on(self.p, name, replacement)

    def _init(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The job's `p.init`, and then the sampling: the image's latent and, in img2img, the sampler are there now."""
        compatibility.check_options(self.job)
        result = original(*args, **kwargs)
        # A plain job imports none of this.
        from .reference import reference_of

        job = self.job
        reference = reference_of(job) if job.is_img2img else None
        if job.settings.create:
            from .i4vgen import I4VGen

            self._sampling = I4VGen(job, reference)
        else:
            from .rectified_sampling import RectifiedSampling

            assert reference is not None
            infotext.write_pictures(self.p, reference.keyframes.frames[1:], job.images)
            self._sampling = RectifiedSampling(job, reference)
        compares = job.settings.enabled and settings_page.is_wanted(self.p, settings_page.COMPARISON)
        compares = compares and not job.ends_with_candidates and not xyz.is_cell(self.p)
        if job.settings.create or compares:
            self._wrap_output(compares)
        return result

    def _wrap_output(self, compares: bool) -> None:
        """Add to AnimateDiff's `postprocess`, which finds the frames in the host's result and leaves the gallery's images."""
        script, ends_with_candidates = self.job.animatediff.script, self.job.ends_with_candidates
        original = script.postprocess

        def output(script: Any, of_p: Any, processed: Any, *args: Any) -> Any:
            if of_p is not self.p:  # a job inside this job, of another extension
                return original(of_p, processed, *args)
            is_made = False

            def make_video() -> Any:
                nonlocal is_made
                is_made = True
                return original(of_p, processed, *args)

            try:
                take_off()
                candidates, make = getattr(self._sampling, "candidates", None), make_video
                if compares:
                    from .comparison import Comparison

                    images = None if candidates is None or self.job.is_img2img else candidates.chosen
                    make = functools.partial(Comparison(self.job, images).output, processed, make_video)
                return make() if candidates is None else candidates.output(processed, make)
            except Exception:
                if is_made or ends_with_candidates:
                    raise
                logger.exception("nothing could be added to the video")
                processed.comments += "Noise Rectification: nothing could be added to the video: see the console\n"
                return make_video()  # without it, the host would leave single frames and save no video
            finally:
                self._undo.close()

        if ends_with_candidates:  # AnimateDiff's errors leave its frames, ours would leave one candidate
            output = refusing("close")(output)
        postprocess = functools.update_wrapper(functools.partial(output, script), original)
        take_off = self._put_on(script, "postprocess", postprocess)
        setattr(postprocess, _ATTRIBUTE, (shared.state.time_start, take_off))
        self._awaits_output = True


def _take_off_leftovers(p: Any) -> None:
    """Take off the wrappers of cells of a grid that failed after their sampling: the host calls no further hook of them.

    A job that another extension runs inside a job has the same start time, and leaves the wrapper of the outer one.
    """
    for script in p.scripts.alwayson_scripts:
        while True:
            begun, take_off = getattr(vars(script).get("postprocess"), _ATTRIBUTE, (None, None))
            if take_off is None or begun == shared.state.time_start:
                break
            take_off()
