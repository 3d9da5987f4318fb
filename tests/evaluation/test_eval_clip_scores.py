"""CLIP scores: with a model whose features are known, and what is refused before open_clip is asked."""

import sys
import types

import numpy as np
import pytest
import torch
from eval_jobs import texture

from lib_noiserect.core.errors import MissingPackageError, UserError
from lib_noiserect.evaluation.rectification import ClipScorer, clip_scores
from lib_noiserect.methods.clip_model import ClipModel, prepare


class MeanColours(torch.nn.Module):
    """Features are the mean colours of a picture, and (1, 0, 0) for a text that says red."""

    def encode_image(self, images):
        assert images.shape[1:] == (3, 16, 16) and not torch.is_grad_enabled()
        return images.mean(dim=(2, 3))

    def encode_text(self, tokens):
        return tokens.float()


def tokenize(texts):
    return torch.tensor([[1, 0, 0] if "red" in text else [0, 0, 1] for text in texts])


MODEL = ClipModel(MeanColours(), tokenize, image_size=16, mean=(0, 0, 0), std=(1, 1, 1))


def plain(*colour):
    return np.full((20, 32, 3), colour, np.uint8)


def test_scores_by_hand():
    clip = np.stack([plain(255, 0, 0), plain(255, 0, 0), plain(0, 255, 0)])
    scores = clip_scores(MODEL, clip, plain(255, 255, 0), "a red ball")
    assert scores["image_fidelity"] == pytest.approx(2**-0.5)
    assert scores["temporal_coherence"] == pytest.approx(1 / 2)
    assert scores["text_alignment"] == pytest.approx(2 / 3)


def test_normalised_as_the_model_wants_it():
    model = ClipModel(MeanColours(), tokenize, 16, mean=(0.0, 1.0, 1.0), std=(1.0, 0.5, 1.0))
    clip = np.stack([plain(255, 255, 0)] * 2)  # (1, 1, 0) becomes (1, 0, -1)
    assert clip_scores(model, clip, clip[0], "red")["text_alignment"] == pytest.approx(2**-0.5)


@pytest.mark.parametrize("shape", [(20, 32), (32, 20), (16, 16), (100, 64), (17, 31)])
def test_the_middle_is_cut_out(shape):
    picture = np.zeros((*shape, 3), np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 255
    prepared = prepare(picture, 16)
    assert prepared.shape == (3, 16, 16)
    assert all(abs(middle - 8) <= 1 for middle in np.unravel_index(prepared[0].argmax(), (16, 16)))


def test_the_whole_picture_with_black_beside_it():
    prepared = prepare(np.full((20, 40, 3), 255, np.uint8), 16, whole=True)
    assert prepared.shape == (3, 16, 16)
    assert (prepared[:, 4:12] == 1).all() and not prepared[:, :4].any() and not prepared[:, 12:].any()
    square = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    assert np.array_equal(prepare(square, 16, whole=True), prepare(square, 16))


def test_weights_are_a_file_and_names_are_local(tmp_path):
    with pytest.raises(UserError, match="is not a file: give the weights of ViT-L-14"):
        ClipScorer("ViT-L-14", tmp_path / "missing.safetensors")
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")
    with pytest.raises(UserError, match="would be looked up online"):
        ClipScorer("hf-hub:somebody/model", weights)


def test_without_open_clip_the_command_is_named(tmp_path, monkeypatch):
    (tmp_path / "weights").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingPackageError, match="python -m pip install open_clip_torch"):
        ClipScorer("ViT-L-14", tmp_path / "weights")(np.stack([texture(0)] * 2), texture(0), "red")


def test_loads_what_was_named_and_says_so(tmp_path, monkeypatch):
    """A stand-in for open_clip, which needs torchvision: what it is asked for, and that it is asked once."""
    asked = []
    configs = {"tiny": {"text_cfg": {}}, "with-download": {"text_cfg": {"hf_model_name": "somebody/text"}}}

    def create_model(name, **options):
        asked.append((name, options))
        model = MeanColours()
        model.visual = types.SimpleNamespace(image_size=(16, 16), image_mean=(0, 0, 0), image_std=(1, 1, 1))
        return model

    package = types.SimpleNamespace(
        __version__="3.0.0", get_model_config=configs.get, create_model=create_model, get_tokenizer=lambda name: tokenize
    )
    monkeypatch.setitem(sys.modules, "open_clip", package)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")
    scorer = ClipScorer("tiny", weights)
    clip = np.stack([texture(0)] * 2)
    scores = [scorer(clip, clip[0], "red") for _ in range(2)][0]
    assert (scores["clip_model"], scores["clip_weights"]) == ("tiny", "weights.safetensors")
    assert scores["image_fidelity"] == pytest.approx(1)
    assert asked == [("tiny", {"pretrained": str(weights), "device": "cpu", "weights_only": True})]
    with pytest.raises(UserError, match="downloads its text model"):
        ClipScorer("with-download", weights)(clip, clip[0], "red")
    with pytest.raises(UserError, match="model = 'other' is unknown"):
        ClipScorer("other", weights)(clip, clip[0], "red")
