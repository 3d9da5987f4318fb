"""The procedural world: what captions say is what is drawn, and what they do not say differs."""

import torch

from lib_noiserect.tiny.world import COLOURS, CREATURES, DIRECTIONS, Scenes, caption, held_out


def test_scenes_are_decided_by_their_seed():
    assert torch.equal(Scenes.draw(3, 5).render(), Scenes.draw(3, 5).render())
    assert not torch.equal(Scenes.draw(3, 5).render(), Scenes.draw(3, 6).render())


def test_frames_are_pictures_of_any_size():
    scenes = Scenes.draw(4, 1)
    frames = scenes.render()
    assert frames.shape == (4, 16, 3, 64, 64) and frames.min() >= 0 and frames.max() <= 1
    large = scenes.render(torch.tensor([0.0]), size=128)
    assert large.shape == (4, 1, 3, 128, 128)
    halved = torch.nn.functional.avg_pool2d(large[:, 0], 2)
    assert (halved - frames[:, 0]).abs().mean() < 0.02


def test_creatures_go_where_their_captions_say():
    scenes = Scenes.draw(60, 2)
    centres = scenes.centres(torch.tensor([[0.0, 1.0]]).expand(60, -1))
    path = centres[:, 1] - centres[:, 0]
    for (x, y), said in zip(path.tolist(), scenes.captions, strict=True):
        expected = DIRECTIONS[next(name for name in DIRECTIONS if f"moving {name} " in said)]
        assert x * expected[0] + y * expected[1] >= 22 and abs(x * expected[1] + y * expected[0]) < 1e-4
    assert centres.min() > 4 and centres.max() < 60


def test_only_the_creature_moves():
    scenes = Scenes.draw(20, 3)
    frames = scenes.render(torch.tensor([0.0, 1.0]))
    x, y = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="xy")
    for index, ends in enumerate(scenes.centres(torch.tensor([[0.0, 1.0]]).expand(20, -1))):
        near = torch.stack([((x - cx) ** 2 + (y - cy) ** 2).sqrt() for cx, cy in ends.tolist()]).amin(0) < 28
        change = (frames[index, 1] - frames[index, 0]).abs().amax(0)
        assert change[~near].max() < 0.06 and change[near].max() > 0.2  # the wake fades slowly


def test_captions():
    assert caption("fish", "orange", "up", "red") == "an orange fish moving up over a red ground"
    assert Scenes.draw(1, 9).captions[0].count(" ") == 8


def test_held_out_combinations_are_never_drawn_for_training():
    combinations = {}
    for is_held_out in (False, True):
        scenes = Scenes.draw(2000, 4, held_out_captions=is_held_out)
        combinations[is_held_out] = set(zip(scenes.creature.tolist(), scenes.colour.tolist(), scenes.ground.tolist()))
        assert all(held_out(*drawn) is is_held_out for drawn in combinations[is_held_out])
        assert not (scenes.colour == scenes.ground).any()
    assert not combinations[False] & combinations[True]
    every = len(CREATURES) * len(COLOURS) * (len(COLOURS) - 1)
    assert len(combinations[False] | combinations[True]) == every


def test_pictures_with_one_caption_differ():
    scenes = Scenes.draw(2, 6)
    same = [tensor[:1].expand(2) for tensor in (scenes.creature, scenes.colour, scenes.direction, scenes.ground)]
    pair = Scenes(*same, scenes.hidden)
    assert pair.captions[0] == pair.captions[1]
    first, second = pair.render(torch.tensor([0.5]))
    assert (first - second).abs().mean() > 0.05


def test_a_camera_that_looks_aside_shows_the_scene_moved():
    scenes, times = Scenes.draw(3, 8), torch.tensor([0.2, 0.8])
    frames, aside = scenes.render(times), scenes.render(times, camera=(5.0, -3.0))
    assert torch.allclose(aside[..., 3:, :-5], frames[..., :-3, 5:], atol=1e-4)


def test_a_creature_that_turns_lies_turned_over_the_same_place():
    scenes, times = Scenes.draw(6, 9), torch.tensor([0.0, 1.0])
    straight, turned = scenes.covers(times), scenes.covers(times, turn=torch.pi / 2)
    assert torch.equal(straight[:, 0], turned[:, 0])
    assert (straight[:, 1] - turned[:, 1]).abs().amax((-1, -2)).min() > 0.5
    area, turned_area = straight[:, 1].sum((-1, -2)), turned[:, 1].sum((-1, -2))
    assert torch.allclose(area, turned_area, rtol=0.1)
    frames = scenes.render(times, turn=torch.pi / 2)
    assert torch.equal(frames[:, 0], scenes.render(times)[:, 0]) and not torch.equal(frames, scenes.render(times))


def test_a_quarter_turn_brings_right_to_down():
    drawn, times = Scenes.draw(8, 10), torch.ones(1)
    offsets = []
    for way, turn in (("right", torch.pi / 2), ("down", 0.0)):
        direction = torch.full((8,), list(DIRECTIONS).index(way))
        scenes = Scenes(drawn.creature, drawn.colour, direction, drawn.ground, drawn.hidden)
        cover = scenes.covers(times, turn=turn)[:, 0]
        weights = cover / cover.sum((-1, -2), keepdim=True)
        axis = torch.arange(64) + 0.5
        middle = torch.stack([(weights.sum(-2) * axis).sum(-1), (weights.sum(-1) * axis).sum(-1)], dim=-1)
        offsets.append(middle - scenes.centres(times.expand(8, 1))[:, 0])
    assert torch.allclose(offsets[0], offsets[1], atol=0.1) and offsets[0].abs().max() > 0.5


def test_creatures_of_other_scenes_pass_over_this_one():
    scenes, other, times = Scenes.draw(2, 11), Scenes.draw(2, 12), torch.tensor([0.3])
    frames, both = scenes.render(times), scenes.render(times, others=(other,))
    cover = other.covers(times)[:, 0]
    changed = (frames - both).abs().amax(2)[:, 0]
    assert changed[cover > 0.9].mean() > 0.05 and changed[cover == 0].mean() < 0.05
