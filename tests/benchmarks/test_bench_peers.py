"""Other ways to start from an image: their formulas by hand, and the starts that are the same for all."""

import torch

from benchmarks.peers import blend, low_frequencies, turned_noise


def test_animatediffs_blend_by_hand():
    x0, noise = torch.full((1, 1, 5, 1, 1), 3.0), torch.full((1, 1, 5, 1, 1), 1.0)
    assert blend(x0, noise, 1, 4).flatten().tolist() == [3, 2.5, 2, 1.5, 1]
    assert blend(x0, noise, 2, 4).flatten().tolist() == [3, 2.5, 1, 1, 1]


def test_noise_turns_towards_the_image_by_the_frame_and_not_at_all_at_full_strength():
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(1, 4, 4, 8, 8, generator=generator) for _ in range(2))
    assert torch.equal(turned_noise(x0, noise, 1.0), noise)
    turned = turned_noise(x0, noise, 0.2)
    assert torch.equal(turned[:, :, 0], noise[:, :, 0])
    cosines = torch.cosine_similarity(turned.transpose(1, 2).flatten(2), x0.transpose(1, 2).flatten(2), dim=2)[0]
    assert torch.all(cosines.diff() > 0)


def test_low_frequencies_of_one_and_high_ones_of_the_other():
    flat, other = torch.full((1, 1, 4, 8, 8), 2.0), torch.zeros(1, 1, 4, 8, 8)
    assert torch.allclose(low_frequencies(flat, other), flat, atol=1e-5)
    assert torch.allclose(low_frequencies(other, flat), other, atol=1e-5)
    checkered = other.clone()
    checkered[..., ::2, ::2] = checkered[..., 1::2, 1::2] = 1
    checkered -= 0.5
    # The highest frequency in both directions is √2 away: e^(-2 / (2·0.25²)) is nothing.
    assert torch.allclose(low_frequencies(other, checkered), checkered, atol=1e-5)
    same = torch.randn(1, 2, 5, 7, 6, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(low_frequencies(same, same), same, atol=1e-5)
