"""All video pipelines of the installed diffusers: a tiny configuration of each, and the table of docs/pipelines.md.

`python tests/pipelines/every_pipeline.py` writes the table; names as arguments try these pipelines alone. For a pipeline
without a tiny configuration the table has the reason why it is refused, or says that it was not tried.
"""

import functools
import inspect
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import diffusers
import numpy as np
import torch
from diffusers.models.transformers import transformer_cosmos
from PIL import Image
from tiny_pipelines import PIPELINES as FORMER
from tiny_pipelines import (
    TWO_LEVELS,
    WIDTH,
    animatediff,
    cogvideox,
    ddim,
    image_vae,
    ltx,
    motion_adapter,
    quiet,
    unet_2d,
    wan,
    words,
)
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from lib_noiserect.core.settings import Settings
from lib_noiserect.pipelines import PipelineError, rectified
from lib_noiserect.pipelines.compatibility import refusal
from lib_noiserect.pipelines.latents import compresses_time, preprocess

FROZEN = Settings(enabled=True, tau_end=1.0, omega="frozen")
FREE = Settings(enabled=True, tau_end=1.0, omega="constant", omega_start=1.0)
MASK = torch.ones(1, 6, dtype=torch.long)
SMALL = {"num_frames": 9, "height": 16, "width": 16}
EMBEDS = {"prompt_embeds": words(7), "negative_prompt_embeds": words(8)}
MASKED = {**EMBEDS, "prompt_attention_mask": MASK, "negative_prompt_attention_mask": MASK}
POOLED = {"pooled_prompt_embeds": torch.ones(1, WIDTH), "negative_pooled_prompt_embeds": torch.ones(1, WIDTH)}
# Sizes of models: of most, of Wan's relatives and of Kandinsky's.
HEADS = {"num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 1}
WAN = {**HEADS, "text_dim": WIDTH, "freq_dim": 32, "ffn_dim": 16}
KANDINSKY = {"in_visual_dim": 4, "out_visual_dim": 4, "in_text_dim": WIDTH, "in_text_dim2": WIDTH, "time_dim": 32}
KANDINSKY |= {"model_dim": 48, "ff_dim": 64, "num_text_blocks": 1, "num_visual_blocks": 1, "axes_dims": (8, 8, 8)}


def picture(width=16, height=16, seed=1):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def shown(call, image, side=16):
    """The call, with an image where the pipeline takes one."""
    return {**call, "image": picture(side, side)} if image else call


def flow(**config):
    return diffusers.FlowMatchEulerDiscreteScheduler(**config)


def image_encoder(size=8, width=WIDTH):
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=size,
        patch_size=size // 2,
        projection_dim=width,
    )
    processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size=size)
    return CLIPVisionModelWithProjection(config), processor


def allegro():
    transformer = diffusers.AllegroTransformer3DModel(
        **HEADS,
        cross_attention_dim=24,
        sample_width=8,
        sample_height=8,
        sample_frames=8,
        caption_channels=WIDTH,
    )
    vae = diffusers.AutoencoderKLAllegro(block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=2)
    vae.enable_tiling()  # it encodes in tiles alone
    vae.kernel, vae.stride = (24, 32, 32), (16, 16, 16)
    vae.tile_overlap_t, vae.tile_overlap_h, vae.tile_overlap_w = 8, 16, 16
    scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(ddim().config)
    call = {**MASKED, "num_frames": 24, "height": 32, "width": 32, "clean_caption": False, "negative_prompt": None}
    return diffusers.AllegroPipeline(None, None, vae, transformer, scheduler), call


