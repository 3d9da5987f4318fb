"""The results of a run on disk: a folder with `results.csv`, one line a row, and the clips and pictures that were kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeAlias

from .errors import EvaluationError
from .experiments import Row
from .lines import LineFile

Value: TypeAlias = "float | str"
MODEL_FILE = "model.json"
"""What made the clips of a folder: names and values."""

_ROW_COLUMNS = [field.name for field in fields(Row)]
_NUMBERS = {"tau_start": float, "tau_end": float, "guidance": float, "seed": int, "steps": int, "frames": int}


@dataclass(frozen=True)
class Result:
    """A row that was computed: its figures, and what is said in words (the direction, the model of a score), by name."""

    row: Row
    values: Mapping[str, Value]

    @property
    def figures(self) -> dict[str, float]:
        return {name: value for name, value in self.values.items() if isinstance(value, float)}


class Store:
    """Results that are added one by one, each on disk when `append` returns. One process at a time may write.

    Raises:
        EvaluationError: `results.csv` is not such a file, or is damaged elsewhere than at its end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = LineFile(folder / "results.csv")
        self.results = _results(self._file) if self._file.text else []
        self._columns = next(_cells(self._file), [])

    def append(self, result: Result) -> None:
        """Adds a result. Raises `EvaluationError` if it has other figures than those that are there."""
        line = {"id": result.row.id, **asdict(result.row), **result.values, "omega": result.row.omega_text}
        columns = self._columns or list(line)
        if sorted(columns) != sorted(line):
            differ = ", ".join(sorted(set(columns) ^ set(line)))
            raise EvaluationError(f"{self._file.path} was written with other columns ({differ}): use a new folder")
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        if not self._columns:
            writer.writeheader()
        writer.writerow(line)
        self._file.append(text.getvalue())
        self._columns = columns
        self.results.append(result)

    def keep(self, path: str, content: bytes) -> None:
        """Writes a file below the folder, whole or not at all."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".part")
        partial.write_bytes(content)
        partial.replace(target)


def read_results(folder: Path) -> list[Result]:
    """The results in a folder that `runner.run` wrote; half a line at the end is passed over, and the file is left as it is.

    Raises:
        EvaluationError: there are none, or a line is damaged.
    """
    path = folder / "results.csv"
    if not path.is_file():
        raise EvaluationError(f"{path} does not exist: give the folder that the experiment was run into")
    return _results(LineFile(path))


def _results(file: LineFile) -> list[Result]:
    path, lines = file.path, _cells(file)
    header = next(lines, [])
    if not {"id", *_ROW_COLUMNS} <= set(header):
        raise EvaluationError(f"{path} has the columns {', '.join(header) or '(none)'}: this is no file of results")
    results = []
    for number, line in enumerate(lines, start=2):
        try:
            results.append(_result(dict(zip(header, line, strict=True))))
        except ValueError as error:
            raise EvaluationError(f"{path} line {number} is damaged ({error}): remove the line and run again") from None
    return results


def has_results(folder: Path) -> bool:
    """Whether there is a file for `read_results`."""
    return (folder / "results.csv").is_file()


def clip_path(row: Row) -> str:
    """Where the store keeps the row's clip, if it does."""
    return f"clips/{row.id}.webp"


def picture_path(picture: str) -> str:
    """Where the store keeps a picture, by its id, if it keeps clips of it."""
    return f"pictures/{picture}.png"


def _result(line: dict[str, str]) -> Result:
    row = {name: _NUMBERS.get(name, str)(line[name]) for name in _ROW_COLUMNS}
    values = {name: _value(text) for name, text in line.items() if name not in {"id", *_ROW_COLUMNS}}
    result = Result(Row(**row), values)
    if result.row.id != line["id"]:
        raise ValueError(f"id = {line['id']} is not that of its row, {result.row.id}")
    return result


def _value(text: str) -> Value:
    try:
        return float(text)
    except ValueError:
        return text


def _cells(file: LineFile) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(file.text, newline=""))
