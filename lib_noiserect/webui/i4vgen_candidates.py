"""The candidates of an I4VGen job: shown in the gallery, and the chosen one saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modules import images, processing, shared
from PIL import Image

from ..core.stand_in import replaced
from . import infotext, settings_page, xyz
from .job import Job


@dataclass(frozen=True)
class Candidate:
    """One image: its number, which makes it again together with the seed, and its score, if it has one."""

    number: int
    image: Image.Image
    score: float | None


class Candidates:
    """The candidates of one job, batch after batch; `chosen` has one image for each batch."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.chosen = list[Image.Image]()
        self._shown = list[tuple[Image.Image, str]]()

    def add(self, candidates: Sequence[Candidate], chosen: int | None) -> None:
        """Add those of one batch and save the chosen one; None saves all, for a job that ends with them."""
        job = self._job
        for candidate in candidates:
            text = self._infotext(candidate)
            if shared.opts.enable_pnginfo:
                candidate.image.info["parameters"] = text
            self._shown.append((candidate.image, text))
            if chosen is None or candidate.number == chosen:
                self._save(candidate, text)
        if chosen is None:
            return
        taken = next(candidate for candidate in candidates if candidate.number == chosen)
        self.chosen.append(taken.image)
        job.p.extra_generation_params.update(infotext.chosen(taken.number, taken.score))
        scores = ", ".join(f"{each.number}: {each.score:.4f}" for each in candidates if each.score is not None)
        job.log.say(f"candidate {chosen} chosen" + (f", by the scores {scores}" if scores else ""))

    def output(self, processed: Any, make_videos: Callable[[], Any]) -> Any:
        """Have AnimateDiff turn the frames into videos, and show the candidates behind them, or without any video."""
        job = self._job
        if job.ends_with_candidates and self._shown:
            job.animatediff.restore(job.p)
            processed.images, processed.infotexts, processed.index_of_first_image = [], [], 0
            processed.info = self._shown[0][1]
            self._show(processed)
            return None
        try:
            return make_videos()
        finally:  # over the API of Forge and reForge it fails, and the frames are then the result
            if settings_page.is_wanted(job.p, settings_page.CANDIDATES) and not xyz.is_cell(job.p):
                self._show(processed)

    def _show(self, processed: Any) -> None:
        for image, text in self._shown:
            processed.images.append(image)
            # The host finds an image's text by its place; AnimateDiff leaves one for each frame, also for one file.
            processed.infotexts.insert(len(processed.images) - 1, text)

    def _infotext(self, candidate: Candidate) -> str:
        """A text that makes the same image, and the video through it, again."""
        p = self._job.p
        lines = infotext.of_candidate(p, candidate.number, candidate.score)
        travel = getattr(self._job.animatediff.option("prompt_scheduler"), "original_prompt", None)
        negatives, of_one = p.negative_prompts[:1], ([travel or p.prompts[0]], p.seeds[:1], p.subseeds[:1])
        with replaced(p, extra_generation_params=lines):
            text: str = processing.create_infotext(p, *of_one, index=0, all_negative_prompts=negatives)
        return text

    def _save(self, candidate: Candidate, text: str) -> None:
        """Save an image as the host does; AnimateDiff has switched that off for the frames."""
        p, opts = self._job.p, shared.opts
        is_unasked = p.is_api and not settings_page.is_wanted(p, settings_page.CANDIDATES)
        if opts.samples_save and p.outpath_samples and not is_unasked:
            suffix = f"-candidate-{candidate.number}"
            where = (p.outpath_samples, "", p.seeds[0], p.prompts[0], opts.samples_format)
            images.save_image(candidate.image, *where, info=text, p=p, suffix=suffix)
