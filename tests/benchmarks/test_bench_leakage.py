"""The experiments on conditional image leakage: what is asked for, what is kept of it, and how it is shown."""

import argparse
import re
from dataclasses import replace

import pytest

from benchmarks import leakage
from benchmarks.families import results_in
from benchmarks.leakage import EXPERIMENTS, RULES, SIBLINGS, STARTS, TIMES, Measurer, Trial, trials_of
from benchmarks.leakage_report import parts
from lib_noiserect.cli import evaluate
from lib_noiserect.core.errors import UserError
from lib_noiserect.core.settings import Settings
from lib_noiserect.evaluation.model import Model
from lib_noiserect.evaluation.report import write_reports
from lib_noiserect.methods.analytic_init import KINDS
from lib_noiserect.pipelines.schedulers import PipelineError
from lib_noiserect.tiny.world import Scenes, pixels_of


def trial(picture=0, **other):
    settings = {
        "experiment": "start",
        "model": "plain",
        "time": 1.0,
        "statistics": "none",
        "steps": 10,
        "guidance": 1.0,
    }
    return Trial(**{**settings, **other}, picture=picture)


# What is asked for.


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_setting_is_measured_on_every_picture_once(experiment):
    asked = trials_of(experiment, 3, 10)
    assert len(set(asked)) == len(asked)
    settings = [
        {(one.model, one.time, one.statistics) for one in asked if one.picture == number} for number in range(3)
    ]
    assert settings[0] == settings[1] == settings[2] and len(asked) == 3 * len(settings[0])


def test_the_papers_sweep_of_m_and_both_trainings():
    assert STARTS == (1.0, 0.94, 0.9, 0.86, 0.82)
    asked = trials_of("start", 1, 10)
    for model, statistics in (
        ("plain", "none"),
        ("plain", "mean"),
        ("timenoise", "none"),
        ("timenoise", "conditional"),
    ):
        assert {one.time for one in asked if (one.model, one.statistics) == (model, statistics)} == set(STARTS)
    assert {one.model for one in trials_of("time-noise", 1, 10)} == {"world", *SIBLINGS}
    assert {one.time for one in trials_of("leakage", 1, 10)} == set(TIMES)
    assert {one.statistics for one in trials_of("rectified-start", 1, 10)} == {"none", *KINDS}
    rectified = trials_of("image-to-video", 1, 10)
    assert len(rectified) == 12 and {one.model for one in rectified} == {f"plain{rule}" for rule in RULES}


# How it is shown.


def lines_of(markdown, label):
    """The lines of the tables of a part that begin with a label, as lists of cells."""
    return [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith(f"| {label} |")]


def test_means_and_paired_differences_by_hand(tmp_path):
    store = results_in(tmp_path)
    for picture, (first, late) in enumerate([(1.0, 1.5), (2.0, 3.5), (3.0, 4.0)]):
        store.append(trial(picture), {"speed": first})
        store.append(trial(picture, time=0.82), {"speed": late})
    store.append(trial(3), {"speed": 2.0})  # has no partner: in the mean, in no difference
    (part,) = parts(results_in(tmp_path))
    assert part.name == "start" and "Images: 4, Steps: 10, Guidance: 1" in part.markdown
    (first,) = lines_of(part.markdown, "plain, M = 1.00")
    means, differences = lines_of(part.markdown, "plain, M = 0.82")
    assert (
        first[1].startswith("2.000 [") and means[1].startswith("3.000 [") and differences[1].startswith("+1.000 [+0.5")
    )
    assert first[2] == "–", "what was not measured has no figure"
    assert "<td>plain, M = 1.00</td>" in part.html


def test_predictions_are_compared_with_plain_ones_of_the_same_time(tmp_path):
    store = results_in(tmp_path)
    for picture in range(2):
        for model, seen in (("plain", 0.25), ("timenoise", 0.75)):
            figures = {"error_still": 0.1, "error_moving": 0.3, "motion_share": seen}
            store.append(trial(picture, experiment="leakage", model=model, time=1.0), figures)
    (part,) = parts(results_in(tmp_path))
    assert "TimeNoise instead of plain at t/T = 1.00: Error, still 0.100 instead of 0.100 (0.000" in part.markdown
    assert "Motion seen 0.750 instead of 0.250 (+0.500 [+0.500, +0.500])." in part.markdown
    assert lines_of(part.markdown, "plain, t/T = 1.00")[0][3] == "0.200 [0.200, 0.200]", "moving less still"
    assert len(lines_of(part.markdown, "plain, t/T = 1.00")) == 1, "nothing is compared with itself"


def test_the_report_has_them_beside_other_experiments_sections(tmp_path):
    results = results_in(tmp_path)
    results.append(trial(), {"speed": 1.0})
    results.append(trial(1), {"speed": 2.0})
    summary = tmp_path / "results.md"
    summary.write_text("# Figures\n\n<!-- section: other -->\n## Other\n\nkept\n<!-- end: other -->\n", encoding="utf-8")
    write_reports(results, tmp_path / "report.html", summary)
    text = summary.read_text(encoding="utf-8")
    assert "kept" in text and "<!-- section: start -->" in text
    assert 'id="start"' in (tmp_path / "report.html").read_text(encoding="utf-8")


