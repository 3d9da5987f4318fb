"""A DDIM sampler of the calling convention of lvdm's, on a toy model: written for these tests, in float64."""

import numpy as np
import torch


def make_ddim_timesteps(ddim_discr_method, num_ddim_timesteps, num_ddpm_timesteps, verbose=True):
    assert ddim_discr_method == "uniform_trailing"
    return np.flip(np.round(np.arange(num_ddpm_timesteps, 0, -num_ddpm_timesteps / num_ddim_timesteps))).astype(int) - 1


class Model:
    """A video model whose prediction is a mixture of frames, for v or eps, with or without a scale of x0."""

    def __init__(self, parameterization="eps", scaled=None, zero_snr=False):
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        roots = (1 - betas).cumprod(0).sqrt()
        if zero_snr:
            roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
        self.betas, self.alphas_cumprod, self.num_timesteps = betas, roots**2, 1000
        self.parameterization = parameterization
        self.use_dynamic_rescale, self.use_scale = scaled == "dynamic", scaled == "fixed"
        self.scale_arr = torch.cat([torch.linspace(1, 0.7, 400), torch.full((600,), 0.7)]).double()
        random = torch.Generator().manual_seed(3)
        self.mixture = torch.randn(4, 4, generator=random).double() / 2
        self.calls = []

    def apply_model(self, x, t, c, **kwargs):
        self.calls.append(int(t[0]))
        return torch.tanh(torch.einsum("cd,bdfhw->bcfhw", self.mixture, x) + x.roll(1, 2) * c)


class DDIMSampler:
    def __init__(self, model):
        self.model, self.ddpm_num_timesteps = model, model.num_timesteps

    def make_schedule(self, ddim_num_steps, ddim_discretize, ddim_eta):
        self.ddim_timesteps = make_ddim_timesteps(
            ddim_discr_method=ddim_discretize, num_ddim_timesteps=ddim_num_steps, num_ddpm_timesteps=self.ddpm_num_timesteps
        )
        powers, scales = self.model.alphas_cumprod, self.model.scale_arr
        times = self.ddim_timesteps.tolist()
        self.ddim_alphas, self.ddim_alphas_prev = powers[times], powers[[0, *times[:-1]]]
        before, now = self.ddim_alphas_prev, self.ddim_alphas
        self.ddim_sigmas = ddim_eta * ((1 - before) / (1 - now) * (1 - now / before)).sqrt()
        first = 0 if self.model.use_scale else times[0]
        self.ddim_scale_arr, self.ddim_scale_arr_prev = scales[times], scales[[first, *times[:-1]]]

    def sample(self, S, batch_size, shape, conditioning, eta=0.0, x_T=None, timestep_spacing="uniform_trailing", **kwargs):
        self.make_schedule(S, timestep_spacing, eta)
        return self.ddim_sampling(conditioning, (batch_size, *shape), x_T=x_T, **kwargs)

    def ddim_sampling(self, cond, shape, x_T=None, mask=None, timesteps=None, **kwargs):
        x = torch.randn(shape) if x_T is None else x_T
        shown = None
        for index in reversed(range(len(self.ddim_timesteps))):
            t = torch.full((shape[0],), int(self.ddim_timesteps[index]))
            x, shown = self.p_sample_ddim(x, cond, t, index=index, mask=mask, **kwargs)
        return x, {"pred_x0": shown}

    def p_sample_ddim(self, x, c, t, index, mask=None, unconditional_guidance_scale=1.0, **kwargs):
        output = self.model.apply_model(x, t, 0 * c)
        output = output + unconditional_guidance_scale * (self.model.apply_model(x, t, c) - output)
        power, before, sigma = self.ddim_alphas[index], self.ddim_alphas_prev[index], self.ddim_sigmas[index]
        if self.model.parameterization == "v":
            noise, clean = power.sqrt() * output + (1 - power).sqrt() * x, power.sqrt() * x - (1 - power).sqrt() * output
        else:
            noise, clean = output, (x - (1 - power).sqrt() * output) / power.sqrt()
        fresh = sigma * torch.randn(x.shape).to(x)
        scale, scale_before = self.ddim_scale_arr[index], self.ddim_scale_arr_prev[index]
        if self.model.use_dynamic_rescale:
            clean = clean * (scale_before / scale)
            return before.sqrt() * clean + (1 - before - sigma**2).sqrt() * noise + fresh, clean
        if self.model.use_scale:
            clean = clean / scale
            return before.sqrt() * scale_before * clean + (1 - before - sigma**2).sqrt() * noise + fresh, clean
        return before.sqrt() * clean + (1 - before - sigma**2).sqrt() * noise + fresh, clean
