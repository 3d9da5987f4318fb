"""The paper's experiments: their trials, those of them that are one job, and their figures."""

import csv
import dataclasses
import io
from collections import Counter

import numpy as np
import pytest
import torch
from eval_jobs import CONDITIONS, make, results_in, score, some_images, texture
from PIL import Image

from lib_noiserect.core.errors import UserError
from lib_noiserect.core.schedule import omega_weights
from lib_noiserect.core.settings import Settings, SettingsError
from lib_noiserect.evaluation.captioned_images import CaptionedImage, scenes
from lib_noiserect.evaluation.continuation import TIMES
from lib_noiserect.evaluation.model import Model
from lib_noiserect.evaluation.rectification import Trial, check_scores, kept_files, trials_of, work
from lib_noiserect.evaluation.trials import TrialsFailedError, run
from lib_noiserect.tiny.world import held_out_scenes, pixels_of

IMAGES = some_images(2)
TRIAL = Trial("methods", "pivot", "Euler", 0, 0.6, "authors", "p0", "a caption", 0, 10, 2, 4)


def test_counts():
    methods = trials_of("methods", IMAGES, ["Euler", "Euler a"], **CONDITIONS)
    assert Counter((trial.sampler, trial.method) for trial in methods) == {
        (sampler, method): 2
        for sampler in ("Euler", "Euler a")
        for method in ("noising", "fixed noise", "pivot", "following")
    }
    assert len(trials_of("omega", IMAGES, ["Euler"], **CONDITIONS)) == 6 * 2
    assert len(trials_of("tau", IMAGES, ["Euler"], **CONDITIONS)) == 8 * 2


def test_the_papers_settings():
    trials = trials_of("omega", IMAGES[:1], ["Euler"], **CONDITIONS)
    omegas = [omega_weights(trial.settings, trial.frames) for trial in trials]
    assert omegas == [*([constant] * 3 for constant in (0, 0.25, 0.5, 0.75, 1)), [1, 0.5, 0.5]]
    windows = [(trial.tau_start, trial.tau_end) for trial in trials_of("tau", IMAGES[:1], ["Euler"], **CONDITIONS)]
    assert windows == [(0, 0), (0, 0.2), (0, 0.4), (0, 0.6), (0, 0.8), (0, 1), (0.3, 0.7), (0.6, 1)]
    methods = trials_of("methods", IMAGES[:1], ["Euler"], **CONDITIONS)
    assert [(trial.method, trial.settings.enabled) for trial in methods] == [
        ("noising", False),
        ("fixed noise", True),
        ("pivot", True),
        ("following", True),
    ]
    assert [trial.settings.follow_motion for trial in methods] == [False, False, False, True]


def test_the_same_job_has_the_same_id():
    methods = trials_of("methods", IMAGES[:1], ["Euler"], **CONDITIONS)
    noising, _, pivot, _ = (trial.same for trial in methods)
    omega = [trial.same for trial in trials_of("omega", IMAGES[:1], ["Euler"], **CONDITIONS)]
    tau = [trial.same for trial in trials_of("tau", IMAGES[:1], ["Euler"], **CONDITIONS)]
    assert tau[0] == noising and tau[3] == omega[5] == pivot
    assert len({*(trial.same for trial in methods), *omega, *tau}) == 4 + 5 + 6


def test_trials_that_differ_have_ids_that_differ():
    changes = [
        {"method": "fixed noise"},
        {"sampler": "Euler a"},
        {"tau_end": 0.7},
        {"omega": (0.5,)},
        {"picture": "p1"},
        {"caption": "another"},
        {"seed": 1},
        {"steps": 11},
        {"guidance": 3},
        {"frames": 5},
    ]
    ids = {dataclasses.replace(TRIAL, **change).same for change in changes} | {TRIAL.same}
    assert len(ids) == len(changes) + 1
    assert dataclasses.replace(TRIAL, experiment="omega", omega=[1.0, 1.0, 0.5, 0.5]).same != TRIAL.same  # [1, 0.5, 0.5, 0.5]
    assert dataclasses.replace(TRIAL, omega=[1, 0.5, 0.5, 0.5]).same == dataclasses.replace(TRIAL, guidance=2.0).same


