"""Makes the clips of an experiment's rows, in any process: the model is loaded once in each."""

from __future__ import annotations

import copy
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..pipelines.animation import BUILT_IN, animate, load, native_size, use_sampler

if TYPE_CHECKING:
    from .experiments import Row


@dataclass(frozen=True)
class Maker:
    """A model by name, small enough to travel to a worker.

    Attributes:
        model, motion_adapter, device: as `animate.load` takes them.
        threads: of torch in each process; None leaves torch's own choice.
        bfloat16: whether the model computes in it (by autocast); latents, sampler and rectification stay as they are.
    """

    model: str | None = None
    motion_adapter: str | None = None
    device: str | None = None
    threads: int | None = None
    bfloat16: bool = False

    def __call__(self, row: Row, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The clip of a row from its picture's pixels, `[F, H, W, 3]` uint8."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        pipe = _loaded(self)
        scheduler = copy.deepcopy(pipe.scheduler)
        try:
            use_sampler(pipe, row.sampler)
            with torch.autocast(pipe.device.type, torch.bfloat16, enabled=self.bfloat16):
                clip, _ = animate(
                    pipe,
                    pixels,
                    row.caption,
                    row.settings,
                    method=row.method if row.rectifies else "noising",
                    steps=row.steps,
                    guidance=row.guidance,
                    frames=row.frames,
                    seed=row.seed,
                )
        finally:
            pipe.scheduler = scheduler
        return clip

    @property
    def size(self) -> tuple[int, int]:
        """The width and height in pixels that the model makes by itself; loads it, for the clips too."""
        return native_size(_loaded(self))

    @property
    def weights(self) -> str:
        """Which weights these are: a digest of a folder's safetensors, or the hub id."""
        folders = [Path(name) for name in (self.model or BUILT_IN, self.motion_adapter) if name is not None]
        digest = hashlib.sha256()
        for folder in folders:
            if not folder.is_dir():
                return f"{self.model} {self.motion_adapter or ''}".strip()
            for file in sorted(folder.rglob("*.safetensors")):
                digest.update(file.read_bytes())
        return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def _loaded(maker: Maker) -> Any:
    pipe = load(maker.model, maker.motion_adapter, maker.device)
    pipe.set_progress_bar_config(disable=True)
    return pipe
