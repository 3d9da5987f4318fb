"""After a rectified job, for those who want it: the picture beside frames of its clip, and what was measured of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from modules import images, shared
from PIL import Image

from ..media import metrics
from ..media.comparison_sheet import comparison_sheet
from ..media.metrics import Pixels
from .animatediff import AnimateDiff

if TYPE_CHECKING:
    from .session import Job

logger = logging.getLogger("noise_rectification")

_SUFFIX = "-comparison"


@dataclass(frozen=True)
class _Clip:
    """The frames of one clip, before AnimateDiff interpolates, reverses or encodes them."""

    frames: list[Image.Image]
    seed: int
    infotext: str
    picture: Image.Image


class Comparison:
    """The sheets of one job, one a clip.

    Args:
        p: the job.
        animatediff: AnimateDiff's part in it.
        job: knows whether anything was rectified, and is told of a failure, which never costs the clip.
        pictures: one a clip, where each was made through one of its own; else they are of the job's picture.
    """

    def __init__(
        self, p: Any, animatediff: AnimateDiff, job: Job, pictures: Sequence[Image.Image] | None = None
    ) -> None:
        self._p, self._animatediff, self._job, self._pictures = p, animatediff, job, pictures

    def output(self, processed: Any, original: Callable[[], Any]) -> Any:
        """In the place of AnimateDiff's output, which turns frames into clips: with the sheets added to what is left."""
        with self._around(processed):
            return original()

    @contextmanager
    def _around(self, processed: Any) -> Iterator[None]:
        clips, folder, before = list[_Clip](), Path(), set[str]()
        with self._or_warn(processed):
            folder = self._folder()
            clips, before = self._clips(processed), _names(folder)
        yield
        with self._or_warn(processed):
            written = _names(folder) - before if clips else set()
            for clip in clips:
                self._add(clip, folder, written, processed)

    @contextmanager
    def _or_warn(self, processed: Any) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            logger.exception("the comparison could not be made")
            message = f"the comparison with the picture could not be made ({type(error).__name__}: {error})"
            self._job.warn(message)
            # The host has already gathered what it shows under the result.
            processed.comments += f"Noise Rectification: {message}\n"

    def _clips(self, processed: Any) -> list[_Clip]:
        """As AnimateDiff cuts them out of the result, which may hold more: a grid, masks, the rest of a context."""
        if not self._job.rectified_steps:
            return []
        length = self._animatediff.option("video_length")
        begin, step = processed.index_of_first_image, max(length, self._animatediff.option("batch_size"))
        seeds = processed.all_seeds
        starts = range(begin, min(len(processed.images), begin + len(seeds)), step)
        pictures = [self._p.init_images[0]] * len(starts) if self._pictures is None else self._pictures
        return [
            _Clip(processed.images[index : index + length], seeds[index - begin], processed.infotexts[index], picture)
            for index, picture in zip(starts, pictures)
        ]

    def _add(self, clip: _Clip, folder: Path, written: set[str], processed: Any) -> None:
        """Draw a clip's sheet, save it beside the clip and show it in the gallery."""
        picture = np.asarray(self._fitted(clip.picture, clip.frames[0].size))
        frames = np.stack([np.asarray(frame.convert("RGB")) for frame in clip.frames])
        sheet = drawn(picture, frames, f"Rectified: {self._job.rectified_steps} of {self._job.num_steps} steps")
        if shared.opts.enable_pnginfo:
            sheet.info["parameters"] = clip.infotext
        name = self._name_of(clip, written)
        images.save_image(
            sheet,
            str(folder),
            "",
            seed=clip.seed,
            prompt=processed.prompt,
            info=clip.infotext,
            p=self._p,
            forced_filename=name and f"{name}{_SUFFIX}",
            suffix=_SUFFIX,  # where AnimateDiff saved nothing whose name could be taken, and the host makes one
            save_to_dirs=False,
        )
        processed.images.append(sheet)
        # The host finds the text of a picture by its place; AnimateDiff leaves one a frame, also where a clip is one file.
        processed.infotexts.insert(len(processed.images) - 1, clip.infotext)

    def _fitted(self, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The picture as the host made it fit the frames, RGB."""
        picture = images.flatten(picture, shared.opts.img2img_background_color)
        if picture.size != size:
            # Mode 3 resizes the latent, which stretches.
            mode = self._p.resize_mode
            picture = images.resize_image(mode if mode != 3 else 0, picture, *size)
        return picture.convert("RGB")

    def _folder(self) -> Path:
        """Where AnimateDiff puts its clips."""
        return Path(self._p.outpath_samples) / "AnimateDiff" / datetime.now().strftime("%Y-%m-%d")

    def _name_of(self, clip: _Clip, written: set[str]) -> str | None:
        """AnimateDiff's name of a clip, `00007-1234`, among what it has just written; None if it wrote none."""
        request = self._animatediff.option("request_id")
        ending = f"-{clip.seed}-{request}" if request else f"-{clip.seed}"
        numbers = [name.removesuffix(ending) for name in written if name.endswith(ending)]
        return next((f"{number}{ending}" for number in numbers if number.isdigit()), None)


def drawn(picture: Pixels, frames: Pixels, title: str) -> Image.Image:
    """The sheet of one clip.

    Args:
        picture: `[H, W, 3]` uint8.
        frames: `[F, H, W, 3]` uint8, at least two of at least 16x16 pixels.
        title: what was done to the clip.

    Raises:
        EvaluationError: the frames are too few or too small, or the picture is of another size.
    """
    shown = shown_frames(len(frames))
    similarities = metrics.ssim_per_frame(frames[shown], picture)
    decibels = metrics.psnr_per_frame(frames, picture).mean()
    figures = {
        "PSNR to the picture, mean": f"{decibels:.1f} dB",
        "motion": f"{metrics.motion(frames):.2f} pixels a frame",
    }
    captions = [f"frame {index}\nSSIM {similarity:.3f}" for index, similarity in zip(shown, similarities)]
    rows = [(title, frames[shown], figures)]
    return comparison_sheet(picture, rows, columns=len(shown), captions=[captions], font=images.get_font)


def shown_frames(count: int) -> Sequence[int]:
    """The indices 0, F/4, F/2, 3F/4 and F-1 of `count` frames, each once."""
    return sorted({0, count // 4, count // 2, 3 * count // 4, count - 1})


def _names(folder: Path) -> set[str]:
    """What lies in a folder, without endings; nothing if there is none."""
    return {entry.stem for entry in folder.iterdir()} if folder.is_dir() else set()
