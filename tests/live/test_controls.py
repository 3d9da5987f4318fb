"""Key frames, masks, loops, the dial, noise-level windows, long clips and found motion, in the real web UI."""

import re
import threading
import time

import numpy as np
import pytest
import requests
from client import FRAMES, SIZE, draw_picture, encode
from PIL import Image, ImageOps
from test_exact_facts import SAMPLERS, STOPS_ABOVE_ZERO

from lib_noiserect.media.metrics import ssim_per_frame

MOVING = {"tau_end": 1.0, "omega": "constant"}
FROZEN = {"tau_end": 1.0, "omega": "frozen"}


def other_picture():
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    return Image.fromarray(np.stack([255 - x * 4, (x * y) // 16, y * 4], axis=2).clip(0, 255).astype("uint8"))


def half(left=True):
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(255, (0, 0, SIZE // 2, SIZE))
    return mask if left else ImageOps.mirror(mask)


def told(result, key):
    return re.search(rf"Noise Rectification {key}: ([^,\n]+)", result.infotext)[1]


@pytest.fixture(scope="module")
def other(webui):
    """The other picture's VAE round trip."""
    black = encode(Image.new("L", (SIZE, SIZE), 0))
    return webui.run(
        animatediff=False,
        init_images=[encode(other_picture())],
        mask=black,
        mask_blur=0,
        inpaint_full_res=False,
        inpainting_fill=1,
        override_settings={"overlay_inpaint": False},
    ).frames[0]


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in STOPS_ABOVE_ZERO])
def test_every_key_frame_is_its_picture(webui, picture, other, sampler):
    if sampler not in webui.samplers:
        pytest.skip(f"this web UI has no {sampler}")
    result = webui.run({**MOVING, "key_frames": {"3": encode(other_picture())}}, sampler_name=sampler)
    assert np.abs(result.frames[0] - picture).max() <= 1
    assert np.abs(result.frames[3] - other).max() <= 2  # the VAE's own noise differs from one encoding to the next
    assert np.abs(result.frames[1] - picture).mean() > 5
    assert told(result, "key frames") == "3"


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ SDE"])
def test_animatediffs_last_frame_is_the_last_key_frame(webui, picture, other, sampler):
    result = webui.run(MOVING, animatediff={"last_frame": encode(other_picture())}, sampler_name=sampler)
    assert np.abs(result.frames[0] - picture).max() <= 1 and np.abs(result.frames[3] - other).max() <= 2


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M SDE"])
def test_what_a_mask_holds_still_is_the_picture(webui, picture, sampler):
    """A mask that lets one latent pixel move. The decoder's attention spans the picture, so far from it a trace is seen."""
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(255, (0, 0, 8, 8))
    result = webui.run({**MOVING, "motion_mask": encode(mask), "mask_feather": 0}, sampler_name=sampler)
    assert np.abs(result.frames[0] - picture).max() <= 1
    near, far = result.frames[1:, :16, :16] - picture[:16, :16], result.frames[1:, 48:, 48:] - picture[48:, 48:]
    assert np.abs(near).mean() > 5 and np.abs(far).mean() < 0.5 * np.abs(near).mean()


def test_the_inpaint_mask_moves_what_is_painted(webui, picture):
    options = {"mask": encode(half()), "mask_blur": 0, "inpaint_full_res": False, "inpainting_fill": 1}
    webui.run({**MOVING, "inpaint_mask": True}, **options)
    inpainted = webui.run({**MOVING, "inpaint_mask": True}, **options)
    given = webui.run({**MOVING, "motion_mask": encode(half())})
    assert np.abs(inpainted.frames - given.frames).max() <= 1
    assert told(inpainted, "motion mask") == "inpaint mask"


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DDIM CFG++"])
def test_a_loop_keeps_frame_0_and_changes_the_rest(webui, picture, sampler):
    straight = webui.run(MOVING, sampler_name=sampler)
    loop = webui.run({**MOVING, "loop": True}, sampler_name=sampler)
    assert np.abs(loop.frames[0] - straight.frames[0]).max() <= 1
    assert np.abs(loop.frames[1:] - straight.frames[1:]).mean() > 0.1  # random motion modules see little of time
    frozen = [webui.run({**FROZEN, "loop": loop}, sampler_name=sampler).frames for loop in (False, True)]
    assert np.abs(frozen[1] - frozen[0]).max() <= 1


def test_the_dial_from_still_to_free(webui):
    webui.run(FROZEN)
    clips = [webui.run({"tau_end": 1.0, "omega": "motion", "motion": motion}) for motion in (0, 0.5, 1)]
    assert np.abs(clips[0].frames - webui.run(FROZEN).frames).max() <= 1
    assert np.abs(clips[2].frames - webui.run(MOVING).frames).max() <= 1
    moved = [np.abs(clip.frames[1:] - clip.frames[:1]).mean() for clip in clips]
    assert moved[0] < moved[1] < moved[2]


@pytest.mark.parametrize("sampler, scheduler", [("Euler", "Automatic"), ("Euler", "Karras"), ("DDIM", "Automatic")])
def test_a_window_by_noise_level(webui, sampler, scheduler):
    settings = {"tau_end": 0.4, "tau_unit": "noise level", "omega": "constant"}
    job = {"sampler_name": sampler, "scheduler": scheduler, "denoising_strength": 1.0, "steps": 10}
    rectified, steps = told(webui.run(settings, **job), "steps").split(" of ")
    assert 0 < int(rectified) < int(steps)


def test_long_clips_with_repeated_noise(webui, picture):
    animatediff = {"video_length": 4 * FRAMES, "overlap": 2}
    clips = {}
    for repeat in (True, False):
        settings = {"tau_end": 1.0, "omega": "constant", "repeat_noise": repeat}
        clips[repeat] = webui.run(settings, animatediff=animatediff).frames
        assert len(clips[repeat]) == 4 * FRAMES and np.abs(clips[repeat][0] - picture).max() <= 1
    assert np.abs(clips[True][:FRAMES] - clips[False][:FRAMES]).mean() < np.abs(clips[True] - clips[False]).mean()
    frozen = webui.run({**FROZEN, "repeat_noise": True}, animatediff=animatediff, sampler_name="Euler a")
    assert np.abs(frozen.frames - picture).max() <= 1


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DDIM"])
def test_the_motion_for_a_wanted_similarity(webui, sampler):
    """With random weights similarity does not fall evenly with motion; all that is sure is which ends reach it."""
    job = {"sampler_name": sampler, "steps": 4}
    wanted = np.asarray(draw_picture())

    def similarity(result):
        return float(ssim_per_frame(result.frames.astype(np.uint8), wanted).mean())

    webui.run(MOVING, **job)
    still, free = webui.run(FROZEN, **job), webui.run(MOVING, **job)
    easy = webui.run({"tau_end": 1.0, "target_ssim": round(similarity(free) / 2, 4)}, **job)
    assert "Noise Rectification found: " in easy.infotext and "target ssim" not in easy.infotext
    assert (told(easy, "omega"), told(easy, "motion")) == ("motion", "1")
    assert np.abs(easy.frames - free.frames).max() <= 1, "the probes leave the job's own noise alone"
    hard = webui.run({"tau_end": 1.0, "target_ssim": round(similarity(still) - 1e-3, 4)}, **job)
    assert float(told(hard, "motion")) < 1 and similarity(hard) > similarity(free)


def test_short_runs_are_smaller_and_quicker(webui):
    """The host's progress says when each run has ended: Motion 0 and 1 in 256x256, then 1 in the job's 320x320."""
    told, done = [], threading.Event()

    def watch():
        while not done.wait(0.2):
            try:
                text = webui.get("/sdapi/v1/progress?skip_current_image=true")["textinfo"] or ""
            except requests.Timeout:
                continue
            if text != (told[-1][1] if told else ""):
                told.append((time.monotonic(), text))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = webui.run(
            {"tau_end": 1.0, "target_ssim": 0.001},
            steps=4,
            width=320,
            height=320,
            animatediff={"video_length": 2, "batch_size": 2},
        )
    finally:
        done.set()
        watcher.join()
    assert [picture.shape for picture in result.pictures] == [(320, 320, 3)] * 2
    assert re.search(r"motion 1 found by SSIM in 2 short runs of 256x256 .*, 1 in all steps: ", result.infotext)
    expected = ("finding the motion", "motion 0.00 has SSIM", "motion 1.00 has SSIM")
    first = next(index for index, (_, text) in enumerate(told) if expected[0] in text)
    assert [name in text for name, (_, text) in zip(expected, told[first:])] == [True] * 3
    # What is told next comes after the run in the job's size.
    still, free, whole = (end - begin for (begin, _), (end, _) in zip(told[first : first + 3], told[first + 1 :]))
    print(f"runs of 4 steps: {still:.1f} s and {free:.1f} s in 256x256, {whole:.1f} s in 320x320")
    assert free < whole


@pytest.mark.parametrize(
    "message, settings",
    [
        ("target_ssim = 1 cannot be reached: a still video has", {"target_ssim": 1}),
        ("keyframe 9 is outside the video of 4 frames", {"key_frames": {"9": encode(other_picture())}}),
        ("key_frames['3'] is not an image", {"key_frames": {"3": "bm90IGEgcGljdHVyZQ=="}}),
        ("motion mask of frame 0 is empty", {"motion_mask": encode(Image.new("L", (SIZE, SIZE)))}),
        ("is below the minimum", {"omega": "motion", "motion": 0.01, "tau_end": 0.3}),
    ],
)
def test_refusals_cost_nothing_that_comes_after(webui, message, settings):
    webui.run()
    before = webui.run()
    response = webui.post({"tau_end": 1.0, **settings})
    assert response.status_code == 422 and message in response.json()["detail"]
    webui.run()
    assert webui.run().png == before.png
