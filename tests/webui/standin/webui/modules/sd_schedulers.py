"""Stand-in of the noise schedules of 1.9 and later, from their published formulas."""

import dataclasses
import math
from typing import Any

import k_diffusion.sampling
import numpy as np
import torch
from modules import shared


@dataclasses.dataclass
class Scheduler:
    name: str
    label: str
    function: Any
    default_rho: float = -1
    need_inner_model: bool = False
    aliases: list = None


def to_d(x, sigma, denoised):
    """This host replaces k-diffusion's own, which gives `sigma` the dimensions of x."""
    return (x - denoised) / sigma


k_diffusion.sampling.to_d = to_d


def _with_zero(sigmas, device):
    return torch.cat([torch.as_tensor(sigmas, dtype=torch.float32), torch.zeros(1)]).to(device)


def _sigmas_at(inner_model, timesteps):
    return [float(inner_model.t_to_sigma(t)) for t in timesteps]


def _time_range(inner_model, sigma_min, sigma_max):
    return inner_model.sigma_to_t(torch.tensor(sigma_max)), inner_model.sigma_to_t(torch.tensor(sigma_min))


def uniform(n, sigma_min, sigma_max, inner_model, device):
    return inner_model.get_sigmas(n).to(device)


def sgm_uniform(n, sigma_min, sigma_max, inner_model, device):
    start, end = _time_range(inner_model, sigma_min, sigma_max)
    return _with_zero(_sigmas_at(inner_model, torch.linspace(start, end, n + 1)[:-1]), device)


def normal_scheduler(n, sigma_min, sigma_max, inner_model, device, sgm=False, floor=False):
    if sgm:
        return sgm_uniform(n, sigma_min, sigma_max, inner_model, device)
    start, end = _time_range(inner_model, sigma_min, sigma_max)
    return _with_zero(_sigmas_at(inner_model, torch.linspace(start, end, n)), device)


def simple_scheduler(n, sigma_min, sigma_max, inner_model, device):
    every = len(inner_model.sigmas) / n
    return _with_zero([float(inner_model.sigmas[-1 - int(i * every)]) for i in range(n)], device)


def ddim_scheduler(n, sigma_min, sigma_max, inner_model, device):
    every = max(len(inner_model.sigmas) // n, 1)
    return _with_zero(inner_model.sigmas[1::every].flip(0), device)


def kl_optimal(n, sigma_min, sigma_max, device):
    # Equal steps in atan σ; the last one is sigma_min and no zero follows.
    share = torch.arange(n + 1) / n
    return torch.tan(share * math.atan(sigma_min) + (1.0 - share) * math.atan(sigma_max)).to(device)


def get_align_your_steps_sigmas(n, sigma_min, sigma_max, device):
    """Sabour et al. 2024: optimised levels for ten steps, interpolated in log σ for other numbers."""
    # The host asks the model, which loads it: `get_align_your_steps_sigmas` of 1.10.1's modules/sd_schedulers.py.
    assert not shared.sd_model.is_sdxl, "only SD 1.5's levels are played"
    levels = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    if n != len(levels):
        places = np.linspace(0, len(levels) - 1, n)
        levels = np.exp(np.interp(places, np.arange(len(levels)), np.log(levels)))
    return _with_zero(levels, device)


def beta_scheduler(n, sigma_min, sigma_max, inner_model, device):
    """Lee et al. 2024."""
    from scipy import stats

    quantiles = stats.beta.ppf(1 - np.linspace(0, 1, n), shared.opts.beta_dist_alpha, shared.opts.beta_dist_beta)
    return _with_zero(sigma_min + quantiles * (sigma_max - sigma_min), device)


schedulers = [
    Scheduler("automatic", "Automatic", None),
    Scheduler("uniform", "Uniform", uniform, need_inner_model=True),
    Scheduler("karras", "Karras", k_diffusion.sampling.get_sigmas_karras, default_rho=7.0),
    Scheduler("exponential", "Exponential", k_diffusion.sampling.get_sigmas_exponential),
    Scheduler("polyexponential", "Polyexponential", k_diffusion.sampling.get_sigmas_polyexponential, default_rho=1.0),
    Scheduler("sgm_uniform", "SGM Uniform", sgm_uniform, need_inner_model=True, aliases=["SGMUniform"]),
    Scheduler("kl_optimal", "KL Optimal", kl_optimal),
    Scheduler("align_your_steps", "Align Your Steps", get_align_your_steps_sigmas),
    Scheduler("simple", "Simple", simple_scheduler, need_inner_model=True),
    Scheduler("normal", "Normal", normal_scheduler, need_inner_model=True),
    Scheduler("ddim", "DDIM", ddim_scheduler, need_inner_model=True),
    Scheduler("beta", "Beta", beta_scheduler, need_inner_model=True),
]

schedulers_map = {**{x.name: x for x in schedulers}, **{x.label: x for x in schedulers}}
