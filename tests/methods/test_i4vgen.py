"""The formulas of I4VGen's stages, against the authors' own form and by hand."""

import pytest
import torch

from lib_noiserect.core.noise_levels import vp
from lib_noiserect.methods.i4vgen import ni_vsds_update, num_updates, stage_calls, step_sizes


def test_how_many_timesteps_by_hand():
    assert [num_updates(steps, 0.6) for steps in (1, 2, 5, 10, 25, 50)] == [1, 2, 4, 7, 16, 31]
    assert num_updates(42, 1.0) == 42 and num_updates(10, 0.0) == 1
    assert num_updates(100, 0.07) == 8, "100·0.07 is above 7 in floating point, and int() of it still 7"


def test_step_sizes_by_hand():
    assert step_sizes(5) == [10, 10, 10, 1, 1]
    assert step_sizes(2, strength=0.5) == [5, 5]
    assert len(step_sizes(60)) == 60, "the authors' list ends after 25"


@pytest.mark.parametrize("alpha_bar", [0.9, 0.5, 0.01])
def test_an_update_is_the_authors(alpha_bar):
    generator = torch.Generator().manual_seed(0)
    clean, predicted_noise, noise = (
        torch.randn(5, 4, 6, 6, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    level = vp(alpha_bar)
    x = level.a * clean + level.s * noise
    pred_x0 = (x - level.s * predicted_noise) / level.a
    mine = ni_vsds_update(clean, pred_x0, level, 10.0, pin_first_frame=False)
    authors = clean - 10.0 * (1 - alpha_bar) * (predicted_noise - noise)
    torch.testing.assert_close(mine, authors, rtol=1e-9, atol=1e-9)


def test_pinned_to_the_anchor():
    generator = torch.Generator().manual_seed(0)
    clean, pred_x0 = (torch.randn(3, 2, generator=generator) for _ in range(2))
    moved = ni_vsds_update(clean, pred_x0, vp(0.5), 2.0, pin_first_frame=True)
    assert torch.equal(moved[0], clean[0])
    free = ni_vsds_update(clean, pred_x0, vp(0.5), 2.0, pin_first_frame=False)
    torch.testing.assert_close(moved - moved[:1], (free - free[:1]) + (clean[0] - clean[:1]))


def test_calls_by_hand():
    """The authors' setting for AnimateDiff: 25 + 16 + 25; with the user's own picture 16 + 25."""
    assert sum(stage_calls(25, candidates=16, frames=16, share=0.6, probes=0).values()) == 66
    assert sum(stage_calls(25, candidates=0, frames=16, share=0.6, probes=0).values()) == 41
    assert sum(stage_calls(25, candidates=4, frames=16, share=0.0, probes=8).values()) == 33 / 4 + 25
