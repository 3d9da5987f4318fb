"""An exception at any call inside the extension ends the job with an error, and leaves the next plain jobs as they were."""

import sys

import pytest
from faults import SCRIPT, TRIALS, Trial, sweep
from standin import Host

SAMPLE = [
    *(("a1111", name) for name in ("all controls by the API", "a wrong value", "text to video")),
    ("forge", "timesteps"),
]


@pytest.mark.parametrize("trial", SAMPLE, ids="-".join)
def test_a_sample_of_faults(trial, tmp_path):
    """A few places, in all parts of the job, and all of the first hook's."""
    counts, wrong = sweep(trial, tmp_path, lambda places: [*places[:3], *places[3 :: max(len(places) // 6, 1)]])
    assert not wrong and counts["refused"] >= 7


@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.parametrize("host_name", ["a1111", "forge"])
def test_all_faults(host_name, name, tmp_path, request, capsys):
    """About 11,000 places, 20 minutes."""
    if not request.config.getoption("--slow"):
        pytest.skip("takes a minute or more: --slow")
    counts, wrong = sweep((host_name, name), tmp_path)
    with capsys.disabled():
        print(f"\n{host_name}, {name}: {dict(counts)}")
    assert not wrong


@pytest.mark.parametrize("host_name", ["a1111", "forge"])
@pytest.mark.parametrize("name", ["all controls by the API", "animated image"])
def test_an_error_of_the_host_behind_the_sampling_leaves_nothing(host_name, name, monkeypatch):
    settings, job = TRIALS[name]
    with Host(host_name) as host:
        from modules import processing_loop

        host.load_script(SCRIPT)
        trial, script, seen = Trial(host, settings, **job), host.script("AnimateDiff"), []
        plain, before = trial.plain(), dict(vars(script))

        def fail(*_, **__):
            seen.append(sys._getframe(1).f_locals["p"])
            raise OSError("no memory")

        with monkeypatch.context() as patch:
            patch.setattr(processing_loop, "decode_latent_batch", fail)
            assert trial.asked().error and len(seen) == 1
        assert vars(script) == before
        assert host_name == "forge" or not host.frames_are_connected()
        left = [key for key, value in vars(seen[0]).items() if "lib_noiserect" in f"{getattr(value, '__module__', value)}"]
        assert not left and "_noise_rectification_session" not in vars(seen[0])
        assert trial.plain() == plain


def test_an_error_behind_the_candidates_leaves_no_single_candidate(monkeypatch):
    """The host swallows what AnimateDiff's `postprocess` raises: the job's `close` raises it again."""
    settings, job = TRIALS["candidates"]
    with Host("a1111") as host:
        host.load_script(SCRIPT)
        from lib_noiserect.webui.i4vgen_candidates import Candidates

        def fail(*_):
            raise OSError("no memory")

        trial = Trial(host, settings, **job)
        assert len(trial.asked().images) == 2
        monkeypatch.setattr(Candidates, "_show", fail)
        assert "the job could not be prepared (OSError: no memory)" in trial.asked().error
