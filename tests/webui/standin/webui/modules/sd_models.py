"""Stand-in of the checkpoint: a toy VAE, toy text encoder and a toy network whose answers the test can choose."""

import contextlib
import hashlib
import types

import torch
from modules import devices, shared
from standin import flavours

checkpoint_aliases = {}
checkpoints_list = {}


class CheckpointInfo:
    def __init__(self, name):
        self.filename = self.name = f"{name}.safetensors"
        self.name_for_extra = name
        self.title = f"{self.name} [0123456789]"
        self.short_title = f"{name} [0123456789]"
        self.shorthash = "0123456789"


def scaled_linear_alphas_cumprod(num_timesteps=1000, beta_start=0.00085, beta_end=0.012):
    """The schedule that Stable Diffusion 1.5 was trained with."""
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, num_timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1.0 - betas, dim=0).float()


def alpha_bar_at(alphas_cumprod, timesteps):
    """ᾱ at timesteps [B] that may lie between two integers: log ᾱ is interpolated. Returned as [B, 1, 1, 1]."""
    logs = alphas_cumprod.double().log()
    position = timesteps.double().clamp(0, len(logs) - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=len(logs) - 1)
    weight = position - low
    return ((1 - weight) * logs[low] + weight * logs[high]).exp().float()[:, None, None, None]


def sigmas_of(alphas_cumprod):
    return ((1 - alphas_cumprod) / alphas_cumprod) ** 0.5


class ToyVae:
    """8x8 pixel blocks ↔ 4 latent channels: red, green, blue, and horizontal contrast, all within [-1, 1]."""

    SPREAD = 0.002
    """standard deviation of the sampling noise; it is drawn without a seed, as in the host"""

    def encode(self, images):
        blocks = torch.nn.functional.avg_pool2d(images, 8)
        halves = torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), (8, 4))
        contrast = halves[..., 0::2] - halves[..., 1::2]
        return torch.cat([blocks, contrast], dim=1)

    def decode(self, latent):
        blocks = torch.nn.functional.interpolate(latent[:, :3], scale_factor=8, mode="nearest")
        half = torch.cat([latent[:, 3:].unsqueeze(-1), -latent[:, 3:].unsqueeze(-1)], dim=-1) / 2
        contrast = half.repeat_interleave(4, dim=-1).flatten(-2).repeat_interleave(8, dim=-2)
        return blocks + contrast


class SdModel:
    def __init__(self, host):
        self.host = host
        self.vae = ToyVae()
        self.first_stage_model = types.SimpleNamespace(dtype=torch.float32, to=lambda *args: None)
        self.model = types.SimpleNamespace(conditioning_key="crossattn", diffusion_model=types.SimpleNamespace())
        self.device = devices.device
        self.dtype = torch.float32
        self.num_timesteps = 1000
        self.scale_factor = 0.18215
        self.alphas_cumprod = scaled_linear_alphas_cumprod()
        self.alphas_cumprod_original = self.alphas_cumprod
        self.parameterization = "eps"
        self.cond_stage_key = "txt"
        self.is_sd1, self.is_sd2, self.is_sdxl, self.is_sd3, self.is_sdxl_inpaint = True, False, False, False, False
        self.is_ssd = False
        self.lowvram = False
        self.latent_channels = 4
        self.sd_checkpoint_info = self.own_checkpoint_info = CheckpointInfo("toy")
        self.sd_model_hash = "0123456789"
        self.cond_stage_model_empty_prompt = self.get_learned_conditioning([""])
        self.forget_patches()
        self.pass_size = None
        """rows of one pass through the network: the frames, or one context of a longer clip"""

    def forget_patches(self):
        """Forge only: its network is patched anew for every batch and every sampling."""
        if flavours.active.is_forge:
            from modules_forge.unet_patcher import ForgeObjects, ModelSampling

            if not hasattr(self, "forge_objects"):
                self.own_levels = ModelSampling()
                self.own_levels.set_sigmas(sigmas_of(self.alphas_cumprod))
            self.forge_objects = ForgeObjects(self.own_levels)
            self.forge_objects_after_applying_lora = ForgeObjects(self.own_levels)

    @contextlib.contextmanager
    def ema_scope(self):
        yield

    def encode_first_stage(self, x):
        return self.vae.encode(x)

    def get_first_stage_encoding(self, encoder_posterior):
        return encoder_posterior + self.vae.SPREAD * torch.randn_like(encoder_posterior)

    def decode_first_stage(self, z):
        return self.vae.decode(z)

    def get_learned_conditioning(self, prompts):
        return torch.stack([self._cond(prompt) for prompt in prompts])

    def _cond(self, prompt, width=16):
        chunks = max(1, -(-len(prompt.split()) // 75))
        seed = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4], "big")
        return torch.randn(77 * chunks, width, generator=torch.Generator().manual_seed(seed))

    def predict_x0(self, x, level):
        """The clean latents that the network sees in x [rows, 4, h, w]; rows are whole passes of `pass_size` frames."""
        answers = []
        seen = None
        for block in self.host.motion_blocks():
            block(x)
        for one, its_level in zip(x.split(self.pass_size), level.split(self.pass_size)):
            # Prompt and negative prompt look at the same state; the test's function is asked once.
            if seen is None or not torch.equal(one, seen):
                answer = self.host.answer(one, float(its_level[0]))
            answers.append(answer)
            seen = one
        return torch.cat(answers)

    def apply_model(self, x_noisy, t, cond):
        """eps, for samplers that count in timesteps."""
        return self.eps_of(x_noisy, t, self.predict_x0(x_noisy, t))

    def eps_of(self, x, timesteps, clean):
        alpha_bar = alpha_bar_at(self.alphas_cumprod, timesteps)
        return (x - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()


def reload_model_weights(sd_model=None, info=None, forced_reload=False):
    """Another checkpoint, or the usual one again. The new network has none of the patches of the old one."""
    model = shared.sd_model
    wanted = info or model.own_checkpoint_info
    if model.sd_checkpoint_info is not wanted:
        model.sd_checkpoint_info = wanted
        model.model.diffusion_model = types.SimpleNamespace()
    return model


def apply_token_merging(sd_model, token_merging_ratio):
    pass


def apply_alpha_schedule_override(sd_model, p=None):
    sd_model.alphas_cumprod = sd_model.alphas_cumprod_original.to(shared.device)


def get_closet_checkpoint_match(search_string):
    return checkpoints_list.get(search_string)


@contextlib.contextmanager
def SkipWritingToConfig():
    yield


class _ModelData:
    def get_sd_model(self):
        return shared.sd_model


model_data = _ModelData()