def animatediff_pag():
    pipe, call = animatediff()
    parts = {name: pipe.components[name] for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    return diffusers.AnimateDiffPAGPipeline(unet=unet_2d(), motion_adapter=motion_adapter(), **parts), call


def sparse_control():
    _, call = animatediff()
    controlnet = diffusers.SparseControlNetModel(
        down_block_types=("DownBlockMotion", "CrossAttnDownBlockMotion"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        motion_num_attention_heads=2,
        conditioning_channels=3,
        conditioning_embedding_out_channels=(4, 4),
        concat_conditioning_mask=False,
        use_simplified_condition_embedding=False,
    )
    pipe = diffusers.AnimateDiffSparseControlNetPipeline(
        image_vae(), None, None, unet_2d(**TWO_LEVELS), motion_adapter((16, 32)), controlnet, ddim()
    )
    return pipe, {**call, "conditioning_frames": [picture(seed=4)], "controlnet_frame_indices": [0]}


def pia():
    pipe = diffusers.PIAPipeline(image_vae(), None, None, unet_2d(in_channels=9), ddim(), motion_adapter())
    return pipe, {**animatediff()[1], "image": picture()}


def i2vgen_xl():
    unet = diffusers.I2VGenXLUNet(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
    )
    encoder, processor = image_encoder()
    pipe = diffusers.I2VGenXLPipeline(image_vae(), None, None, encoder, processor, unet, ddim())
    return pipe, {**EMBEDS, "num_frames": 5, "height": 16, "width": 16, "image": picture()}


def svd(scheduler=None):
    unet = diffusers.UNetSpatioTemporalConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        num_attention_heads=2,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        projection_class_embeddings_input_dim=48,
        addition_time_embed_dim=16,
        num_frames=5,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2)
    scheduler = scheduler or diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        interpolation_type="linear",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing="leading",
        timestep_type="continuous",
        steps_offset=1,
    )
    encoder, processor = image_encoder(size=224)
    pipe = diffusers.StableVideoDiffusionPipeline(vae, encoder, unet, scheduler, processor)
    return pipe, {"image": picture(), "num_frames": 5, "height": 16, "width": 16}


def latte():
    transformer = diffusers.LatteTransformer3DModel(
        sample_size=8,
        video_length=5,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=WIDTH,
        in_channels=4,
        out_channels=8,
        cross_attention_dim=24,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
    )
    call = {
        **EMBEDS,
        "video_length": 5,
        "height": 16,
        "width": 16,
        "clean_caption": False,
        "mask_feature": False,
        "negative_prompt": None,
    }
    return diffusers.LattePipeline(None, None, image_vae(), transformer, ddim()), call


def mochi():
    transformer = diffusers.MochiTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=16,
        text_embed_dim=WIDTH,
        time_embed_dim=4,
        max_sequence_length=6,
    )
    vae = diffusers.AutoencoderKLMochi(
        encoder_block_out_channels=(32,) * 4, decoder_block_out_channels=(32,) * 4, layers_per_block=(1,) * 5
    )
    call = {**MASKED, "num_frames": 13, "height": 16, "width": 16}
    return diffusers.MochiPipeline(flow(invert_sigmas=True), vae, None, None, transformer), call


def hunyuan_vae():
    return diffusers.AutoencoderKLHunyuanVideo(
        latent_channels=4, block_out_channels=(8, 8, 8, 8), layers_per_block=1, norm_num_groups=4
    )


def hunyuan_model(kind=diffusers.HunyuanVideoTransformer3DModel, **config):
    sizes = {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 10,
        "num_layers": 1,
        "num_single_layers": 1,
        "num_refiner_layers": 1,
        "patch_size": 1,
        "text_embed_dim": WIDTH,
        "pooled_projection_dim": 8,
        "rope_axes_dim": (2, 4, 4),
        "guidance_embeds": True,
    }
    return kind(**{**sizes, **config})


HUNYUAN_CALL = {"prompt_embeds": words(7), "prompt_attention_mask": MASK, "pooled_prompt_embeds": torch.ones(1, 8), **SMALL}


def hunyuan(name="HunyuanVideoPipeline", image=False, processor=(), **config):
    pipe = getattr(diffusers, name)(
        None, None, hunyuan_model(**config), hunyuan_vae(), flow(shift=7.0), None, None, *processor
    )
    return pipe, shown({**HUNYUAN_CALL, "true_cfg_scale": 1.0}, image)


def framepack():
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

    model = hunyuan_model(
        diffusers.HunyuanVideoFramepackTransformer3DModel,
        patch_size=2,
        has_image_proj=True,
        image_proj_dim=16,
        has_clean_x_embedder=True,
    )
    config = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4
    )
    encoder, processor = SiglipVisionModel(config), SiglipImageProcessor(size={"height": 8, "width": 8})
    pipe = diffusers.HunyuanVideoFramepackPipeline(
        None, None, model, hunyuan_vae(), flow(shift=7.0), None, None, encoder, processor
    )
    call = {**HUNYUAN_CALL, "image": picture(32, 32), "height": 32, "width": 32}
    return pipe, {**call, "latent_window_size": 3}


