"""The judge of the toy world's frames: right on true ones that it never saw, and strict about what it is asked."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.oracle import WEIGHTS, WORDS, judge, load_oracle, named
from lib_noiserect.tiny.world import Scenes, caption

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scenes():
    return Scenes.draw(150, 4242, held_out_captions=True)


def test_true_frames_have_what_their_captions_name(scenes):
    sys.path.insert(0, str(ROOT / "training"))
    try:
        from oracle import accuracy
    finally:
        sys.path.remove(str(ROOT / "training"))
    frames = scenes.render(torch.tensor([0.4]))[:, 0]
    right = accuracy(load_oracle(), frames, {name: getattr(scenes, name) for name in WORDS})
    assert right["direction"] > 0.97 and right["ground"] > 0.97 and right["colour"] > 0.88 and right["creature"] > 0.8


def test_the_own_caption_is_likelier_than_anothers(scenes):
    frames = scenes.render(torch.tensor([0.6]))[:, 0]
    others = [*scenes.captions[1:], scenes.captions[0]]
    own = [float(judge(one[None], text)[0]) for one, text in zip(frames[:40], scenes.captions)]
    other = [float(judge(one[None], text)[0]) for one, text in zip(frames[:40], others)]
    assert sum(one > two for one, two in zip(own, other)) >= 36
    _, words = judge(frames[:3], scenes.captions[0])
    assert words.shape == (3, len(WORDS))


def test_words_of_a_caption():
    assert named(caption("ray", "orange", "up", "white")) == {"creature": 4, "colour": 1, "direction": 2, "ground": 6}
    for wrong in ("a fish", "a red cat moving up over a blue ground", "a red fish moving up over a blue ground."):
        with pytest.raises(ValueError, match="is not one of the toy world's"):
            named(wrong)


def test_frames_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 3, 32, 32\): give \[N, 3, 64, 64\]"):
        judge(torch.zeros(1, 3, 32, 32), caption("ray", "orange", "up", "white"))


def test_it_is_small():
    assert WEIGHTS.stat().st_size < 300_000
