"""Stand-in of the host's Restart sampler (Xu et al. 2023), written from the paper and the order of its calls."""

import k_diffusion.sampling
import torch
from tqdm.auto import tqdm


@torch.no_grad()
def restart_sampler(model, x, sigmas, extra_args=None, callback=None, disable=None, s_noise=1.0, restart_list=None):
    """`restart_list`: {σ after which to restart: [steps of the repeat, number of repeats, σ to return to]}."""
    extra_args = extra_args or {}
    ones = x.new_ones([x.shape[0]])
    if restart_list is None:
        sigmas, restart_list = _default_restarts(sigmas)

    previous_end = None
    for index, (start, end) in enumerate(tqdm(_plan(sigmas, restart_list), disable=disable)):
        if previous_end is not None and previous_end < start:
            noise = k_diffusion.sampling.torch.randn_like(x)
            x = x + noise * s_noise * (start**2 - previous_end**2) ** 0.5

        denoised = model(x, start * ones, **extra_args)
        slope = k_diffusion.sampling.to_d(x, start, denoised)
        if callback is not None:
            callback({"x": x, "i": index, "sigma": end, "sigma_hat": start, "denoised": denoised})
        if end != 0:
            predicted = x + slope * (end - start)
            again = model(predicted, end * ones, **extra_args)
            slope = (slope + k_diffusion.sampling.to_d(predicted, end, again)) / 2
        x = x + slope * (end - start)
        previous_end = end
    return x


def _default_restarts(sigmas):
    """Short runs do not restart; the steps of the repeats are taken from the steps that were asked for."""
    steps = len(sigmas) - 1
    if steps < 20:
        return sigmas, {}
    length, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    shorter = k_diffusion.sampling.get_sigmas_karras(
        steps - length * times, sigmas[-2].item(), sigmas[0].item(), device=sigmas.device
    )
    return shorter, {0.1: [length + 1, times, 2]}


def _plan(sigmas, restart_list):
    """All (start, end) pairs in the order in which they are taken."""

    def nearest(sigma):
        return int((sigmas - sigma).abs().argmin())

    restarts = {nearest(sigma): value for sigma, value in restart_list.items()}
    pairs = []
    for index in range(len(sigmas) - 1):
        pairs.append((sigmas[index], sigmas[index + 1]))
        if index + 1 in restarts:
            length, times, back_to = restarts[index + 1]
            if nearest(back_to) < index + 1:
                repeat = k_diffusion.sampling.get_sigmas_karras(
                    length, sigmas[index + 1].item(), sigmas[nearest(back_to)].item(), device=sigmas.device
                )[:-1]
                pairs.extend(list(zip(repeat[:-1], repeat[1:])) * times)
    return pairs