def hunyuan15(image=False):
    model = diffusers.HunyuanVideo15Transformer3DModel(
        in_channels=9,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_refiner_layers=1,
        mlp_ratio=2.0,
        text_embed_dim=WIDTH,
        text_embed_2_dim=WIDTH,
        image_embed_dim=16,
        rope_axes_dim=(2, 2, 4),
        target_size=16,
        task_type="i2v" if image else "t2v",
    )
    vae = diffusers.AutoencoderKLHunyuanVideo15(
        latent_channels=4,
        block_out_channels=(16, 16),
        layers_per_block=1,
        spatial_compression_ratio=4,
        temporal_compression_ratio=2,
        downsample_match_channel=False,
        upsample_match_channel=False,
    )
    guider = diffusers.ClassifierFreeGuidance(guidance_scale=1.0)
    parts = [None, None, model, vae, flow(shift=7.0), None, None, guider]
    call = {
        "prompt_embeds": words(7),
        "prompt_embeds_mask": MASK,
        "prompt_embeds_2": words(8),
        "prompt_embeds_mask_2": MASK,
        "num_frames": 9,
    }
    if not image:
        return diffusers.HunyuanVideo15Pipeline(*parts), {**call, "height": 16, "width": 16}
    encoder = framepack()[0]
    pipe = diffusers.HunyuanVideo15ImageToVideoPipeline(*parts, encoder.image_encoder, encoder.feature_extractor)
    return pipe, {**call, "image": picture()}


def wan_vae():
    return wan()[0].vae


def wan_model(kind=diffusers.WanTransformer3DModel, **config):
    return kind(**{**wan()[0].transformer.config, "num_layers": 1, **config})


def wan_like(kind, call=None, **parts):
    pipe = kind(tokenizer=None, text_encoder=None, vae=wan_vae(), **{"scheduler": flow(shift=5.0), **parts})
    return pipe, {**EMBEDS, **SMALL, **(call or {})}


def wan_vace():
    model = wan_model(diffusers.WanVACETransformer3DModel, vace_layers=[0])
    return wan_like(diffusers.WanVACEPipeline, transformer=model)


def wan_i2v():
    return wan_like(diffusers.WanImageToVideoPipeline, {"image": picture()}, transformer=wan_model(in_channels=36))


def wan_ti2v():
    parts = {"transformer": wan_model(), "expand_timesteps": True}
    return wan_like(diffusers.WanImageToVideoPipeline, {"image": picture()}, **parts)


def wan_animate():
    model = wan_model(
        diffusers.WanAnimateTransformer3DModel,
        in_channels=36,
        image_dim=16,
        inject_face_latents_blocks=1,
        motion_encoder_size=16,
        motion_style_dim=8,
        motion_dim=4,
        motion_encoder_dim=16,
        face_encoder_hidden_dim=16,
        face_encoder_num_heads=2,
        motion_encoder_channel_sizes={"4": 16, "8": 16, "16": 16},
    )
    encoder, processor = image_encoder(4, 16)
    parts = {"transformer": model, "image_encoder": encoder, "image_processor": processor}
    videos = {name: [picture(seed=seed) for seed in range(9)] for name in ("pose_video", "face_video")}
    pipe, call = wan_like(diffusers.WanAnimatePipeline, {"image": picture(), **videos}, **parts)
    del call["num_frames"]
    return pipe, {**call, "segment_frame_length": 9}


def skyreels(image=False):
    more = {"image_dim": 16} if image else {}
    model = diffusers.SkyReelsV2Transformer3DModel(**WAN, in_channels=36 if image else 16, rope_max_seq_len=32, **more)
    scheduler = diffusers.UniPCMultistepScheduler(flow_shift=8.0, use_flow_sigmas=True, prediction_type="flow_prediction")
    if not image:
        return wan_like(diffusers.SkyReelsV2Pipeline, transformer=model, scheduler=scheduler)
    encoder, processor = image_encoder()
    parts = {"image_encoder": encoder, "image_processor": processor, "transformer": model, "scheduler": scheduler}
    return wan_like(diffusers.SkyReelsV2ImageToVideoPipeline, {"image": picture()}, **parts)


def anyflow(kind="AnyFlow", **config):
    model = getattr(diffusers, f"{kind}Transformer3DModel")(**WAN, rope_max_seq_len=32, **config)
    parts = {"transformer": model, "scheduler": diffusers.FlowMapEulerDiscreteScheduler()}
    return wan_like(getattr(diffusers, f"{kind}Pipeline"), **parts)


