"""The measurement of half precision, from start to end, with networks that a CPU can try."""

import json

import pytest

from benchmarks import on_gpu


@pytest.mark.slow  # half precision on a CPU, about 10 s
def test_it_measures_both_precisions(tmp_path, capsys):
    words = ["--device", "cpu", "--small", "--steps", "2", "--frames", "2", "--rounds", "1", "--limit", "0"]
    found = on_gpu.main([*words, "--json", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8")) == found
    for precision in on_gpu.PARTS:
        part = found[precision]
        rounds = {name: len(values) for name, values in part["seconds"].items()}
        assert part["steps"] == 1 and rounds == dict.fromkeys(on_gpu.ARMS, 1)
        for differences in part["differences"].values():
            assert 0 <= differences["frozen, to the pivot"] <= 20 * differences["spacing"]
            assert 0 <= differences["pinned, to the pivot"] <= 20 * differences["spacing"]
            assert differences["spacing"] > 0
    said = capsys.readouterr().out
    assert said.startswith("## Half precision on cpu") and "| ddim: frozen, to the pivot |" in said
    assert {line.count("|") for line in said.splitlines() if line.startswith("|")} == {4}
