"""Stand-in of FreeInit (Wu et al. 2023): the clip is sampled several times, low frequencies of the noise from before."""

from types import MethodType

import torch


def _low_pass(shape, kind, space, time):
    """[F, h, w] weights, centred as after fftshift."""
    axes = [torch.arange(size) * 2 / size - 1 for size in shape]
    t, y, x = torch.meshgrid(axes[0] * space / time, axes[1], axes[2], indexing="ij")
    distance = t**2 + y**2 + x**2
    if kind == "gaussian":
        return torch.exp(-distance / (2 * space**2))
    if kind == "butterworth":
        return 1 / (1 + (distance / space**2) ** 4)
    return (distance <= 2 * space).float()


def _mix(low, high, weights):
    axes = (0, 2, 3)
    weights = weights[:, None]
    spectrum = [torch.fft.fftshift(torch.fft.fftn(part, dim=axes), dim=axes) for part in (low, high)]
    mixed = spectrum[0] * weights + spectrum[1] * (1 - weights)
    return torch.fft.ifftn(torch.fft.ifftshift(mixed, dim=axes), dim=axes).real


class AnimateDiffFreeInit:
    def __init__(self, params):
        self.params = params

    def hack(self, p, params):
        shape = (params.video_length, p.height // 8, p.width // 8)
        p.freq_filter = _low_pass(shape, params.freeinit_filter, params.freeinit_ds, params.freeinit_dt)
        p.num_freeinit_iters = params.freeinit_iters
        p.sample = MethodType(_sample, p)


def _sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
    """Takes the place of `p.sample`: no hook before the sampling, and the final blend asks no script."""
    noise = self.rng.next()
    if self.initial_noise_multiplier != 1.0:
        noise *= self.initial_noise_multiplier
    first_noise = noise.clone()
    for run in range(self.num_freeinit_iters):
        if run > 0:
            alpha_bar = self.sd_model.alphas_cumprod[999]
            noised = alpha_bar.sqrt() * samples + (1 - alpha_bar).sqrt() * first_noise  # noqa: F821
            noise = _mix(noised, first_noise, self.freq_filter).to(first_noise.dtype)
        samples = self.sampler.sample_img2img(
            self,
            self.init_latent,
            noise,
            conditioning,
            unconditional_conditioning,
            image_conditioning=self.image_conditioning,
        )
    if self.mask is not None:
        samples = samples * self.nmask + self.init_latent * self.mask
    return samples
