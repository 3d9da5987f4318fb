"""Scorers: the code that really loads them, on tiny weights in a hub's cache, and what is said where something is missing."""

import shlex
import sys
import types

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image

from lib_noiserect.core.errors import MissingPackageError
from lib_noiserect.core.settings import SCORERS
from lib_noiserect.methods import scorers
from lib_noiserect.methods.clip_model import OPENAI_MEAN, OPENAI_STD, ClipModel, ScorerError
from lib_noiserect.methods.scorers import load_scorer
from lib_noiserect.pipelines.loading import BUILT_IN

SIZE = 32
PROMPT = "a red fish moving left over a blue ground"
PICTURES = [Image.fromarray(np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), np.uint8)) for seed in (1, 2)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Makes the folder of a repository in an empty cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))

    def repository(name):
        at = tmp_path / f"models--{name.replace('/', '--')}"
        (at / "refs").mkdir(parents=True)
        (at / "refs" / "main").write_text("0123", encoding="utf-8")
        (at / "snapshots" / "0123").mkdir(parents=True)
        return at / "snapshots" / "0123"

    return repository


def put_pickscore(folder):
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(BUILT_IN / "tokenizer")
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(tokenizer), "max_position_embeddings": 20, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    torch.manual_seed(0)
    configuration = CLIPConfig(
        text_config=small | text,
        vision_config=small | {"image_size": SIZE, "patch_size": 8},
        projection_dim=12,
        logit_scale_init_value=3.0,
    )
    model = CLIPModel(configuration).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in (
        "vocab.json",
        "merges.txt",
    ):  # transformers 5 writes tokenizer.json instead, which the real one has beside
        (folder / file).write_bytes((BUILT_IN / "tokenizer" / file).read_bytes())
    return model, tokenizer


def test_pickscore_is_the_logits_of_its_model(cache):
    model, tokenizer = put_pickscore(cache("yuvalkirstain/PickScore_v1"))
    pixels = torch.tensor(np.stack(PICTURES)).permute(0, 3, 1, 2) / 255
    normalised = (pixels - torch.tensor(OPENAI_MEAN)[:, None, None]) / torch.tensor(OPENAI_STD)[:, None, None]
    with torch.no_grad():
        said = model(pixel_values=normalised, **tokenizer([PROMPT], return_tensors="pt"))
    score = load_scorer("pickscore").score
    assert score(PICTURES, PROMPT) == pytest.approx(said.logits_per_image[:, 0].tolist(), rel=1e-4)
    assert len(set(score(PICTURES, PROMPT))) == 2
    # Pictures of any size and mode, and prompts that are longer than the model's.
    assert len(score([PICTURES[0].convert("L").resize((50, 70))], "a fish " * 50)) == 1


def test_scales_and_order():
    """Cosines by hand: features are mean colours, and the prompt's is red."""

    class MeanColours:
        encode_image = staticmethod(lambda images: images.mean(dim=(2, 3)))
        encode_text = staticmethod(lambda tokens: tokens)

    red = torch.tensor([[1.0, 0.0, 0.0]])
    score = scorers._similarity(ClipModel(MeanColours(), lambda texts: red, 16, (0, 0, 0), (1, 1, 1)), scale=10.0)
    pictures = [Image.new("RGB", (20, 30), colour) for colour in ("red", "yellow", "blue")]
    assert score(pictures, "red") == pytest.approx([10, 10 * 2**-0.5, 0])


def test_those_without_a_model_of_their_own():
    assert load_scorer("model") is None and load_scorer("pick") is None


def test_names():
    assert list(SCORERS) == ["model", "imagereward", "clip", "pickscore", "hpsv2", "pick"]
    with pytest.raises(ScorerError, match=r"scorer = 'beauty' is unknown: use model, imagereward, clip, .*pick"):
        load_scorer("beauty")


