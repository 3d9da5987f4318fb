"""Results by key, one JSON object a line: what is there is read again, and what was cut off is not."""

from dataclasses import dataclass

import pytest

from lib_noiserect.evaluation.errors import EvaluationError
from lib_noiserect.evaluation.lines import Lines


@dataclass(frozen=True)
class Key:
    what: str
    number: int


def test_what_was_added_is_there_again(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = Lines(path, Key)
    assert lines.values == {} and not path.exists()
    odd = Key("ω\n, \u2028 and \x85 are no ends of lines here", 1)
    lines.append(odd, {"figure": 0.1 + 0.2, "several": [[1, 2], [3]]})
    lines.append(Key("ω", 2), {"figure": float("nan")})
    again = Lines(path, Key)
    assert list(again.values) == [odd, Key("ω", 2)] == list(lines.values)
    assert again.values[odd] == {"figure": 0.1 + 0.2, "several": [[1, 2], [3]]}
    assert again.values[Key("ω", 2)]["figure"] != again.values[Key("ω", 2)]["figure"]


def test_half_a_line_at_the_end_is_dropped(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    Lines(path, Key).append(Key("whole", 1), {"figure": 1.0})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": {"what": "ha\xcf')
    lines = Lines(path, Key)
    assert list(lines.values) == [Key("whole", 1)] and "a.jsonl ends in half a line" in caplog.text
    lines.append(Key("next", 2), {"figure": 2.0})
    assert path.read_bytes().startswith(whole + b'{"key": {"what": "next"') and len(Lines(path, Key).values) == 2


@pytest.mark.parametrize("line", ["nothing", '{"key": {"other": 1}, "values": {}}', '{"key": {}}', "[]"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    Lines(path, Key).append(Key("whole", 1), {})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(EvaluationError, match="a.jsonl line 2 is damaged .*: remove the line and run again"):
        Lines(path, Key)


def test_a_file_of_other_bytes_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff\n")
    with pytest.raises(EvaluationError, match="a.jsonl is damaged .*: use a new folder"):
        Lines(path, Key)