def kandinsky6():
    model = diffusers.Kandinsky6Transformer3DModel(**KANDINSKY)
    pipe = diffusers.Kandinsky6TI2VAPipeline(model, hunyuan_vae(), None, None, None, None, flow(shift=7.0))
    return pipe, {**EMBEDS, **POOLED, "num_frames": 9, "height": 32, "width": 32, "sample_audio": False}


def chronoedit():
    model = wan_model(diffusers.ChronoEditTransformer3DModel, in_channels=36, image_dim=16, rope_temporal_skip_len=3)
    encoder, processor = image_encoder()
    parts = {"image_encoder": encoder, "image_processor": processor, "transformer": model}
    return wan_like(diffusers.ChronoEditPipeline, {"image": picture()}, **parts)


def helios(kind="HeliosPipeline", stages=1, side=16):
    model = diffusers.HeliosTransformer3DModel(**WAN, rope_dim=(4, 4, 4))
    scheduler = diffusers.HeliosScheduler(
        stages=stages, use_dynamic_shifting=True, **({"stage_range": [0, 1]} if stages == 1 else {})
    )
    call = {"num_frames": 33, "height": side, "width": side}
    return wan_like(getattr(diffusers, kind), call, transformer=model, scheduler=scheduler)


def sana_video(image=False):
    model = diffusers.SanaVideoTransformer3DModel(
        **HEADS,
        num_cross_attention_heads=2,
        cross_attention_head_dim=12,
        cross_attention_dim=24,
        caption_channels=WIDTH,
        sample_size=8,
        rope_max_seq_len=32,
    )
    call = {**MASKED, "frames": 9, "height": 32, "width": 32, "use_resolution_binning": False, "negative_prompt": None}
    kind = diffusers.SanaImageToVideoPipeline if image else diffusers.SanaVideoPipeline
    scheduler = (
        flow()
        if image
        else diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0)
    )
    return kind(None, None, wan_vae(), model, scheduler), shown(call, image, 32)


def cogvideox_like(name, kind=diffusers.CogVideoXTransformer3DModel, **call):
    pipe, former = cogvideox()
    names = inspect.signature(kind.__init__).parameters
    sizes = {name: value for name, value in pipe.transformer.config.items() if name in names}
    pipe = getattr(diffusers, name)(None, None, pipe.vae, kind(**{**sizes, "in_channels": 8}), pipe.scheduler)
    return pipe, {**former, **call}


def cogvideox_control():
    pipe, call = cogvideox_like("CogVideoXFunControlPipeline", control_video=[picture(seed=seed) for seed in range(9)])
    del call["num_frames"]
    return pipe, call


def magvit():
    kinds = ["Spatial", "SpatialTemporal", "SpatialTemporal", "SpatialTemporal"]
    return diffusers.AutoencoderKLMagvit(
        down_block_types=[f"{kind}DownBlock3D" for kind in kinds],
        up_block_types=[f"{kind}UpBlock3D" for kind in kinds],
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        spatial_group_norm=False,
    )


def easyanimate(control=False):
    model = diffusers.EasyAnimateTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8 if control else 4,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=WIDTH,
        num_layers=1,
        mmdit_layers=1,
        sample_width=16,
        sample_height=16,
        patch_size=2,
    )
    kind = diffusers.EasyAnimateControlPipeline if control else diffusers.EasyAnimatePipeline
    call = {**MASKED, **SMALL}
    if control:
        call["control_video"] = torch.rand(1, 3, 9, 16, 16, generator=torch.Generator().manual_seed(2))
    return kind(magvit(), None, None, model, flow()), call


def motif(image=False):
    model = diffusers.MotifVideoTransformer3DModel(
        **HEADS, num_single_layers=1, patch_size=2, text_embed_dim=WIDTH, rope_axes_dim=(4, 4, 4)
    )
    kind = diffusers.MotifVideoImage2VideoPipeline if image else diffusers.MotifVideoPipeline
    guider = diffusers.ClassifierFreeGuidance(guidance_scale=3.0)
    pipe = kind(flow(), wan_vae(), None, None, model, guider, None)
    return pipe, shown({"prompt": None, **MASKED, **SMALL}, image)


