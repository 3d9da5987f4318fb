"""Stock pipelines of diffusers with small random weights: real architectures, nothing downloaded."""

import copy
import functools

import diffusers
import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

WIDTH = 32
TWO_LEVELS = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}


def words(seed):
    return torch.randn(1, 6, WIDTH, generator=torch.Generator().manual_seed(seed))


CALL = {"prompt_embeds": words(7), "negative_prompt_embeds": words(8), "num_frames": 5, "height": 16, "width": 16}


def image_vae(**config):
    return diffusers.AutoencoderKL(
        block_out_channels=(16, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        **config,
    )


def unet_2d(**config):
    """One level, whose time a test feels least; the prompt comes in by the middle block."""
    settings = {
        "sample_size": 8,
        "block_out_channels": (16,),
        "down_block_types": ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    return diffusers.UNet2DConditionModel(**{**settings, **config})


def motion_adapter(block_out_channels=(16,), in_middle=True):
    return diffusers.MotionAdapter(
        block_out_channels=block_out_channels,
        motion_layers_per_block=1,
        motion_mid_block_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=8,
        motion_max_seq_length=16,
        use_motion_mid_block=in_middle,
    )


def ddim(**config):
    settings = {"beta_schedule": "linear", "beta_end": 0.012, "beta_start": 0.00085, "clip_sample": False}
    return diffusers.DDIMScheduler(**{**settings, **config})


def animatediff(levels=None, **vae_config):
    torch.manual_seed(0)
    levels = levels or {"block_out_channels": (16,)}
    parts = (image_vae(**vae_config), None, None, unet_2d(**levels), motion_adapter(levels["block_out_channels"]), ddim())
    return quiet(diffusers.AnimateDiffPipeline(*parts, feature_extractor=None, image_encoder=None)), CALL.copy()


@functools.cache
def smallest():
    """AnimateDiff with the smallest network, made once: for facts of a scheduler, which the test puts in."""
    torch.manual_seed(0)
    parts = (image_vae(), None, None, unet_2d(), motion_adapter(in_middle=False), ddim())
    return quiet(diffusers.AnimateDiffPipeline(*parts, feature_extractor=None, image_encoder=None)), CALL


def animatediff_ip_adapter():
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=8,
        patch_size=4,
        projection_dim=16,
    )
    encoder = CLIPVisionModelWithProjection(vision)
    pipe = diffusers.AnimateDiffPipeline(
        image_vae(),
        None,
        None,
        unet_2d(),
        motion_adapter(),
        ddim(),
        CLIPImageProcessor(size={"shortest_edge": 8}, crop_size=8),
        encoder,
    )
    pipe.unet._load_ip_adapter_weights([_ip_adapter_weights(pipe.unet)])
    pipe.set_ip_adapter_scale(1.0)
    return quiet(pipe), CALL.copy()


def _ip_adapter_weights(unet):
    weights = {"ip_adapter": {}, "image_proj": {}}
    key = 1
    for name in unet.attn_processors:
        if "motion_modules" in name or name.endswith("attn1.processor"):
            continue
        inner = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for part in ("k", "v"):
            weights["ip_adapter"][f"{key}.to_{part}_ip.weight"] = torch.randn(inner, WIDTH) * 0.1
        key += 2
    weights["image_proj"] = {
        "proj.weight": torch.randn(4 * WIDTH, 16) * 0.1,
        "proj.bias": torch.zeros(4 * WIDTH),
        "norm.weight": torch.ones(WIDTH),
        "norm.bias": torch.zeros(WIDTH),
    }
    return weights


def animatediff_sdxl():
    torch.manual_seed(0)
    unet = unet_2d(
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        transformer_layers_per_block=1,
    )
    pipe = diffusers.AnimateDiffSDXLPipeline(
        image_vae(),
        None,
        None,
        None,
        None,
        unet,
        motion_adapter(),
        ddim(),
        None,
        None,
        force_zeros_for_empty_prompt=True,
    )
    pooled = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(3))
    return quiet(pipe), {**CALL, "pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": pooled * 0.5}


def animatediff_controlnet():
    torch.manual_seed(0)
    unet = unet_2d()
    controlnet = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4))
    pipe = diffusers.AnimateDiffControlNetPipeline(image_vae(), None, None, unet, motion_adapter(), controlnet, ddim())
    frames = list(torch.rand(5, 16, 16, 3, generator=torch.Generator().manual_seed(4)).mul(255).byte().numpy())
    from PIL import Image

    return quiet(pipe), {**CALL, "conditioning_frames": [Image.fromarray(frame) for frame in frames]}


def modelscope():
    torch.manual_seed(0)
    unet = diffusers.UNet3DConditionModel(
        sample_size=8,
        block_out_channels=(16,),
        down_block_types=("DownBlock3D",),
        up_block_types=("UpBlock3D",),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    pipe = diffusers.TextToVideoSDPipeline(image_vae(), None, None, unet, ddim())
    return quiet(pipe), CALL.copy()


def ltx():
    torch.manual_seed(0)
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=WIDTH,
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        patch_size=1,
        patch_size_t=1,
    )
    vae.use_framewise_encoding = False
    vae.use_framewise_decoding = False
    vae.latents_mean.normal_()
    vae.latents_std.uniform_(0.5, 2)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.LTXPipeline(scheduler, vae, None, None, transformer)
    mask = torch.ones(1, 6, dtype=torch.long)
    call = {
        "prompt_embeds": words(7),
        "negative_prompt_embeds": words(8),
        "prompt_attention_mask": mask,
        "negative_prompt_attention_mask": mask,
    }
    return quiet(pipe), {**call, "num_frames": 9, "height": 32, "width": 32}


def wan(scheduler=None):
    torch.manual_seed(0)
    vae = diffusers.AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=WIDTH,
        freq_dim=32,
        ffn_dim=16,
        num_layers=1,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    scheduler = scheduler or diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    pipe = diffusers.WanPipeline(None, None, vae, scheduler, transformer)
    return quiet(pipe), {
        "prompt_embeds": words(7),
        "negative_prompt_embeds": words(8),
        "num_frames": 9,
        "height": 16,
        "width": 16,
    }


def cogvideox(scheduler=None):
    torch.manual_seed(0)
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=WIDTH,
        num_layers=1,
        sample_width=2,
        sample_height=2,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=6,
    )
    vae = diffusers.AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    pipe = diffusers.CogVideoXPipeline(
        None,
        None,
        vae,
        transformer,
        scheduler
        or diffusers.CogVideoXDDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
        ),
    )
    return quiet(pipe), {
        "prompt_embeds": words(7),
        "negative_prompt_embeds": words(8),
        "num_frames": 9,
        "height": 16,
        "width": 16,
    }


PIPELINES = {
    "AnimateDiff": animatediff,
    "AnimateDiff with IP-Adapter": animatediff_ip_adapter,
    "AnimateDiff SDXL": animatediff_sdxl,
    "AnimateDiff ControlNet": animatediff_controlnet,
    "ModelScope": modelscope,
    "LTX": ltx,
    "Wan": wan,
    "CogVideoX": cogvideox,
}


@functools.cache
def _made(name):
    pipe, call = PIPELINES[name]()
    return pipe, call, pipe.scheduler


def shared(name):
    """A pipeline that is made once, with a new scheduler each time: for tests that leave the networks as they are."""
    pipe, call, scheduler = _made(name)
    pipe.scheduler = copy.deepcopy(scheduler)
    return pipe, call.copy()


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe
