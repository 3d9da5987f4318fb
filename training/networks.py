"""The untrained networks of the built-in model, and its noise levels."""

from __future__ import annotations

import sys
from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, MotionAdapter, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib_noiserect.tiny import world

CHANNELS = (48, 96, 96)
LATENT_CHANNELS = 8
TEXT_WIDTH = 64


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32, 48),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=world.SIZE,
    )


def new_text_encoder(vocabulary: int, end_of_text: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
            bos_token_id=end_of_text - 1,
            eos_token_id=end_of_text,
            pad_token_id=end_of_text,
            projection_dim=TEXT_WIDTH,
        )
    )


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=world.SIZE // 4,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def new_motion_adapter() -> MotionAdapter:
    adapter = MotionAdapter(
        block_out_channels=CHANNELS,
        motion_layers_per_block=1,
        motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=4,
        motion_norm_num_groups=16,
        motion_max_seq_length=32,
    )
    for name, parameter in adapter.named_parameters():
        if "proj_out" in name:
            nn.init.zeros_(parameter)
    return adapter


def new_scheduler() -> DDIMScheduler:
    """AnimateDiff's own noise levels: linear β from 0.00085 to 0.012."""
    return DDIMScheduler(
        beta_schedule="linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        prediction_type="v_prediction",
        steps_offset=1,
        timestep_spacing="leading",
    )