def ltx_i2v():
    pipe, call = ltx()
    pipe = diffusers.LTXImageToVideoPipeline(pipe.scheduler, pipe.vae, None, None, pipe.transformer)
    return pipe, {**call, "image": picture(32, 32)}


def ltx2(image=False):
    from diffusers.pipelines.ltx2 import LTX2TextConnectors
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    model = diffusers.LTX2VideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        audio_in_channels=4,
        audio_out_channels=4,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=1,
        caption_channels=WIDTH,
        rope_double_precision=False,
        rope_type="split",
    )
    sides = {
        f"{side}_connector_{name}": value
        for side in ("video", "audio")
        for name, value in {
            "num_attention_heads": 4,
            "attention_head_dim": 8,
            "num_layers": 1,
            "num_learnable_registers": None,
        }.items()
    }
    connectors = LTX2TextConnectors(
        caption_channels=WIDTH,
        text_proj_in_factor=1,
        connector_rope_base_seq_len=32,
        rope_theta=10000.0,
        rope_double_precision=False,
        causal_temporal_positioning=False,
        rope_type="split",
        **sides,
    )
    vae = diffusers.AutoencoderKLLTX2Video(
        latent_channels=4,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatiotemporal",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        patch_size=1,
        decoder_causal=False,
    )
    vae.use_framewise_encoding = vae.use_framewise_decoding = False
    audio_vae = diffusers.AutoencoderKLLTX2Audio(
        base_channels=4, ch_mult=(1,), num_res_blocks=1, resolution=32, latent_channels=2, mel_bins=8
    )
    vocoder = LTX2Vocoder(
        in_channels=16,
        hidden_channels=32,
        out_channels=2,
        upsample_kernel_sizes=[4, 4],
        upsample_factors=[2, 2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3, 5]],
    )
    kind = diffusers.LTX2ImageToVideoPipeline if image else diffusers.LTX2Pipeline
    pipe = kind(flow(), vae, audio_vae, None, None, connectors, model, vocoder)
    call = {
        **MASKED,
        "num_frames": 5,
        "height": 32,
        "width": 32,
        "stg_scale": 0.0,
        "modality_scale": 1.0,
        "audio_stg_scale": 0.0,
        "audio_modality_scale": 1.0,
        "spatio_temporal_guidance_blocks": None,
        "use_cross_timestep": False,
    }
    return pipe, shown(call, image, 32)


def kandinsky5(image=False):
    model = diffusers.Kandinsky5Transformer3DModel(**KANDINSKY, visual_cond=True)
    kind = diffusers.Kandinsky5I2VPipeline if image else diffusers.Kandinsky5T2VPipeline
    pipe = kind(model, hunyuan_vae(), None, None, None, None, flow(shift=7.0))
    lengths, pooled = torch.tensor([0, 6], dtype=torch.int32), torch.ones(1, WIDTH)
    side = 128 if image else 32
    call = shown({"num_frames": 9, "height": side, "width": side}, image, side)
    for text, seed in (("prompt", 7), ("negative_prompt", 8)):
        call |= {f"{text}_embeds_qwen": words(seed), f"{text}_embeds_clip": pooled, f"{text}_cu_seqlens": lengths}
    return pipe, call


def cosmos():
    if not hasattr(transformer_cosmos, "transforms"):  # torchvision's, for one resize of a mask
        resize = functools.partial(lambda mask, size, **_: torch.nn.functional.interpolate(mask, size))
        transformer_cosmos.transforms = SimpleNamespace(
            functional=SimpleNamespace(resize=resize), InterpolationMode=SimpleNamespace(NEAREST=None)
        )
    model = diffusers.CosmosTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=1,
        mlp_ratio=2,
        text_embed_dim=WIDTH,
        adaln_lora_dim=4,
        max_size=(4, 32, 32),
        rope_scale=(2.0, 1.0, 1.0),
    )
    random = torch.Generator().manual_seed(0)
    mean, deviation = torch.randn(16, generator=random).tolist(), (torch.rand(16, generator=random) + 0.5).tolist()
    vae = diffusers.AutoencoderKLCosmos(
        latent_channels=4,
        encoder_block_out_channels=(8,) * 4,
        decode_block_out_channels=(8,) * 4,
        attention_resolutions=(8,),
        resolution=64,
        spatial_compression_ratio=4,
        temporal_compression_ratio=4,
        latents_mean=mean,
        latents_std=deviation,
    )

    class Unchecked:
        def to(self, device):
            return self

        def check_text_safety(self, prompt):
            return True

        def check_video_safety(self, video):
            return video

    pipe = diffusers.CosmosTextToWorldPipeline(
        None, None, model, vae, diffusers.EDMEulerScheduler(sigma_max=80.0), Unchecked()
    )
    return pipe, {**EMBEDS, "num_frames": 9, "height": 32, "width": 32}