def test_ids_are_those_of_older_versions_and_of_every_process():
    caption = "a purple ray moving right over a white ground"
    trial = Trial(
        "methods", "noising", "ddim", 0.0, 0.6, "authors", "scene-000-2e4b7885", caption, 0, 2, 7.5, 4
    )  # as it was written
    assert trial.same == "42f4e8f0c09eb8b6"


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"method": "magic"}, UserError, "method = 'magic' is unknown"),
        ({"caption": "a\nb"}, UserError, "has line breaks"),
        ({"frames": 1}, UserError, "frames = 1 is too few"),
        ({"tau_end": 2}, SettingsError, "tau_end = 2 is out of range"),
        ({"omega": "no"}, SettingsError, "omega = 'no'"),
    ],
)
def test_bad_trials_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(TRIAL, **change)


def test_conditions_reach_the_trials():
    (trial, *_) = trials_of("tau", IMAGES, ["DDIM"], seed=4, steps=7, guidance=1.5, frames=9)
    assert (trial.steps, trial.guidance, trial.frames, trial.seed, trial.sampler) == (7, 1.5, 9, 4, "DDIM")
    assert trial.caption == IMAGES[0].caption and trial.settings == Settings(enabled=False, tau_end=0, omega_resample=True)


# Figures.

TRIALS = trials_of("methods", IMAGES, ["Euler"], **CONDITIONS)


def compute(folder, wanted=TRIALS, make=make, **options):
    folder.mkdir(exist_ok=True)
    return run(wanted, work(wanted, IMAGES, make, **options), results_in(folder))


def found_in(folder):
    return results_in(folder).of(Trial)


def test_every_trial_has_its_figures(tmp_path):
    assert compute(tmp_path) == 8
    found = found_in(tmp_path)
    assert set(found) == set(TRIALS)
    noising, fixed_noise, pivot, _ = (found[trial]["ssim"] for trial in TRIALS if trial.picture == IMAGES[0].id)
    assert noising < fixed_noise < pivot
    left, right = (found[trial] for trial in TRIALS[-2:])
    assert (left["direction"], left["follows_caption"]) == ("left", 1.0)
    assert (right["direction"], right["follows_caption"]) == ("left", 0.0)


def test_images_of_the_world_are_compared_with_it_and_others_are_not(tmp_path):
    (image,) = scenes(2)[:1]
    trials = trials_of("methods", [image], ["ddim"], seed=0, steps=1, guidance=1.0, frames=4)
    wanted = [trial for trial in trials if trial.method == "pivot"]
    truth = pixels_of(held_out_scenes(2).part(slice(0, 1)).render(TIMES[2:43:13])[0])
    run(wanted, work(wanted, [image], lambda trial, pixels: truth), results_in(tmp_path))
    (values,) = found_in(tmp_path).values()
    assert values["way"] == pytest.approx(0.975) and values["moving_psnr"] > 58 and values["ghost"] < 0.3
    compute(tmp_path / "other", TRIALS[:1])
    (values,) = found_in(tmp_path / "other").values()
    assert not {"way", "moving_psnr"} & set(values) and "ghost" in values


def test_a_video_of_another_shape_or_type_is_a_failure(tmp_path):
    with pytest.raises(TrialsFailedError, match=r"is ndarray of shape \(2, 32, 32, 3\): make 3 frames") as failed:
        compute(tmp_path, TRIALS[:1], lambda trial, pixels: make(trial, pixels)[:2])
    assert f"methods: noising, Euler, τ [0, 0.6], ω authors, {IMAGES[0].id}, seed 0: UserError" in str(failed.value)
    with pytest.raises(TrialsFailedError, match="is float64 of shape"):
        compute(tmp_path, TRIALS[:1], lambda trial, pixels: make(trial, pixels) / 255)


