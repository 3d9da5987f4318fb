"""For tests/live, in a web UI that they drive: the model answers the clean latent, which shows a sampler's own floor.

Independent of the extension under test. Link the folder `tests/live/probe` into the web UI's `extensions`.
"""

import functools

import gradio as gr
import torch
from modules import scripts


class CleanAnswer(scripts.Script):
    def title(self):
        return "Clean Answer"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        return [gr.Checkbox(False, label="The model answers the clean latent", visible=False)]

    def process_batch(self, p, enabled, **kwargs):
        if enabled is True:
            answer_clean(p)


def answer_clean(p):
    clean = p.init_latent[:1].clone().float()  # AnimateDiff leaves the first frame as it was
    sample_img2img = p.sampler.sample_img2img

    @functools.wraps(sample_img2img)
    def sample(p, x, noise, *args, **kwargs):
        func = p.sampler.func

        @functools.wraps(func)
        def sampler(model, xi, **options):
            timesteps = options.get("timesteps")
            if timesteps is None:
                start = xi - x + clean
            else:
                alpha_bar = model.inner_model.inner_model.alphas_cumprod[timesteps[-1]]
                start = clean * alpha_bar.sqrt() + noise * (1 - alpha_bar).sqrt()
            return func(CleanModel(model, clean, timesteps is not None), start, **options)

        p.sampler.func = sampler
        try:
            return sample_img2img(p, x, noise, *args, **kwargs)
        finally:
            p.sampler.func = func

    p.sampler.sample_img2img = sample


class CleanModel:
    def __init__(self, model, clean, on_timesteps):
        self.__dict__.update(model=model, clean=clean, on_timesteps=on_timesteps)

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, x, level, **kwargs):
        if not self.on_timesteps:
            return self.clean.expand_as(x).clone()
        alphas_cumprod = self.model.inner_model.inner_model.alphas_cumprod.double()
        below, above = alphas_cumprod[level.long()], alphas_cumprod[(level.long() + 1).clamp(max=999)]
        part = (level.double() - level.long()).clamp(0, 1)
        alpha_bar = torch.exp(below.log() * (1 - part) + above.log() * part).view(-1, 1, 1, 1)
        noise = ((x.double() - alpha_bar.sqrt() * self.clean) / (1 - alpha_bar).sqrt()).to(x.dtype)
        self.__dict__["last_noise_uncond"] = noise.clone()
        return noise