PIPELINES = {
    **FORMER,
    "Allegro": allegro,
    "AnimateDiff PAG": animatediff_pag,
    "AnimateDiff SparseCtrl": sparse_control,
    "PIA": pia,
    "I2VGen-XL": i2vgen_xl,
    "Stable Video Diffusion": svd,
    "Latte": latte,
    "Mochi": mochi,
    "HunyuanVideo": hunyuan,
    "HunyuanVideo I2V, token_replace": functools.partial(
        hunyuan, "HunyuanVideoImageToVideoPipeline", True, (None,), image_condition_type="token_replace"
    ),
    "HunyuanVideo I2V, latent_concat": functools.partial(
        hunyuan, "HunyuanVideoImageToVideoPipeline", True, (None,), image_condition_type="latent_concat", in_channels=9
    ),
    "SkyReels-V1 I2V": functools.partial(hunyuan, "HunyuanSkyreelsImageToVideoPipeline", True, in_channels=8),
    "Framepack, one section": framepack,
    "HunyuanVideo 1.5": hunyuan15,
    "HunyuanVideo 1.5 I2V": functools.partial(hunyuan15, True),
    "Wan VACE": wan_vace,
    "Wan I2V": wan_i2v,
    "Wan 2.2 TI2V": wan_ti2v,
    "Wan Animate, one segment": wan_animate,
    "SkyReels-V2": skyreels,
    "SkyReels-V2 I2V": functools.partial(skyreels, True),
    "AnyFlow": anyflow,
    "AnyFlow FAR": functools.partial(anyflow, "AnyFlowFAR", chunk_partition=(1, 2)),
    "ChronoEdit": chronoedit,
    "Helios, one chunk": helios,
    "Helios pyramid": functools.partial(helios, "HeliosPyramidPipeline", 3, 64),
    "SanaVideo": sana_video,
    "SanaVideo I2V": functools.partial(sana_video, True),
    "CogVideoX I2V": functools.partial(cogvideox_like, "CogVideoXImageToVideoPipeline", image=picture()),
    "CogVideoX Fun-Control": cogvideox_control,
    "ConsisID": functools.partial(
        cogvideox_like, "ConsisIDPipeline", diffusers.ConsisIDTransformer3DModel, image=picture()
    ),
    "EasyAnimate": easyanimate,
    "EasyAnimate Control": functools.partial(easyanimate, True),
    "Motif-Video": motif,
    "Motif-Video I2V": functools.partial(motif, True),
    "LTX I2V": ltx_i2v,
    "LTX-2": ltx2,
    "LTX-2 I2V": functools.partial(ltx2, True),
    "Kandinsky 5": kandinsky5,
    "Kandinsky 5 I2V": functools.partial(kandinsky5, True),
    "Kandinsky 6": kandinsky6,
    "Cosmos": cosmos,
}


def made(name):
    torch.manual_seed(0)
    pipe, call = PIPELINES[name]()
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return quiet(pipe), call


def run(pipe, call, settings, steps=3, **changes):
    """The pipeline's result, the rectification, and the moving frames of the last state, `[F, …]`."""
    arguments = {"num_inference_steps": steps, "output_type": "np", **call, **changes}
    names = inspect.signature(pipe.__call__).parameters
    if "num_inference_steps" not in names:  # Helios pyramid's are per stage
        del arguments["num_inference_steps"]
    if "guidance_scale" in names and "guidance_scale" not in arguments:
        arguments["guidance_scale"] = 3.0
    if getattr(pipe, "image_encoder", None) is not None and "ip_adapter_image" in names:
        arguments["ip_adapter_image"] = picture(8, 8, 9)
    states = []
    with rectified(pipe, picture(40, 32), settings) as rectification, torch.no_grad():
        step = pipe.scheduler.step

        @functools.wraps(step)
        def watched(*args, **kwargs):
            result = step(*args, **kwargs)
            states.append(result[0] if isinstance(result, tuple) else result.prev_sample)
            return result

        pipe.scheduler.step = watched
        result = pipe(**arguments, generator=torch.Generator().manual_seed(5), return_dict=False)[0]
    return result, rectification, rectification._layout.frames_first(states[-1])


