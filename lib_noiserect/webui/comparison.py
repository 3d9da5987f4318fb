"""The comparison sheet after a rectified job, if the user wants it: the image, frames of its video, and measurements."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from modules import images as host_images
from modules import shared
from PIL import Image

from ..media import metrics
from ..media.comparison_sheet import comparison_sheet
from ..media.metrics import Pixels
from .job import Job
from .reference import fit

logger = logging.getLogger("noise_rectification")

_SUFFIX = "-comparison"
# The frames of one video, before AnimateDiff interpolates, reverses or encodes them; its seed, infotext and image.
_Video: TypeAlias = "tuple[list[Image.Image], int, str, Image.Image]"


class Comparison:
    """The comparison sheets of one job, one for each video: with the job's image, or with an image for each of them."""

    def __init__(self, job: Job, images: Sequence[Image.Image] | None) -> None:
        self._job, self._images = job, images

    def output(self, processed: Any, make_videos: Callable[[], Any]) -> Any:
        """Have AnimateDiff turn the frames into videos, and add the sheets to the gallery that it leaves."""
        videos, folder, before = list[_Video](), Path(), set[str]()
        with self._or_warn(processed):
            # Where AnimateDiff puts its videos.
            folder = Path(self._job.p.outpath_samples) / "AnimateDiff" / datetime.now().strftime("%Y-%m-%d")
            videos, before = self._videos(processed), _names(folder)
        result = make_videos()
        with self._or_warn(processed):
            written = _names(folder) - before if videos else set()
            for video in videos:
                self._add(video, folder, written, processed)
        return result

    @contextmanager
    def _or_warn(self, processed: Any) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            logger.exception("the comparison could not be made")
            message = f"the comparison sheet could not be made ({type(error).__name__}: {error})"
            self._job.log.warn(message)
            # The host has already gathered what it shows under the result.
            processed.comments += f"Noise Rectification: {message}\n"

    def _videos(self, processed: Any) -> list[_Video]:
        """Cut the videos out of the result as AnimateDiff does: it may also hold a grid, masks and the rest of a context."""
        job, animatediff = self._job, self._job.animatediff
        if not job.log.rectified_steps:
            return []
        length, begin, seeds = animatediff.video_length, processed.index_of_first_image, processed.all_seeds
        ends = min(len(processed.images), begin + len(seeds))
        starts = range(begin, ends, max(length, animatediff.context))
        originals = [job.p.init_images[0]] * len(starts) if self._images is None else self._images
        return [
            (processed.images[start : start + length], seeds[start - begin], processed.infotexts[start], original)
            for start, original in zip(starts, originals)
        ]

    def _add(self, video: _Video, folder: Path, written: set[str], processed: Any) -> None:
        """Draw a video's sheet, save it beside the video and show it in the gallery."""
        p, log = self._job.p, self._job.log
        images, seed, text, original = video
        frames = np.stack([np.asarray(image.convert("RGB")) for image in images])
        title = f"Rectified: {log.rectified_steps} of {log.num_steps} steps"
        sheet = sheet_of(np.asarray(fit(p, original, images[0].size)), frames, title)
        if shared.opts.enable_pnginfo:
            sheet.info["parameters"] = text
        stem = self._name_of(seed, written)
        # The suffix is for a name that the host makes, where AnimateDiff saved no file.
        name = {"forced_filename": stem and f"{stem}{_SUFFIX}", "suffix": _SUFFIX, "save_to_dirs": False}
        host_images.save_image(sheet, str(folder), "", p=p, seed=seed, prompt=processed.prompt, info=text, **name)
        processed.images.append(sheet)
        # The host finds an image's text by its place; AnimateDiff leaves one for each frame, also where a video is one file.
        processed.infotexts.insert(len(processed.images) - 1, text)

    def _name_of(self, seed: int, written: set[str]) -> str | None:
        """AnimateDiff's name of a video, `00007-1234`, among the files that it has just written; None if it wrote none."""
        request = self._job.animatediff.option("request_id")
        ending = f"-{seed}-{request}" if request else f"-{seed}"
        numbers = [name.removesuffix(ending) for name in written if name.endswith(ending)]
        return next((f"{number}{ending}" for number in numbers if number.isdigit()), None)


def sheet_of(image: Pixels, frames: Pixels, title: str) -> Image.Image:
    """The comparison sheet of one video, from `[H, W, 3]` and `[F, H, W, 3]` uint8: frames 0, F/4, F/2, 3F/4 and F-1.

    Raises `MediaError` if the frames are fewer than two or below 16x16 pixels, or the image has another size.
    """
    count = len(frames)
    shown = sorted({0, count // 4, count // 2, 3 * count // 4, count - 1})
    similarities = metrics.ssim_per_frame(frames[shown], image)
    decibels = metrics.psnr_per_frame(frames, image).mean()
    figures = {"PSNR to the image, mean": f"{decibels:.1f} dB", "motion": f"{metrics.motion(frames):.2f} pixels per frame"}
    captions = [f"frame {index}\nSSIM {similarity:.3f}" for index, similarity in zip(shown, similarities)]
    rows = [(title, frames[shown], figures)]
    return comparison_sheet(image, rows, columns=len(shown), captions=[captions], font=host_images.get_font)


def _names(folder: Path) -> set[str]:
    """The names of a folder's files without endings; empty if there is no folder."""
    return {entry.stem for entry in folder.iterdir()} if folder.is_dir() else set()