# What is computed.


def arguments(tmp_path, **given):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    arguments = parser.parse_args(["-o", str(tmp_path), "--pictures", "2", "--steps", "2"])
    for name, value in given.items():
        setattr(arguments, name, value)
    return arguments


def compute(name, tmp_path):
    given = arguments(tmp_path, experiments=[name])
    evaluate.compute(given, results_in(tmp_path))


def test_nothing_is_measured_again_and_shared_videos_are_made_once(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(Measurer, "check", lambda self, model: None)
    monkeypatch.setattr(Measurer, "measured", lambda self, trial: made.append(trial) or {"speed": 1.0})
    compute("leakage", tmp_path)
    predicted = len(made)
    compute("start", tmp_path)
    first = len(made)
    assert first == predicted + len(trials_of("start", 2, 2)), "a prediction at t = T is no video from M = 1"
    compute("start", tmp_path)
    assert len(made) == first
    compute("time-noise", tmp_path)
    assert {one.model for one in made[first:]} == set(SIBLINGS) - {"plain", "timenoise"}, (
        "the others have M = 1 already"
    )
    assert len(results_in(tmp_path).values) == first + len(trials_of("time-noise", 2, 2))


@pytest.mark.parametrize("given", [{"model": "x"}, {"dask": "tcp://x"}, {"width": 64}, {"processes": 2}], ids=str)
def test_options_without_effect_are_refused(tmp_path, given):
    (name,) = given
    with pytest.raises(UserError, match=f"--{name} has no effect on the experiment start"):
        evaluate.compute(arguments(tmp_path, experiments=["start"], **given), results_in(tmp_path))


def test_missing_weights_are_named_before_anything_is_computed(tmp_path):
    with pytest.raises(PipelineError, match=re.escape("beta_m=1.safetensors")):
        Measurer(tmp_path, Model()).check("beta_m=1")


def test_too_many_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="pictures = 257 is too many"):
        evaluate.compute(arguments(tmp_path, experiments=["start"], pictures=257), results_in(tmp_path))


def test_a_sibling_that_sees_its_picture_is_rectified(tmp_path, monkeypatch):
    """In one step all videos have figures of their own; with ω = 0 and the whole window it is the image itself."""
    measurer, whole = Measurer(tmp_path, Model()), Settings(enabled=True, tau_end=1.0, omega="frozen")
    asked = {one.model: replace(one, steps=1) for one in trials_of("image-to-video", 1, 1) if one.time == 1.0}
    found = {model: measurer.measured(one) for model, one in asked.items()}
    assert len({figures["moving_psnr"] for figures in found.values()}) == 3
    assert found["plain"].keys() >= {"left_psnr", "way", "ghost", "ssim"}
    monkeypatch.setitem(leakage.RULES, " + frozen", whole)
    frozen = measurer.measured(replace(asked["plain"], model="plain + frozen"))
    assert frozen["ssim"] > 0.95 > found["plain"]["ssim"] and abs(frozen["way"]) < 0.05


def test_the_worlds_own_clips_move_as_their_captions_say(tmp_path):
    """The yardstick: a share of the speed at which things are drawn, since pixels that they leave count too."""
    times = leakage._times()[:4]
    figures = [Measurer(tmp_path, Model()).measured(trial(number, model="world")) for number in range(4)]
    assert all(one["ssim_first"] == pytest.approx(1) for one in figures)
    shares = [one["speed"] / (26 * float(time[-1] - time[0]) / 7) for one, time in zip(figures, times)]
    assert all(0.2 < share < 1.1 for share in shares), shares
    scene = leakage._scene(0)
    backwards = pixels_of(scene.render(times[0].flip(0))[0])
    assert leakage._figures(backwards, backwards[0], scene)["speed"] < -0.5 * figures[0]["speed"]


def test_a_model_that_copies_the_picture_sees_no_motion(tmp_path, monkeypatch):
    def copying(pipe, latents, picture, timestep, prompt, noise):
        return picture[:, :, None].expand_as(latents)

    monkeypatch.setattr(leakage, "predicted_clean", copying)
    figures = Measurer(tmp_path, Model()).measured(trial(experiment="leakage", time=1.0))
    assert figures["error_still"] == pytest.approx(0, abs=1e-9) and figures["motion_share"] == 0
    assert figures["error_moving"] > 0.05
    monkeypatch.setattr(leakage, "predicted_clean", lambda pipe, latents, *others: latents)
    figures = Measurer(tmp_path, Model()).measured(trial(experiment="leakage", time=1.0))
    assert figures["motion_share"] == pytest.approx(1) and figures["error_moving"] == 0


def test_the_scenes_are_held_out_and_statistics_are_not_of_them():
    assert not set(leakage._scenes().captions) & set(Scenes.draw(192, leakage._GATHERED_SEED).captions)