def far(left, right):
    return float((left - right).abs().max() / right.abs().max())


def measure(name):
    """The largest differences of a pipeline's facts, relative to the largest value of what they shall be.

    Returns:
        Of frozen frames from the picture's latents; of frame 0 from them, for ω = 1; of the decoded frozen video from the
        still one that the VAE makes. None where the pipeline keeps frame 0 or shows more than the denoised frames.
    """
    pipe, call = made(name)
    shown, rectification, ended = run(pipe, call, FROZEN)
    x0, report = rectification._reference.x0, rectification.reports[-1]
    assert report.rectified == report.steps > 0
    frozen = far(ended, x0[len(x0) - len(ended) :])
    _, free, moved = run(pipe, call, FREE)
    assert far(moved[-1], x0[-1]) > 0.01
    if rectification._layout.kept:
        return frozen, None, None
    first = free.keyframes[0]
    return frozen, far(moved[first], x0[first]), decoded(pipe, call, shown)


def decoded(pipe, call, shown):
    video = torch.as_tensor(np.asarray(shown[0] if isinstance(shown, list) else shown))
    video = (video[0] if video.ndim == 5 else video).movedim(-1, 1)
    frames = len(video)
    asked = [call.get(key) for key in ("num_frames", "frames", "video_length", "segment_frame_length")]
    if frames not in asked and "control_video" not in call:
        return None
    pixels = preprocess(picture(40, 32), *video.shape[-2:])[:, :, None].expand(-1, -1, frames, -1, -1)
    with torch.no_grad():
        if compresses_time(pipe.vae):
            still = pipe.vae.decode(pipe.vae.encode(pixels).latent_dist.mode()).sample[0]
            still = still if still.shape[1] == 3 else still.transpose(0, 1)  # Allegro's has the frames first
        else:
            z = pipe.vae.encode(pixels[0].transpose(0, 1)).latent_dist.mode()
            more = {"num_frames": frames} if "num_frames" in inspect.signature(pipe.vae.decode).parameters else {}
            still = pipe.vae.decode(z, **more).sample
    return float((video - (still / 2 + 0.5).clamp(0, 1)).abs().max())


def video_classes():
    """The classes of diffusers that make videos, by their names."""
    classes = {}
    for name in sorted(dir(diffusers)):
        if not name.endswith("Pipeline") or "Modular" in name:
            continue
        kind = getattr(diffusers, name)
        parameters = getattr(inspect.signature(kind.__call__), "parameters", {}) if inspect.isclass(kind) else {}
        if {"num_frames", "frames", "video_length", "segment_frame_length", "video"} & set(parameters):
            classes[name] = kind
    return classes


def row(name):
    """The cells of a pipeline's line."""
    try:
        pipe, _ = made(name)
        kind = type(pipe).__name__
        values = measure(name)
    except PipelineError as error:
        return kind, name, "refused", str(error)
    except TypeError as error:
        return kind, name, "not tried", f"it fails in diffusers {diffusers.__version__} itself: {error}"
    facts = zip(("frozen", "frame 0", "decoded"), values)
    return kind, name, "exact", ", ".join(f"{fact} {value:.0e}" for fact, value in facts if value is not None)


def table():
    lines = [row(name) for name in PIPELINES]
    named = {kind for kind, *_ in lines}
    for name, kind in video_classes().items():
        if name not in named:
            reason = refusal(kind)
            lines.append((name, "", "refused" if reason else "not tried", reason or "no tiny configuration"))
    head = f"Measured with diffusers {diffusers.__version__}.\n\n"
    head += "| pipeline | model | result | differences or reason |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(cells)} |\n" for cells in sorted(lines, key=lambda cells: (cells[0], cells[1])))


def main(names):
    warnings.simplefilter("ignore")
    diffusers.utils.logging.set_verbosity_error()
    if not names:
        page = Path(__file__).parents[2] / "docs" / "pipelines.md"
        text, mark = page.read_text(encoding="utf-8"), "## All pipelines\n\n"
        page.write_text(text[: text.index(mark)] + mark + table(), encoding="utf-8")
    for name in names:
        print(*row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
