"""A video model by name, as the trials use it in any process; it is loaded once in each."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import UserError
from ..media.files import replacing
from ..pipelines.loading import BUILT_IN, load, use_sampler

_FILE = "model.json"


@dataclass(frozen=True)
class Model:
    """A model by name, small enough to travel to a worker."""

    # As `pipelines.loading.load` takes them:
    name: str | None = None
    motion_adapter: str | None = None
    device: str | None = None
    precision: str | None = None
    config: str | None = None
    threads: int | None = None  # torch's, in each process; None leaves torch's own choice
    bfloat16: bool = False  # whether the model computes in it (autocast); latents, sampler and rectification stay as they are

    def load(self) -> Any:
        """The pipeline, new. Raises `PipelineError` if the model is not there, or makes no videos."""
        return load(self.name, self.motion_adapter, self.device, self.precision, self.config)

    @contextmanager
    def pipeline(self, sampler: str = "ddim") -> Iterator[Any]:
        """The pipeline with a sampler, as this model computes."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        pipe = loaded(self)
        scheduler = copy.deepcopy(pipe.scheduler)
        try:
            use_sampler(pipe, sampler)
            with torch.autocast(pipe.device.type, torch.bfloat16, enabled=self.bfloat16):
                yield pipe
        finally:
            pipe.scheduler = scheduler

    @property
    def weights(self) -> str:
        """A digest of the safetensors in the model's files and folders, or the hub id."""
        places = [Path(name) for name in (self.name or BUILT_IN, self.motion_adapter) if name is not None]
        digest = hashlib.sha256()
        for place in places:
            if not place.exists():
                return f"{self.name} {self.motion_adapter or ''}".strip()
            for file in [place] if place.is_file() else sorted(place.rglob("*.safetensors")):
                with file.open("rb") as stream:
                    while part := stream.read(2**24):
                        digest.update(part)
        return digest.hexdigest()[:16]

    def check_folder(self, folder: Path) -> None:
        """Write down which model the results in a folder come from. Raises `UserError` if it was another one."""
        used: dict[str, Any] = {"model": self.name or "built-in", "motion adapter": self.motion_adapter}
        used |= {"weights": self.weights, "bfloat16": self.bfloat16}
        if self.precision is not None:  # folders of earlier versions do not name it
            used["precision"] = self.precision
        before = _used(folder)
        if not before:
            with replacing(folder / _FILE) as unfinished:
                unfinished.write_text(json.dumps(used, indent=2) + "\n", encoding="utf-8")
        elif before != used:
            raise UserError(f"{folder} has results of another model ({before}): use a new folder")


def _used(folder: Path) -> dict[str, Any]:
    file = folder / _FILE
    try:
        used = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if not isinstance(used, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({error}): delete it, or use a new folder") from None
    return used


def model_facts(folder: Path) -> list[tuple[str, str]]:
    """The model behind the results in a folder, where the folder names it: names and values."""
    return [(name.capitalize(), "yes" if value is True else str(value)) for name, value in _used(folder).items() if value]


@functools.cache
def loaded(model: Model) -> Any:
    """The pipeline of a model, without progress bars. Raises `PipelineError` as `Model.load`, which other models have too."""
    pipe = model.load()
    pipe.set_progress_bar_config(disable=True)
    return pipe
