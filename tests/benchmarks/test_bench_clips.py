"""True clips: the displacement leads to the same thing in the first frame, and the errors of known correspondences."""

import math

import pytest
import torch
from torch.nn import functional

from benchmarks.clips import KINDS, Clip, clip_of, clip_psnr, correspondence_errors, latent_displacement


def at_displacement(first, displacement):
    """Frame 0, `[3, H, W]`, sampled at each pixel's displacement, `[F, 3, H, W]`."""
    frames, _, height, width = displacement.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([x, y]) + displacement
    grid = (places.movedim(1, -1) + 0.5) * 2 / torch.tensor([width, height]) - 1
    return functional.grid_sample(first.expand(frames, -1, -1, -1), grid, align_corners=False, padding_mode="border")


@pytest.mark.parametrize("kind", KINDS)
def test_a_pixel_shows_what_its_place_in_the_first_frame_shows(kind):
    clip = clip_of(kind, 1)
    assert clip.frames.shape == (16, 3, 64, 64) and clip.visible[0].all()
    warped = at_displacement(clip.frames[0], clip.displacement)
    # Wakes and the light of a place do not travel with the creature.
    error = (warped - clip.frames).abs().amax(1)[clip.visible]
    assert error.median() < 0.01 and error.quantile(0.95) < 0.1
    away = clip.displacement[-1].norm(dim=0)
    if kind != "still":
        in_place = (clip.frames[:1] - clip.frames).abs().amax(1)
        moved = clip.visible & (clip.displacement.norm(dim=1) > 2)
        assert (warped - clip.frames).abs().amax(1)[moved].mean() < 0.5 * in_place[moved].mean()
        assert away.max() > (35 if kind == "twice as far" else 15)
    else:
        assert away.max() == 0


def test_kinds_differ_where_their_names_say():
    clips = {kind: clip_of(kind, 2) for kind in KINDS}
    assert torch.equal(clips["cut"].frames[:8], clips["as trained"].frames[:8]) and not clips["cut"].visible[8:].any()
    assert (clips["pan"].displacement[-1, 0, 0, 0], clips["pan"].displacement[-1, 1, 0, 0]) == (20, 0)
    assert not clips["pan"].visible[-1, 32, -10:].any()  # what comes in from the right
    assert torch.equal(clips["still"].frames[0], clips["still"].frames[-1])
    assert not torch.equal(clips["passing"].frames, clips["as trained"].frames)


def test_errors_of_the_truth_and_of_no_motion():
    clip = clip_of("as trained", 3)
    x0 = torch.zeros(16, 4, 16, 16)
    truth, _ = latent_displacement(clip, 16, 16)
    figures = correspondence_errors(lambda _: truth, x0, clip)
    assert (figures["off_moving"], figures["near"], figures["off_still"]) == (0, 1, 0)
    figures = correspondence_errors(lambda _: torch.zeros_like(truth), x0, clip)
    assert figures["off_moving"] == figures["moved"] > 1 and figures["off_still"] < 0.05
    shifted = truth + torch.tensor([3.0, 4.0]).view(2, 1, 1)
    assert correspondence_errors(lambda _: shifted, x0, clip)["off_moving"] == pytest.approx(5)


def test_psnr_by_hand():
    frames = torch.full((2, 3, 4, 4), 0.5)
    frames[1, :, 0] = 1.0
    clip = Clip("", frames, torch.zeros(2, 2, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool))
    figures = clip_psnr(frames + torch.tensor([0.5, 0.1]).view(2, 1, 1, 1), clip)  # the first frame does not count
    assert figures == pytest.approx({"clip_psnr": 20, "changed_psnr": 20}, abs=1e-4)
    video = frames.clone()
    video[1, :, 0] = 0.5
    assert clip_psnr(video, clip)["changed_psnr"] == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert clip_psnr(video, clip)["clip_psnr"] == pytest.approx(20 * math.log10(4), abs=1e-4)
