"""Stand-in of the samplers that count in timesteps, written from their papers."""

import k_diffusion.sampling
import torch
from modules import shared
from standin import flavours
from standin import unipc as uni_pc
from tqdm.auto import trange


class _Levels:
    """(timestep, ᾱ here, ᾱ of the next lower timestep) for each step from the noisy end; the lowest has no step."""

    def __init__(self, model, timesteps):
        alphas_cumprod = model.inner_model.inner_model.alphas_cumprod
        self.timesteps = timesteps
        self.alpha_bars = alphas_cumprod[timesteps].double()

    def __len__(self):
        return len(self.timesteps) - 1

    def __getitem__(self, i):
        index = len(self) - i
        here, below = self.alpha_bars[index].item(), self.alpha_bars[index - 1].item()
        return self.timesteps[index].item(), here, below


def _ddim_loop(model, levels, x, extra_args, callback, disable, eta, direction):
    """Song et al. 2020, eq. 12. `direction(eps)`: the noise along which the step goes, which CFG++ chooses anew."""
    ones = x.new_ones(x.shape[0])
    for i in trange(len(levels), disable=disable):
        timestep, here, below = levels[i]
        eps = model(x, timestep * ones, **(extra_args or {}))
        along = direction(eps)
        fresh = eta * ((1 - below) / (1 - here) * (1 - here / below)) ** 0.5
        pred_x0 = (x - (1 - here) ** 0.5 * eps) / here**0.5
        # Drawn even when eta is 0 and it is multiplied by nothing.
        noise = k_diffusion.sampling.torch.randn_like(x)
        x = below**0.5 * pred_x0 + (1 - below - fresh**2) ** 0.5 * along + fresh * noise
        if callback is not None:
            callback({"i": i, "x": x, "denoised": pred_x0, "sigma": 0, "sigma_hat": 0})
    return x


@torch.no_grad()
def ddim(model, x, timesteps, extra_args=None, callback=None, disable=None, eta=0.0):
    levels = _Levels(model, timesteps)
    return _ddim_loop(model, levels, x, extra_args, callback, disable, eta, lambda eps: eps)


if flavours.active.has_cfgpp:

    @torch.no_grad()
    def ddim_cfgpp(model, x, timesteps, extra_args=None, callback=None, disable=None, eta=0.0):
        """Chung et al. 2024: guidance for the clean latent, the unguided noise for the direction."""
        levels = _Levels(model, timesteps)
        model.cond_scale_miltiplier = 1 / 12.5
        model.need_last_noise_uncond = True
        return _ddim_loop(model, levels, x, extra_args, callback, disable, eta, lambda eps: model.last_noise_uncond)


@torch.no_grad()
def plms(model, x, timesteps, extra_args=None, callback=None, disable=None):
    """Liu et al. 2022: DDIM steps along a combination of the last four answers."""
    levels = _Levels(model, timesteps)
    ones = x.new_ones(x.shape[0])
    weights = {2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}
    newest_first = []

    def step(eps, here, below):
        pred_x0 = (x - (1 - here) ** 0.5 * eps) / here**0.5
        return below**0.5 * pred_x0 + (1 - below) ** 0.5 * eps, pred_x0

    for i in trange(len(levels), disable=disable):
        timestep, here, below = levels[i]
        eps = model(x, timestep * ones, **(extra_args or {}))
        newest_first.insert(0, eps)
        if i == 0:
            # No history yet: a second call one step further.
            ahead = model(
                step(eps, here, below)[0], timesteps[max(len(levels) - 1, 0)].item() * ones, **(extra_args or {})
            )
            combined = (eps + ahead) / 2
        else:
            newest_first = newest_first[:4]
            combined = sum(w * e for w, e in zip(weights[len(newest_first)], newest_first))
        x, pred_x0 = step(combined, here, below)
        if callback is not None:
            callback({"i": i, "x": x, "denoised": pred_x0, "sigma": 0, "sigma_hat": 0})
    return x


def unipc(model, x, timesteps, extra_args=None, callback=None, disable=None, is_img2img=False):
    alphas_cumprod = model.inner_model.inner_model.alphas_cumprod
    start = timesteps[-1] / 1000 + 1 / 1000 if is_img2img else None
    return uni_pc.sample(
        lambda state, timestep: model(state, timestep, **(extra_args or {})),
        x,
        alphas_cumprod,
        steps=len(timesteps),
        t_start=start,
        order=shared.opts.uni_pc_order,
        variant=shared.opts.uni_pc_variant,
        skip_type=shared.opts.uni_pc_skip_type,
        lower_order_final=shared.opts.uni_pc_lower_order_final,
        callback=callback,
    )
