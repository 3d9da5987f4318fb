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


def test_only_the_motion_modules_learn_in_the_last_stage_and_the_model_loads(train, tmp_path):
    work, out = tmp_path / "work", tmp_path / "model"
    command = ["--work", str(work), "--out", str(out), "--device", "cpu", "--images", "32", "--clips", "2"]
    train.main([*command, "--vae-steps", "1", "--image-steps", "1", "--motion-steps", "2"])
    record = json.loads((out / "training.json").read_text())
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