def test_videos_are_kept_of_the_first_images(tmp_path):
    compute(tmp_path, TRIALS, keep_videos=1)
    kept = [trial for trial in TRIALS if trial.picture == IMAGES[0].id]
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == sorted(f"{trial.same}.webp" for trial in kept)
    with Image.open(tmp_path / kept_files(kept[0])[0]) as video:
        assert (video.n_frames, video.size) == (3, (32, 32))
    with Image.open(tmp_path / "pictures" / f"{IMAGES[0].id}.png") as image:
        assert np.array_equal(np.asarray(image), IMAGES[0].pixels)


def test_further_scores_are_not_mixed(tmp_path):
    compute(tmp_path, TRIALS[:1], score=score)
    (values,) = found_in(tmp_path).values()
    assert values["image_fidelity"] == 0.5 and values["clip_weights"] == TRIALS[0].caption
    names = {"clip_model": "none", "clip_weights": TRIALS[0].caption}
    check_scores(results_in(tmp_path), names)
    for others in ({}, {**names, "clip_model": "another"}):
        with pytest.raises(UserError, match="has results with none a thing .*: use the same, or a new folder"):
            check_scores(results_in(tmp_path), others)


def test_an_image_that_is_missing_is_named():
    with pytest.raises(UserError, match="is not among the images"):
        work(TRIALS, [CaptionedImage("p0", "x", texture(9))], make)


# Results of older versions.

OLD = "id,experiment,method,sampler,tau_start,tau_end,omega,picture,caption,seed,steps,guidance,frames,ssim,direction\n"
EXACT = dataclasses.replace(TRIAL, omega=(0.1 + 0.2, 1, 1 / 3), caption='a "quoted", odd caption ω', seed=2**62)


def old_line(trial, *values):
    fields = {**dataclasses.asdict(trial), "omega": trial.omega}
    if not isinstance(trial.omega, str):
        fields["omega"] = " ".join(repr(weight) for weight in trial.omega)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([trial.same, *fields.values(), *values])
    return text.getvalue()


def test_results_of_older_versions_are_read_and_not_computed_again(tmp_path):
    (tmp_path / "results.csv").write_text(
        OLD + old_line(EXACT, 0.1 + 0.2, "left") + old_line(TRIALS[0], 0.5, ""), encoding="utf-8"
    )
    before = (tmp_path / "results.csv").read_bytes()
    found = found_in(tmp_path)
    assert found == {EXACT: {"ssim": 0.1 + 0.2, "direction": "left"}, TRIALS[0]: {"ssim": 0.5, "direction": ""}}
    assert compute(tmp_path) == 7 and found_in(tmp_path)[TRIALS[0]] == {"ssim": 0.5, "direction": ""}
    assert (tmp_path / "results.csv").read_bytes() == before
    (tmp_path / "results.csv").write_bytes(before[:-4])
    assert TRIALS[0] not in found_in(tmp_path) and EXACT in found_in(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (OLD + "damaged\n" + old_line(TRIAL, 0.5, ""), "results.csv line 2 is damaged"),
        (OLD + old_line(TRIAL, 0.5, "").replace("Euler", "Heun") + old_line(TRIAL, 1, ""), "line 2 is damaged .id = "),
        ("a,b\n1,2\n", "results.csv has the columns a, b: this is no file of results"),
    ],
)
def test_damaged_results_of_older_versions_are_named(tmp_path, content, message):
    (tmp_path / "results.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        results_in(tmp_path)


def test_half_a_header_is_nothing(tmp_path):
    (tmp_path / "results.csv").write_text(OLD[:20], encoding="utf-8")
    assert found_in(tmp_path) == {}


@pytest.mark.parametrize("bfloat16", [False, True])
def test_bfloat16_is_of_the_model_alone(bfloat16):
    with Model(device="cpu", bfloat16=bfloat16).pipeline("ddim") as pipe:
        sample, text = torch.zeros(1, 8, 2, 8, 8), torch.zeros(2, 4, pipe.unet.config.cross_attention_dim)
        predicted = pipe.unet(sample, torch.tensor(500), text).sample
    assert predicted.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
    assert pipe.unet.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
