"""The training script: it ends with a model that diffusers loads, and a stopped stage goes on as if it had not been."""

import json
import sys
from pathlib import Path

import diffusers
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def train():
    sys.path.insert(0, str(ROOT / "training"))
    import train

    yield train
    sys.path.remove(str(ROOT / "training"))


def a_stage(train, work):
    torch.manual_seed(3)
    return train.Stage("line", work, {"line": torch.nn.Linear(4, 1)}, steps=7, rate=0.1, device="cpu")


def loss_of(stage, generator):
    inputs = torch.randn(8, 4, generator=generator)
    return (stage.modules["line"](inputs) - inputs.sum(1, keepdim=True)).square().mean()


def test_a_stopped_stage_goes_on_as_if_it_had_not_been(train, tmp_path, monkeypatch):
    monkeypatch.setattr("stage.CHECKPOINT_EVERY", 2)
    whole = a_stage(train, tmp_path)
    whole.work = tmp_path / "whole"
    whole.work.mkdir()
    expected = whole.run(lambda generator, progress: loss_of(whole, generator))["line"].weight

    stopped = a_stage(train, tmp_path)

    def until_the_power_fails(generator, progress):
        if stopped.done == 5:
            raise KeyboardInterrupt
        return loss_of(stopped, generator)

    with pytest.raises(KeyboardInterrupt):
        stopped.run(until_the_power_fails)
    again = a_stage(train, tmp_path)
    steps = []
    resumed = again.run(lambda generator, progress: steps.append(again.done) or loss_of(again, generator))[
        "line"
    ].weight
    assert steps == [4, 5, 6]
    assert torch.equal(resumed, expected) and len(again.losses) == 7

    finished = a_stage(train, tmp_path)
    assert torch.equal(finished.run(lambda *_: pytest.fail("trained again"))["line"].weight, expected)


@pytest.mark.slow
def test_standardised_latents_decode_to_the_same(train):
    torch.manual_seed(0)
    vae = train.new_vae().eval().requires_grad_(False)
    frames = train.training_frames(4, torch.Generator().manual_seed(5))
    with torch.no_grad():
        before = vae.decode(vae.encode(frames).latent_dist.mean).sample
        train.standardise(vae, "cpu")
        latents = vae.encode(train.training_frames(256, torch.Generator().manual_seed(6))).latent_dist.mean
        after = vae.decode(vae.encode(frames).latent_dist.mean).sample
    assert (before - after).abs().max() < 1e-4
    assert latents.mean((0, 2, 3)).abs().max() < 0.2 and (latents.std((0, 2, 3)) - 1).abs().max() < 0.1


@pytest.mark.slow
def test_only_the_motion_modules_learn_in_the_last_stage_and_the_model_loads(train, tmp_path):
    work, out = tmp_path / "work", tmp_path / "model"
    command = ["--work", str(work), "--out", str(out), "--device", "cpu", "--images", "32", "--clips", "2"]
    train.main([*command, "--vae-steps", "1", "--image-steps", "1", "--motion-steps", "2"])
    record = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert record["motion modules"]["steps"] == 2 and record["motion modules"]["trained parameters"] == 1_588_464
    pipe = diffusers.AnimateDiffPipeline.from_pretrained(out)
    image_unet = diffusers.UNet2DConditionModel.from_pretrained(out / "unet")
    learned = torch.load(work / "motion modules.checkpoint.pt", weights_only=True)["modules"]
    for name, value in image_unet.state_dict().items():
        if f"unet.{name}" in learned:
            assert torch.equal(learned[f"unet.{name}"].half(), value.half())
    changed = [
        name for name, value in pipe.motion_adapter.state_dict().items() if "proj_out.weight" in name and value.any()
    ]
    assert changed, "the motion modules' last layers start at zero"


@pytest.mark.parametrize("time_noise", [None, {"beta_m": 4.0, "a": 5.0}])
def test_a_conditioned_model_is_shown_the_picture_with_time_noise_if_any(train, tmp_path, monkeypatch, time_noise):
    import condition

    shown = []

    class Unet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_in = condition.PictureConv(torch.nn.Conv2d(8, 8, 1))

        def forward(self, sample, timesteps, texts):
            shown.append(self.conv_in.condition)
            rows = self.conv_in(sample.transpose(1, 2).flatten(0, 1))
            velocity = rows.unflatten(0, (sample.shape[0], -1)).transpose(1, 2)
            return type("Output", (), {"sample": velocity})

    latents = torch.randn(4, 3, 8, 4, 4)
    stage = train.Stage("siblings", tmp_path, {"unet": Unet()}, steps=3, rate=1e-3, device="cpu")
    condition.train(stage, (latents, torch.zeros(5, 2, 8)), time_noise, batch=2, seed=14)
    for step, condition_rows in enumerate(shown):
        pictures = latents[condition.shuffled(4, 2, step, 14), 0]
        rows = condition_rows.unflatten(0, (2, 3))
        assert torch.equal(rows[:, 0], rows[:, 2]), "all frames are shown the same picture, its noise included"
        if time_noise is None:
            assert torch.equal(rows[:, 0], pictures)
        else:
            levels = (rows[:, 0] - pictures).flatten(1).std(dim=1)
            assert (levels > 0.05).all() and (levels < 4 * 1.3).all()
    assert stage.modules["unet"].conv_in.condition is None


def test_the_siblings_are_those_that_the_evaluation_names(train):
    import condition

    from benchmarks.leakage import SIBLINGS

    assert set(condition.SIBLINGS) == set(SIBLINGS)
    for name, numbers in condition.SIBLINGS.items():
        said = "none" if numbers is None else f"β_m = {numbers['beta_m']:g}, a = {numbers['a']:g}"
        assert SIBLINGS[name] == said
    folder = ROOT / "benchmarks" / "conditioned"
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert (folder / "README.md").read_text(encoding="utf-8") == condition.card(record)


def test_conditioned_siblings_are_written_as_they_are_read(train, tmp_path, monkeypatch):
    import condition

    from benchmarks.image_conditioned import load_conditioned

    monkeypatch.setattr(condition, "FRAMES", 2)
    command = [
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
        "--clips",
        "2",
        "--batch",
        "1",
    ]
    condition.main([*command, "--siblings", "timenoise", "--common-steps", "1", "--steps", "1"])
    assert load_conditioned(tmp_path / "timenoise.safetensors").unet.conv_in.of_picture.weight.abs().max() > 0
    record = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert record["timenoise"]["TimeNoise"] == {"beta_m": 4.0, "a": 5.0} and record["common"]["steps"] == 1