WEIGHTS = {
    "imagereward": ("THUDM/ImageReward", "ImageReward.pt"),
    "clip": ("timm/vit_large_patch14_clip_224.openai", "open_clip_model.safetensors"),
    "pickscore": ("yuvalkirstain/PickScore_v1", "model.safetensors"),
    "hpsv2": ("xswu/HPSv2", "HPS_v2.1_compressed.pt"),
}


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins for the packages that are not here."""
    for name in ("open_clip", "ImageReward"):
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)
    inner = types.ModuleType("ImageReward.ImageReward")
    inner.ImageReward = TinyReward
    monkeypatch.setitem(sys.modules, "ImageReward.ImageReward", inner)


@pytest.mark.parametrize("name", WEIGHTS)
def test_missing_weights_are_named_with_a_command_that_gets_them(cache, packages, name, monkeypatch):
    repository, file = WEIGHTS[name]
    with pytest.raises(ScorerError, match=f"the scorer {name} needs .*{file}.* of {repository}") as refused:
        load_scorer(name)
    program, option, code = shlex.split(str(refused.value).split("run  ")[1])
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **options: asked.append((args, options)))
    exec(code)  # as the user would
    assert (program, option) == ("python", "-c") and asked[0][0] == (repository,)
    assert file in asked[0][1]["allow_patterns"]


@pytest.mark.parametrize(
    "name, module, package",
    [("imagereward", "ImageReward", "image-reward"), ("clip", "open_clip", "open_clip_torch"),
     ("hpsv2", "open_clip", "open_clip_torch"), ("pickscore", "transformers", "transformers")],
)  # fmt: skip
def test_missing_packages_are_named_with_their_command(monkeypatch, cache, name, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        MissingPackageError, match=f"the scorer {name} needs {package} .* python -m pip install {package}"
    ):
        load_scorer(name)


def test_an_open_clip_that_is_too_old_is_named(cache, packages):
    for name, (repository, file) in WEIGHTS.items():
        if name in ("clip", "hpsv2"):
            (cache(repository) / file).touch()
            sys.modules["open_clip"].__version__ = "2.32.0"
            with pytest.raises(
                ScorerError, match=f"open_clip_torch 2.32.0 is too old for the scorer {name}: run  python -m pip"
            ):
                load_scorer(name)


class TinyReward(torch.nn.Module):
    """The interface of the package's class: `inference_rank` gives ranks and rewards, of one picture a bare number."""

    def __init__(self, device, med_config):
        super().__init__()
        assert med_config.endswith("med_config.json")
        self.mlp = torch.nn.Linear(3, 1)
        self.register_buffer("positions", torch.zeros(2))  # which a file need not have

    def inference_rank(self, prompt, pictures):
        assert isinstance(pictures, list) and not self.training and not torch.is_grad_enabled()
        colours = torch.tensor(np.stack([np.asarray(picture).mean((0, 1)) for picture in pictures])).float()
        rewards = torch.squeeze(self.mlp(colours))
        return [1] * len(pictures), rewards.tolist()


@pytest.fixture
def image_reward(packages, cache):
    bert = cache("bert-base-uncased")
    for file in ("vocab.txt", "tokenizer_config.json"):
        (bert / file).touch()
    folder = cache("THUDM/ImageReward")
    (folder / "med_config.json").touch()
    return folder


def test_imagereward_has_its_weights(image_reward):
    wanted = {"mlp.weight": torch.tensor([[1.0, 0.0, -1.0]]), "mlp.bias": torch.tensor([0.5]), "other": torch.zeros(1)}
    torch.save(wanted, image_reward / "ImageReward.pt")
    score = load_scorer("imagereward").score
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ((9, 5, 2), (0, 0, 3))]
    assert score(pictures, PROMPT) == [7.5, -2.5] and score(pictures[:1], PROMPT) == [7.5]


def test_imagereward_with_half_its_weights_is_refused(image_reward):
    torch.save({"mlp.weight": torch.zeros(1, 3)}, image_reward / "ImageReward.pt")
    with pytest.raises(ScorerError, match=r"ImageReward.pt has no mlp.bias \(and 0 others\): download it again"):
        load_scorer("imagereward")


def test_code_in_weights_is_not_run(image_reward):
    torch.save({"mlp.weight": TinyReward}, image_reward / "ImageReward.pt")
    with pytest.raises(ScorerError, match="the weights of the scorer imagereward hold more than tensors"):
        load_scorer("imagereward")


def test_a_package_that_is_too_old_for_its_own_is_told_from_one_that_is_missing(image_reward, monkeypatch):
    monkeypatch.setitem(sys.modules, "ImageReward.ImageReward", None)
    with pytest.raises(ScorerError, match="image-reward fails to load"):
        load_scorer("imagereward")
