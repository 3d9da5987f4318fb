"""Stand-in of the host's LCM sampler: its own levels, and a sampler that changes the model's answer in place."""

import torch
from k_diffusion import sampling
from k_diffusion.external import DiscreteEpsDDPMDenoiser
from k_diffusion.sampling import default_noise_sampler, trange
from modules import sd_samplers_cfg_denoiser, sd_samplers_common, sd_samplers_kdiffusion


class LCMCompVisDenoiser(DiscreteEpsDDPMDenoiser):
    """Fifty levels, every twentieth of the model's, ending at the highest."""

    def __init__(self, model):
        self.skip_steps = 20
        super().__init__(model, model.alphas_cumprod[self.skip_steps - 1 :: self.skip_steps].clone(), quantize=None)

    def get_sigmas(self, n=None):
        if n is None:
            return sampling.append_zero(self.sigmas.flip(0))
        start, end = self.sigma_to_t(self.sigma_max), self.sigma_to_t(self.sigma_min)
        return sampling.append_zero(self.t_to_sigma(torch.linspace(start, end, n, device=self.sigmas.device)))

    def sigma_to_t(self, sigma, quantize=None):
        nearest = (sigma.log() - self.log_sigmas[:, None]).abs().argmin(dim=0).view(sigma.shape)
        return nearest * self.skip_steps + (self.skip_steps - 1)

    def t_to_sigma(self, timestep):
        place = (timestep - (self.skip_steps - 1)) / self.skip_steps
        return super().t_to_sigma(torch.clamp(place.float(), min=0, max=len(self.sigmas) - 1))

    def forward(self, input, sigma, **kwargs):
        return self.inner_model.predict_x0(input, sigma)


def sample_lcm(model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
    """Luo et al. 2023: the model's answer is the next state, noised to the next level."""
    draw = noise_sampler or default_noise_sampler(x)
    steps = list(zip(sigmas[:-1], sigmas[1:]))
    for i in trange(len(steps), disable=disable):
        here, below = steps[i]
        answer = model(x, here.expand(len(x)).to(x), **(extra_args or {}))
        if callback is not None:
            callback({"i": i, "x": x, "denoised": answer, "sigma": here, "sigma_hat": here})
        if below > 0:
            # In place, as in the host: the tensor that the model returned is no longer the model's answer.
            answer.add_(below * draw(here, below))
        x = answer
    return x


class CFGDenoiserLCM(sd_samplers_cfg_denoiser.CFGDenoiser):
    def _wrapped(self, sd_model):
        return LCMCompVisDenoiser(sd_model)


class LCMSampler(sd_samplers_kdiffusion.KDiffusionSampler):
    _denoiser_class = CFGDenoiserLCM


samplers_lcm = [("LCM", sample_lcm, ["k_lcm"], {})]
samplers_data_lcm = [
    sd_samplers_common.SamplerData(label, lambda model, f=function: LCMSampler(f, model), aliases, options)
    for label, function, aliases, options in samplers_lcm
]
