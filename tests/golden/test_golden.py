"""Jobs of the web UI's stand-in and videos of stock pipelines, compared with the numbers in `golden.npz`.

The numbers were written before the code was reorganized. `python tests/golden/test_golden.py` writes them again, which is
right only after a deliberate change of behavior.
"""

import base64
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden.npz"
TOLERANCE = 1e-6
for folder in ("webui", "pipelines"):  # the stand-in of the host, and the pipelines with random weights
    if str(HERE.parent / folder) not in sys.path:
        sys.path.insert(0, str(HERE.parent / folder))


def image(size=64):
    """Smooth, with an edge."""
    y, x = np.mgrid[0:size, 0:size] * 64 // size
    pixels = np.stack([x * 3 + 20, y * 3 + 30, 200 - x - y], axis=2).astype(np.uint8)
    pixels[size // 4 : size * 5 // 8, size * 3 // 8 : size * 3 // 4] = (220, 80, 60)
    return Image.fromarray(pixels)


def other_image(size=64):
    return Image.fromarray(255 - np.asarray(image(size))[:, ::-1])


def left_half(size=64):
    """A mask that is white on the left."""
    mask = Image.new("L", (size, size))
    mask.paste(255, (0, 0, size // 2, size))
    return mask


def encoded(picture):
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


RECTIFIED = {"enabled": True}
KEYFRAMED_LOOP = {
    **RECTIFIED,
    "tau_end": 0.5,
    "omega": "linear",
    "release": 0.3,
    "loop": True,
    "key_frames": {"3": encoded(other_image())},
}
MOTION_BY_LEVEL = {**RECTIFIED, "tau_end": 0.8, "tau_unit": "noise level", "omega": "motion", "motion": 0.4}
MASKED = {**RECTIFIED, "hold_colour": True, "motion_mask": encoded(left_half()), "mask_feather": 1}
CREATED = {"create": True, "enabled": True, "tau_end": 0.8, "candidates": 3}
# Settings (None: the extension is loaded and not asked), and what the job has otherwise.
JOBS = {
    "Euler a, off": (None, {"sampler": "Euler a"}),
    "Euler a": (RECTIFIED, {"sampler": "Euler a"}),
    "DPM++ 2M Karras, keyframe and loop": (KEYFRAMED_LOOP, {"sampler": "DPM++ 2M", "scheduler": "Karras"}),
    "DDIM, motion amount": (MOTION_BY_LEVEL, {"sampler": "DDIM", "steps": 8}),
    "DPM++ 2M SDE, mask and color": (MASKED, {"sampler": "DPM++ 2M SDE", "n_iter": 2}),
    "Euler, I4VGen": (CREATED, {"sampler": "Euler", "tab": "txt2img"}),
}


def job_latents(name):
    """All batches of a job, `[B, F, 4, h, w]`."""
    from standin import Host, toy

    settings, job = JOBS[name]
    job = dict(job)
    picture = {"txt2img": None}.get(job.pop("tab", "img2img"), image())
    with Host("a1111", script=HERE.parents[1] / "scripts" / "noise_rectification.py") as host:
        host.uncond_model = lambda x, level, host: 0.9 * toy.prior(x, level, host)
        torch.manual_seed(5)  # the host encodes images with unseeded noise
        made = host.img2img(picture, script_args={"Noise Rectification": [settings]} if settings else {}, **job)
    return torch.stack(made.latents).numpy()


# Changes of the settings, and what `rectified` takes otherwise.
VIDEOS = {
    "AnimateDiff": ({"omega": "linear", "loop": True, "hold_colour": True}, {"mask": left_half(16)}),
    "Wan": ({"tau_end": 0.6}, {}),
    "LTX": ({"tau_unit": "noise level", "omega": "motion", "motion": 0.5}, {}),
    "CogVideoX": ({"tau_end": 1.0, "release": 0.2}, {}),
}


def video(name):
    """The decoded video `[F, H, W, 3]` of a pipeline."""
    import diffusers
    from tiny_pipelines import PIPELINES, TWO_LEVELS

    from lib_noiserect import Settings
    from lib_noiserect.pipelines import rectified

    pipe, call = PIPELINES[name](TWO_LEVELS) if name == "AnimateDiff" else PIPELINES[name]()
    if name == "AnimateDiff":
        pipe.scheduler = diffusers.EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
        held_to = {0: image(16), 4: other_image(16)}
    else:
        held_to = image(call["height"])
    changes, more = VIDEOS[name]
    generator = torch.Generator().manual_seed(5)
    with rectified(pipe, held_to, Settings(enabled=True, **changes), **more), torch.no_grad():
        return pipe(
            **call, num_inference_steps=5, guidance_scale=3.0, generator=generator, output_type="np"
        ).frames[0]  # fmt: skip


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def test_each_number_has_a_test(golden):
    assert list(golden) == [*JOBS, *VIDEOS]


@pytest.mark.parametrize("name", JOBS)
def test_jobs(golden, name):
    latents = job_latents(name)
    if JOBS[name][0] is None:
        assert np.array_equal(latents, golden[name])
    np.testing.assert_allclose(latents, golden[name], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", VIDEOS)
def test_videos(golden, name):
    np.testing.assert_allclose(video(name), golden[name], rtol=0, atol=TOLERANCE)


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
    import conftest  # noqa: F401  makes k-diffusion importable

    torch.set_num_threads(1)
    arrays = {name: job_latents(name) for name in JOBS} | {name: video(name) for name in VIDEOS}
    np.savez_compressed(GOLDEN, **{name: array.astype(np.float32) for name, array in arrays.items()})
