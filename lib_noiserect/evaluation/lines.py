"""Results on disk to which lines are added, each there when it was added: a file of any text, and one of JSON by keys."""

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


class LineFile:
    """A file that whole lines are added to. One process at a time may write.

    A run that was killed while it wrote leaves half a line: it is passed over, and cut off when the next one is added.

    Attributes:
        text: the whole lines that were there; empty where there is no file.

    Raises:
        EvaluationError: it is no UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes() if path.is_file() else b""
        self._end = content.rfind(b"\n") + 1
        if self._end < len(content):
            logger.warning("%s ends in half a line, which is passed over", path)
        try:
            self.text = content[: self._end].decode()
        except UnicodeDecodeError as error:
            raise EvaluationError(f"{path} is damaged ({error}): use a new folder") from None

    def append(self, text: str) -> None:
        """Add lines, each with its line break; they are on disk when this returns."""
        content = text.encode()
        # Opened anew for each line, which takes seconds to compute: nothing is held open, and nothing is lost.
        with self.path.open("r+b" if self.path.is_file() else "w+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._end += len(content)


class Lines(Generic[Key]):
    """Values by key (a frozen dataclass of numbers and texts), one JSON object a line of a `LineFile`.

    Raises:
        EvaluationError: the file is damaged elsewhere than at its end.
    """

    def __init__(self, path: Path, kind: type[Key]) -> None:
        self._file = LineFile(path)
        self.values: dict[Key, dict[str, Any]] = {}
        for number, line in enumerate(self._file.text.split("\n")[:-1], start=1):
            try:
                said = json.loads(line)
                self.values[kind(**said["key"])] = dict(said["values"])
            except (ValueError, TypeError, KeyError) as error:
                raise EvaluationError(
                    f"{path} line {number} is damaged ({error}): remove the line and run again"
                ) from None

    def append(self, key: Key, values: Mapping[str, Any]) -> None:
        line = json.dumps({"key": asdict(key), "values": dict(values)}, ensure_ascii=False)  # type: ignore[call-overload]
        self._file.append(f"{line}\n")
        self.values[key] = dict(values)
