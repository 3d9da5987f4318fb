"""Half precision on a GPU: how exact frozen and pinned frames are, and a rectified job's time and memory against a plain one.

    python benchmarks/on_gpu.py --limit 240

The networks have the sizes of Stable Diffusion 1.5 and of AnimateDiff v3's motion modules, with random weights: nothing is
downloaded, and the arithmetic costs the same. Plain and rectified jobs take turns, so that a change of the machine's speed
hits all alike; the ratios are medians over the rounds. `--small` makes the networks so small that a CPU tries all of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import diffusers

from lib_noiserect.core.devices import device_named
from lib_noiserect.core.settings import Settings
from lib_noiserect.pipelines.loading import PRECISIONS, use_sampler
from lib_noiserect.pipelines.rectification import Rectification, rectified

SAMPLERS = ("ddim", "euler a", "dpm++ 2m sde")
FROZEN = Settings(enabled=True, tau_end=1.0, omega="frozen")
PINNED = Settings(enabled=True, tau_end=1.0, omega="constant")
PLAIN = Settings()
ARMS = {
    "plain": PLAIN,
    "rectified": Settings(enabled=True, tau_end=1.0),
    "rectified, gap follows motion": Settings(enabled=True, tau_end=1.0, follow_motion=True),
}


def pipeline(device: torch.device, dtype: torch.dtype, *, small: bool) -> Any:
    """AnimateDiff with random weights, made on the device."""
    widths = (32, 64) if small else (320, 640, 1280, 1280)
    attention = len(widths) - 1
    torch.manual_seed(0)
    with device:
        unet = diffusers.UNet2DConditionModel(
            sample_size=8 if small else 64,
            block_out_channels=widths,
            down_block_types=("CrossAttnDownBlock2D",) * attention + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attention,
            layers_per_block=1 if small else 2,
            cross_attention_dim=32 if small else 768,
            attention_head_dim=8,
        )
        adapter = diffusers.MotionAdapter(
            widths, use_motion_mid_block=False, motion_max_seq_length=32, motion_layers_per_block=1 if small else 2
        )
        vae_widths = (32, 32) if small else (128, 256, 512, 512)
        vae = diffusers.AutoencoderKL(
            block_out_channels=vae_widths,
            down_block_types=("DownEncoderBlock2D",) * len(vae_widths),
            up_block_types=("UpDecoderBlock2D",) * len(vae_widths),
            layers_per_block=1 if small else 2,
            latent_channels=4,
            scaling_factor=0.18215,
        )
        scheduler = diffusers.DDIMScheduler(
            beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, steps_offset=1
        )
        pipe: Any = diffusers.AnimateDiffPipeline(
            vae, None, None, unet, adapter, scheduler, feature_extractor=None, image_encoder=None
        )
    pipe.to(device, dtype)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@contextlib.contextmanager
def sampler(pipe: Any, name: str) -> Iterator[None]:
    before = pipe.scheduler
    use_sampler(pipe, name)
    try:
        yield
    finally:
        pipe.scheduler = before


def job(pipe: Any, settings: Settings, *, steps: int, frames: int, side: int) -> tuple[torch.Tensor, Rectification]:
    """The latents `[1, C, F, h, w]` of a job with guidance, and the rectification that made it."""
    width = pipe.unet.config.cross_attention_dim
    words = torch.randn(1, 77, width, generator=torch.Generator().manual_seed(1)).to(pipe.device, pipe.dtype)
    image: NDArray[np.uint8] = np.random.default_rng(2).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with torch.no_grad(), rectified(pipe, image, settings) as rectification:
        latents = pipe(
            prompt_embeds=words,
            negative_prompt_embeds=-words,
            num_frames=frames,
            height=side,
            width=side,
            num_inference_steps=steps,
            guidance_scale=7.5,
            generator=torch.Generator().manual_seed(3),
            output_type="latent",
        ).frames
    return latents, rectification


def exactness(pipe: Any, size: dict[str, int]) -> dict[str, dict[str, float]]:
    """The largest difference to the image's latent, by sampler: of all frozen frames, and of frame 0 with ω = 1."""
    found = dict[str, dict[str, float]]()
    for name in SAMPLERS:
        with sampler(pipe, name):
            found[name] = {}
            for kind, settings, frames in (("frozen", FROZEN, slice(None)), ("pinned", PINNED, slice(0, 1))):
                latents, rectification = job(pipe, settings, **size)
                assert rectification.pivot is not None and rectification.x0 is not None
                for against, target in (("image", rectification.x0), ("pivot", rectification.pivot)):
                    gap = (latents[:, :, frames].float() - target[:, :, frames].float()).abs().max()
                    found[name][f"{kind}, to the {against}"] = float(gap)
    return found


def cost(pipe: Any, size: dict[str, int], rounds: int, until: float) -> dict[str, Any]:
    """Seconds and the largest memory of each arm by round, and medians of the ratios to the plain job of its round."""
    is_cuda = pipe.device.type == "cuda"
    seconds: dict[str, list[float]] = {name: [] for name in ARMS}
    memory = dict[str, int]()
    with sampler(pipe, "euler a"):
        for number in range(rounds + 1):  # the first one warms up
            if number > 1 and time.monotonic() > until:
                break
            for name, settings in ARMS.items():
                if is_cuda:
                    torch.cuda.reset_peak_memory_stats()
                    torch.cuda.synchronize()
                begun = time.perf_counter()
                job(pipe, settings, **size)
                if is_cuda:
                    torch.cuda.synchronize()
                    memory[name] = torch.cuda.max_memory_allocated()
                if number:
                    seconds[name].append(time.perf_counter() - begun)
    plain = seconds["plain"]
    ratios = {name: statistics.median(one / other for one, other in zip(values, plain)) for name, values in seconds.items()}
    return {"seconds": seconds, "time ratio": ratios, "peak memory": memory, "rounds": len(seconds["plain"])}


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="cuda, xpu, mps or cpu (default: a GPU if there is one)")
    parser.add_argument("--small", action="store_true", help="use networks that a CPU can try")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of plain and rectified jobs per precision")
    parser.add_argument("--limit", type=float, default=240, metavar="SECONDS", help="begin no round after this time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args(words)
    begun, device = time.monotonic(), device_named(options.device)
    size = {"steps": options.steps, "frames": options.frames, "side": 16 if options.small else 512}
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    result: dict[str, Any] = {"device": card, "torch": torch.__version__, "small": options.small, **size}
    for share, precision in ((0.5, "fp16"), (1.0, "bf16")):
        pipe = pipeline(device, PRECISIONS[precision], small=options.small)
        found = {"largest difference": exactness(pipe, {**size, "steps": min(options.steps, 10)})}
        found |= cost(pipe, size, options.rounds, begun + share * options.limit)
        result[precision] = found
        print(f"{precision} on {card}, {json.dumps(found, indent=2)}", flush=True)
        del pipe
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
