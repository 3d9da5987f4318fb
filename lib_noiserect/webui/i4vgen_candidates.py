"""The candidates of an I4VGen job: shown in the gallery, and the chosen one saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modules import images as host_images
from modules import processing, shared
from PIL import Image

from ..core.stand_in import replaced
from . import infotext, settings_page, xyz
from .job import Job


class Candidates:
    """The candidates of one job, batch after batch; `chosen` has one image for each batch."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.chosen = list[Image.Image]()
        self._shown = list[tuple[Image.Image, str]]()

    def add(self, numbers: Sequence[int], images: Sequence[Image.Image], scores: Sequence[float], chosen: int | None) -> None:
        """Add those of one batch and save the chosen one; None saves all, for a job that ends with them.

        A number makes its image again together with the seed; `scores` is empty if there are none.
        """
        p, of_number = self._job.p, dict(zip(numbers, scores))
        for number, image in zip(numbers, images):
            text = self._infotext(number, of_number.get(number))
            if shared.opts.enable_pnginfo:
                image.info["parameters"] = text
            self._shown.append((image, text))
            if chosen in (None, number):
                self._save(image, number, text)
        if chosen is None:
            return
        self.chosen.append(images[numbers.index(chosen)])
        p.extra_generation_params.update(infotext.chosen(chosen, of_number.get(chosen)))
        words = ", ".join(f"{number}: {score:.4f}" for number, score in of_number.items())
        self._job.log.say(f"candidate {chosen} chosen" + (f", by the scores {words}" if words else ""))

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

    def _infotext(self, number: int, score: float | None) -> str:
        """A text that makes the same image, and the video through it, again."""
        p = self._job.p
        travel = getattr(self._job.animatediff.option("prompt_scheduler"), "original_prompt", None)
        negatives, of_one = p.negative_prompts[:1], ([travel or p.prompts[0]], p.seeds[:1], p.subseeds[:1])
        with replaced(p, extra_generation_params=infotext.of_candidate(p, number, score)):
            text: str = processing.create_infotext(p, *of_one, index=0, all_negative_prompts=negatives)
        return text

    def _save(self, image: Image.Image, number: int, text: str) -> None:
        """Save an image as the host does; AnimateDiff has switched that off for the frames."""
        p, opts = self._job.p, shared.opts
        is_unasked = p.is_api and not settings_page.is_wanted(p, settings_page.CANDIDATES)
        if opts.samples_save and p.outpath_samples and not is_unasked:
            where = (p.outpath_samples, "", p.seeds[0], p.prompts[0], opts.samples_format)
            host_images.save_image(image, *where, info=text, p=p, suffix=f"-candidate-{number}")
