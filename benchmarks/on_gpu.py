"""Half precision on a GPU: how exact frozen and pinned frames are, and a rectified job's time and memory against a plain one.

    python benchmarks/on_gpu.py

The networks have the sizes of Stable Diffusion 1.5 and of AnimateDiff v3's motion modules, with random weights: nothing is
downloaded, and the arithmetic costs the same. Plain and rectified jobs take turns, so that a change of the machine's speed
hits all alike; the figures are medians over the rounds. A slow machine takes fewer steps, and then fewer rounds, to end in
time. It ends with a section in Markdown. `--small` makes the networks so small that a CPU tries all of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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

PARTS = ("fp16", "bf16")
SAMPLERS = ("ddim", "euler a", "dpm++ 2m sde")
FROZEN = Settings(enabled=True, tau_end=1.0, omega="frozen")
PINNED = Settings(enabled=True, tau_end=1.0, omega="constant")
PLAIN = Settings()
# A step's time comes from a job with this share of the steps, and from the whole one.
_SHARE = 5
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
    """The largest difference in latents, by sampler: of all frozen frames, and of frame 0 with ω = 1.

    Each is to x*, and to the image's latent, which x* itself may miss by the sampler's floor. "spacing" is the distance of
    neighboring numbers of this type at the largest latent.
    """
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
                found[name]["spacing"] = torch.finfo(pipe.dtype).eps * float(rectification.x0.abs().max())
    return found


def cost(pipe: Any, size: dict[str, int], rounds: int, until: float) -> dict[str, Any]:
    """Each arm's seconds by round and its largest memory in bytes; after `until` on the monotonic clock, no round begins.

    "a step" is the difference of the whole job and of one with a few steps, a step: without what a job does once.
    """
    is_cuda = pipe.device.type == "cuda"
    few = max(size["steps"] // _SHARE, 1)
    seconds: dict[str, list[float]] = {name: [] for name in ARMS}
    a_step: dict[str, list[float]] = {name: [] for name in ARMS}
    memory = dict[str, int]()
    with sampler(pipe, "euler a"):
        for number in range(rounds):
            if number and time.monotonic() > until:
                break
            for name in reversed(ARMS) if number % 2 else ARMS:
                if is_cuda:
                    torch.cuda.reset_peak_memory_stats()
                short, whole = (timed(pipe, ARMS[name], **size | {"steps": steps}) for steps in (few, size["steps"]))
                seconds[name].append(whole)
                a_step[name].append((whole - short) / max(size["steps"] - few, 1))
                if is_cuda:
                    memory[name] = torch.cuda.max_memory_allocated()
    return {"seconds": seconds, "a step": a_step, "peak memory": memory}


def timed(pipe: Any, settings: Settings, **size: int) -> float:
    """The seconds of a job."""
    begun = time.perf_counter()
    job(pipe, settings, **size)[0].cpu()  # waits for the GPU
    return time.perf_counter() - begun


def steps_that_fit(pipe: Any, size: dict[str, int], rounds: int, until: float) -> int:
    """How many of the steps in `size` each job can have, from 1, for all jobs to end before `until`."""
    # The first job loads and chooses kernels.
    _, one, three = (timed(pipe, ARMS["rectified, gap follows motion"], **size | {"steps": steps}) for steps in (1, 1, 3))
    a_step = max(three - one, 1e-9) / 2
    a_job = (until - time.monotonic()) / (2 * len(SAMPLERS) + rounds * len(ARMS) * (1 + 1 / _SHARE))
    return max(1, min(size["steps"], int((a_job - one) / a_step)))


def section(result: dict[str, Any]) -> str:
    """The figures as a section in Markdown."""
    columns = {precision: result[precision] for precision in PARTS}
    weights = "tiny sizes" if result["small"] else "the sizes of SD 1.5 and AnimateDiff v3"
    size = f"{result['frames']} frames of {result['side']}x{result['side']} pixels"
    jobs = ", ".join(
        f"{found['steps']} steps in {len(found['seconds']['plain'])} rounds ({name})" for name, found in columns.items()
    )
    rows = [["largest difference of latents", *columns], ["---"] * (len(columns) + 1)]

    def add(label: str, figure: Callable[[dict[str, Any]], str]) -> None:
        rows.append([label, *map(figure, columns.values())])

    add("spacing of numbers at the largest latent", lambda found: f"{found['differences'][SAMPLERS[0]]['spacing']:.2g}")
    for name in SAMPLERS:
        for kind in ("frozen, to the pivot", "frozen, to the image", "pinned, to the pivot", "pinned, to the image"):
            add(f"{name}: {kind}", lambda found, name=name, kind=kind: f"{found['differences'][name][kind]:.2g}")  # type: ignore[misc]
    rows.append(["**time and memory of a job (euler a)**", *[""] * len(columns)])
    add("plain, seconds", lambda found: f"{statistics.median(found['seconds']['plain']):.2f}")
    for name in ARMS:
        if name != "plain":
            add(f"{name}: time to plain", lambda found, name=name: f"{_ratio(found['seconds'], name, 'plain'):.3f}")  # type: ignore[misc]
    plain, rule, follow = ARMS
    add("a plain step, seconds", lambda found: f"{statistics.median(found['a step'][plain]):.4f}")
    add("the paper's rule: share of a plain step", lambda found: f"{100 * _share(found['a step'], rule, plain, plain):.1f} %")
    add(
        "the correspondence: share of a plain step",
        lambda found: f"{100 * _share(found['a step'], follow, rule, plain):.1f} %",
    )
    for name in ARMS:
        add(f"{name}: largest memory, GiB", lambda found, name=name: _gib(found["peak memory"].get(name)))  # type: ignore[misc]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"## Half precision on {result['device']}\n\n"
        f"torch {result['torch']}, random weights of {weights}, {size}, guidance 7.5.\n"
        f"Times: {jobs}; ratios are medians over pairs.\n\n{table}\n"
    )


def _ratio(seconds: dict[str, list[float]], name: str, to: str) -> float:
    return statistics.median(one / other for one, other in zip(seconds[name], seconds[to], strict=True))


def _share(seconds: dict[str, list[float]], name: str, less: str, of: str) -> float:
    rounds = zip(seconds[name], seconds[less], seconds[of], strict=True)
    return statistics.median((one - other) / whole for one, other, whole in rounds)


def _gib(size: int | None) -> str:
    return "–" if size is None else f"{size / 2**30:.2f}"


def main(words: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="cuda, xpu, mps or cpu (default: a GPU if there is one)")
    parser.add_argument("--small", action="store_true", help="use networks that a CPU can try")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of plain and rectified jobs per precision")
    parser.add_argument("--limit", type=float, default=220, metavar="SECONDS", help="begin no round after this time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args(words)
    begun, device = time.monotonic(), device_named(options.device)
    size = {"frames": options.frames, "side": 16 if options.small else 512}
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    result: dict[str, Any] = {"device": card, "torch": torch.__version__, "small": options.small, **size}
    for part, precision in enumerate(PARTS, start=1):
        until = begun + options.limit * part / len(PARTS)
        pipe = pipeline(device, PRECISIONS[precision], small=options.small)
        steps = steps_that_fit(pipe, {**size, "steps": options.steps}, options.rounds, until)
        differences = exactness(pipe, {**size, "steps": min(steps, 10)})
        found = {"steps": steps, "differences": differences}
        found |= cost(pipe, {**size, "steps": steps}, options.rounds, until)
        result[precision] = found
        print(f"{precision} on {card}: {json.dumps(found)}", file=sys.stderr, flush=True)  # kept if the next part fails
        del pipe
    print(section(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
