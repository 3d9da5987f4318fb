"""A pipeline of LaVie's interface: `video_length`, `.video` in uint8, `attn_temp` in the UNet, GroupNorm over the frames."""

from types import SimpleNamespace

import torch
from tiny_pipelines import ddim, image_vae
from torch import nn


class Temporal(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.mix = nn.Linear(width, width)

    def forward(self, hidden_states):
        return self.mix(hidden_states.mean(1, keepdim=True) - 0.3 * hidden_states)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attn_temp = Temporal(width)


class UNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.config = SimpleNamespace(in_channels=4, sample_size=8)
        self.inward, self.outward, self.words = nn.Conv2d(4, width, 3, padding=1), nn.Conv2d(width, 4, 1), nn.Linear(6, width)
        self.norm, self.block = nn.GroupNorm(2, width), Block(width)
        self.dtype, self.seen = torch.float32, []

    def forward(self, sample, timestep, encoder_hidden_states):
        batch, _, frames = sample.shape[:3]
        self.seen.append((tuple(sample.shape), int(timestep)))
        hidden = self.inward(sample.transpose(1, 2).flatten(0, 1)).unflatten(0, (batch, frames)).transpose(1, 2)
        hidden = torch.tanh(self.norm(hidden) + self.words(encoder_hidden_states)[..., None, None, None])
        rows = hidden.permute(0, 3, 4, 2, 1)
        rows = rows + self.block.attn_temp(rows.flatten(0, 2)).view(rows.shape)
        hidden = rows.permute(0, 3, 4, 1, 2).flatten(0, 1)
        return SimpleNamespace(sample=self.outward(hidden).unflatten(0, (batch, frames)).transpose(1, 2))


class VideoGenPipeline:
    def __init__(self, scheduler=None):
        torch.manual_seed(0)
        self.unet, self.vae, self.scheduler = UNet(), image_vae(), scheduler or ddim(beta_start=0.0001, beta_end=0.02)
        self.vae_scale_factor, self.device = 2, torch.device("cpu")

    def set_progress_bar_config(self, **options):
        pass

    def words(self, prompts):
        rows = [torch.randn(6, generator=torch.Generator().manual_seed(sum(map(ord, text)))) for text in prompts]
        return torch.stack(rows)

    def prepare_latents(
        self, batch_size, num_channels_latents, video_length, height, width, dtype, device, generator, latents=None
    ):
        shape = (batch_size, num_channels_latents, video_length, height // 2, width // 2)
        drawn = torch.randn(shape, generator=generator) if latents is None else latents
        return drawn * self.scheduler.init_noise_sigma

    def decode_latents(self, latents):
        images = self.vae.decode(latents.transpose(1, 2).flatten(0, 1) / 0.18215).sample
        pixels = ((images / 2 + 0.5) * 255).add(0.5).clamp(0, 255).byte()
        return pixels.unflatten(0, latents.shape[0:3:2]).movedim(2, -1)

    @torch.no_grad()
    def __call__(
        self,
        prompt,
        height=None,
        width=None,
        video_length=16,
        num_inference_steps=50,
        guidance_scale=7.5,
        negative_prompt="",
        eta=0.0,
        generator=None,
        latents=None,
        output_type="pil",
    ):
        prompts = [prompt] if isinstance(prompt, str) else prompt
        negative = [negative_prompt] if isinstance(negative_prompt, str) else negative_prompt
        words = torch.cat([self.words(negative), self.words(prompts)]) if guidance_scale > 1 else self.words(prompts)
        self.scheduler.set_timesteps(num_inference_steps, device="cpu")
        size = (height or 16, width or 16)
        x = self.prepare_latents(len(prompts), 4, video_length, *size, torch.float32, "cpu", generator, latents)
        for t in self.scheduler.timesteps:
            given = self.scheduler.scale_model_input(torch.cat([x, x]) if guidance_scale > 1 else x, t)
            predicted = self.unet(given, t, encoder_hidden_states=words).sample
            if guidance_scale > 1:
                free, told = predicted.chunk(2)
                predicted = free + guidance_scale * (told - free)
            x = self.scheduler.step(predicted, t, x, eta=eta, generator=generator).prev_sample
        return SimpleNamespace(video=self.decode_latents(x))
