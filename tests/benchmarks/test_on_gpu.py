"""The measurement of half precision, with networks that a CPU can try."""

import json

import pytest

from benchmarks import on_gpu


@pytest.mark.slow  # half precision on a CPU
def test_it_measures_both_precisions(tmp_path):
    words = ["--device", "cpu", "--small", "--steps", "1", "--frames", "2", "--rounds", "1", "--limit", "0"]
    found = on_gpu.main([*words, "--json", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8")) == found
    for precision, rounding in (("fp16", 2**-10), ("bf16", 2**-7)):
        assert found[precision]["rounds"] == 1
        assert set(found[precision]["time ratio"]) == set(on_gpu.ARMS) and found[precision]["time ratio"]["plain"] == 1
        for differences in found[precision]["largest difference"].values():
            assert differences["frozen, to the pivot"] <= 20 * rounding
            assert differences["pinned, to the pivot"] <= 20 * rounding
