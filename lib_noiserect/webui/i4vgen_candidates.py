"""What a job through a picture leaves beside its clip: the candidates, in the gallery, and the one that was taken, saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from modules import devices, images, processing, shared
from PIL import Image
from torch import Tensor

from ..core.stand_in import replaced
from ..methods.i4vgen import calls_words, counted_calls
from . import infotext, settings_page, xyz

if TYPE_CHECKING:
    from .animatediff import AnimateDiff
    from .session import Job


@dataclass(frozen=True)
class Candidate:
    """One single picture: its number, which with the seed makes it again, and its score, if it has one."""

    number: int
    picture: Image.Image
    score: float | None


class Results:
    """The candidates of one job, batch after batch."""

    def __init__(self, p: Any, animatediff: AnimateDiff, job: Job) -> None:
        self._p, self._animatediff, self._job = p, animatediff, job
        self.anchors = list[Image.Image]()
        self._shown = list[tuple[Image.Image, str]]()

    def add(self, candidates: Sequence[Candidate], chosen: int | None) -> None:
        """Those of one batch; the chosen one is saved, or all, where the job ends with them."""
        for candidate in candidates:
            text = self._infotext(candidate)
            if shared.opts.enable_pnginfo:
                candidate.picture.info["parameters"] = text
            self._shown.append((candidate.picture, text))
            if chosen is None or candidate.number == chosen:
                self._save(candidate, text)
        if chosen is None:
            return
        taken = next(candidate for candidate in candidates if candidate.number == chosen)
        self.anchors.append(taken.picture)
        infotext.write_candidate(self._p, taken.number, taken.score)
        scores = ", ".join(f"{each.number}: {each.score:.4f}" for each in candidates if each.score is not None)
        self._job.say(f"candidate {chosen} taken" + (f", by the scores {scores}" if scores else ""))

    def write_calls(self, calls: Mapping[str, float], frames: int) -> None:
        """Count the model's calls in the infotext and in the log; they are on so many frames."""
        infotext.write_calls(self._p, counted_calls(calls))
        self._job.say(calls_words(calls, frames))

    def output(self, processed: Any, original: Callable[[], Any]) -> Any:
        """In the place of AnimateDiff's output: after the clip, or instead of it, the candidates."""
        if self._job.ends_with_candidates and self._shown:
            self._animatediff.restore(self._p)
            processed.images, processed.infotexts, processed.index_of_first_image = [], [], 0
            processed.info = self._shown[0][1]
            self._show(processed)
            return None
        try:
            return original()
        finally:  # over the API of Forge and reForge it fails, and the frames are then what is shown
            if settings_page.candidates_wanted(self._p) and not xyz.is_cell(self._p):
                self._show(processed)

    def _show(self, processed: Any) -> None:
        for picture, text in self._shown:
            processed.images.append(picture)
            # The host finds the text of a picture by its place; AnimateDiff leaves one a frame, also for one file.
            processed.infotexts.insert(len(processed.images) - 1, text)

    def _infotext(self, candidate: Candidate) -> str:
        """From which the same picture, and the clip through it, can be made again."""
        p = self._p
        own = infotext.of_candidate(p, candidate.number, candidate.score)
        travel = getattr(self._animatediff.option("prompt_scheduler"), "original_prompt", None)
        with replaced(p, extra_generation_params=own):
            text: str = processing.create_infotext(
                p,
                [travel or p.prompts[0]],
                p.seeds[:1],
                p.subseeds[:1],
                index=0,
                all_negative_prompts=p.negative_prompts[:1],
            )
        return text

    def _save(self, candidate: Candidate, text: str) -> None:
        """As the host saves pictures; AnimateDiff has switched that off for the frames."""
        p = self._p
        if (
            not shared.opts.samples_save
            or not p.outpath_samples
            or (p.is_api and not settings_page.candidates_wanted(p))
        ):
            return
        images.save_image(
            candidate.picture,
            p.outpath_samples,
            "",
            p.seeds[0],
            p.prompts[0],
            shared.opts.samples_format,
            info=text,
            p=p,
            suffix=f"-candidate-{candidate.number}",
        )


def decoded(p: Any, latents: Tensor) -> list[Image.Image]:
    """Pictures of `[F, C, H, W]` latents, as the host itself makes them of its samples."""
    decoded = processing.decode_latent_batch(p.sd_model, latents, target_device=devices.cpu, check_for_nans=True)
    pixels = torch.clamp((torch.stack(list(decoded)).float() + 1.0) / 2.0, min=0.0, max=1.0)
    return [Image.fromarray((255.0 * np.moveaxis(one.cpu().numpy(), 0, 2)).astype(np.uint8)) for one in pixels]
