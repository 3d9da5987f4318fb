"""A checkpoint in one file, in the original layout, whose configuration is a local folder; and without one or a network."""

import re
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lib_noiserect.__main__ import main
from lib_noiserect.pipelines import loading

ADAPTER = str(loading.BUILT_IN / "motion_adapter")
# From diffusers' names to those of Stable Diffusion's own program.
BLOCK = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1"}
BLOCK |= {"norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}
UNET = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2"}
UNET |= {"conv_norm_out": "out.0", "conv_out": "out.2", "mid_block.resnets.0": "middle_block.0"}
UNET |= {"mid_block.attentions.0": "middle_block.1", "mid_block.resnets.1": "middle_block.2"}
VAE = {"mid_block.resnets.0": "mid.block_1", "mid_block.resnets.1": "mid.block_2", "mid_block.attentions.0": "mid.attn_1"}
VAE |= {"conv_shortcut": "nin_shortcut", "conv_norm_out": "norm_out", "group_norm": "norm", "to_out.0": "proj_out"}
VAE |= {f"to_{letter}": letter for letter in "qkv"} | {"samplers.0": "sample"}


def unet_places(names):
    """The places of the blocks, which the original numbers in one row."""
    blocks = 1 + max(int(name.split(".")[1]) for name in names if name.startswith("down_blocks"))
    places, number = dict(UNET), 1
    for side, row, number in (("down", "input_blocks", 1), ("up", "output_blocks", 0)):
        for block in range(blocks):
            first = f"{side}_blocks.{block}"
            layers = len({name.split(".")[3] for name in names if name.startswith(f"{first}.resnets.")})
            attends = any(name.startswith(f"{first}.attentions.") for name in names)
            for layer in range(layers):
                places[f"{first}.resnets.{layer}"] = f"{row}.{number}.0"
                places[f"{first}.attentions.{layer}"] = f"{row}.{number}.1"
                number += 1
            places[f"{first}.downsamplers.0.conv"] = f"{row}.{number}.0.op"
            places[f"{first}.upsamplers.0.conv"] = f"{row}.{number - 1}.{1 + attends}.conv"
            number += side == "down"
    return places


def in_original_names(unet, vae, text_encoder):
    places = unet_places(unet)
    for name, value in unet.items():
        place = max((place for place in places if name.startswith(f"{place}.")), key=len)
        rest = name[len(place) :]
        if ".resnets." in f".{place}":
            rest = re.sub(r"^\.(\w+)", lambda part: f".{BLOCK[part[1]]}", rest)
        yield f"model.diffusion_model.{places[place]}{rest}", value
    blocks = 1 + max(int(name.split(".")[2]) for name in vae if name.startswith("decoder.up_blocks"))
    for name, value in vae.items():
        if "attentions" in name and name.endswith("weight") and "group_norm" not in name:
            value = value[:, :, None, None]
        name = re.sub("|".join(map(re.escape, VAE)), lambda part: VAE[part[0]], name)
        name = re.sub(r"down_blocks\.(\d)\.", r"down.\1.", name).replace("resnets", "block")
        name = re.sub(r"up_blocks\.(\d)\.", lambda part: f"up.{blocks - 1 - int(part[1])}.", name)
        yield f"first_stage_model.{name}", value
    for name, value in text_encoder.items():
        yield f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}", value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The built-in model as `model.safetensors`, beside `config`, its folder without weights."""
    folder = tmp_path_factory.mktemp("checkpoint")
    files = [next((loading.BUILT_IN / part).glob("*.safetensors")) for part in ("unet", "vae", "text_encoder")]
    weights = {name: value.contiguous() for name, value in in_original_names(*map(load_file, files))}
    save_file(weights, folder / "model.safetensors")
    shutil.copytree(loading.BUILT_IN, folder / "config", ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def test_with_a_configuration_it_equals_the_folder(folder, pipe):
    read = loading.load(str(folder / "model.safetensors"), ADAPTER, "cpu", config=str(folder / "config"))
    assert type(read) is type(pipe) and read.scheduler.config == pipe.scheduler.config
    for part in ("unet", "vae", "text_encoder"):
        values, expected = getattr(read, part).state_dict(), getattr(pipe, part).state_dict()
        assert values.keys() == expected.keys() and all(torch.equal(values[name], expected[name]) for name in values)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--model", "model.safetensors"], "needs its configuration, and the hub cannot be reached: give --config, a"),
        (["--config", "config"], "--config is for a checkpoint: leave it out, or use a .safetensors file as --model"),
        (["--config", "config", "--model", "config"], "--config is for a checkpoint: leave it out"),
        (["--config", "none", "--model", "model.safetensors"], "model model.safetensors failed to load: "),
    ],
)  # fmt: skip
def test_refusals(folder, monkeypatch, tmp_path, capsys, words, message):
    monkeypatch.chdir(folder)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    adapter = ["--motion-adapter", ADAPTER] if "--model" in words else []
    command = ["animate", str(tmp_path / "a.png"), "--prompt", "a cat", "-o", str(tmp_path / "a.gif"), *adapter, *words]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
