"""Results on disk, one JSON object a line, by a key that says what was measured; for experiments of more kinds than clips."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

from .errors import EvaluationError

logger = logging.getLogger(__name__)

Key = TypeVar("Key")


class Lines(Generic[Key]):
    """Values by key (a frozen dataclass of numbers and texts), each on disk when `append` returns.

    A run that was killed while it wrote leaves half a line: it is passed over, and cut off when the next one is added.

    Raises:
        EvaluationError: the file is damaged elsewhere than at its end.
    """

    def __init__(self, path: Path, kind: type[Key]) -> None:
        self._path = path
        self.values: dict[Key, dict[str, Any]] = {}
        content = path.read_bytes() if path.is_file() else b""
        self._whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[: self._whole].decode().splitlines(), start=1):
            try:
                said = json.loads(line)
                self.values[kind(**said["key"])] = dict(said["values"])
            except (ValueError, TypeError, KeyError) as error:
                raise EvaluationError(
                    f"{path} line {number} is damaged ({error}): remove the line and run again"
                ) from None

    def append(self, key: Key, values: Mapping[str, Any]) -> None:
        line = json.dumps({"key": asdict(key), "values": dict(values)}, ensure_ascii=False).encode() + b"\n"  # type: ignore[call-overload]
        with self._path.open("r+b" if self._path.is_file() else "w+b") as file:
            file.truncate(self._whole)
            file.seek(self._whole)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._whole += len(line)
        self.values[key] = dict(values)
