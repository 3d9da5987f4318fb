"""Key frames, masks, loops, the dial, windows by noise level, long clips and a wanted similarity, in the stand-in's jobs."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from test_extension import FROZEN, MOVING, clean_latent, plain, plain_latents, rectify

from lib_noiserect.core.noise import noise_order


@pytest.fixture
def host(with_extension):
    return with_extension


@pytest.fixture
def last(picture):
    return ImageOps.mirror(ImageOps.invert(picture))


def encoded(picture):
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def half(size=(64, 64)):
    """White on the right."""
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    return mask


def near(left, right, by=0.02):
    """The host encodes with noise of its own, so that two encodings of a picture differ a little."""
    assert (left - right).abs().mean() < by


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "LCM"])
def test_every_key_frame_is_its_picture(host, picture, last, sampler):
    job = rectify(host, picture, {**MOVING, "key_frames": {"3": encoded(last)}}, sampler=sampler)
    near(job.latents[0][0], clean_latent(host, picture)[0])
    near(job.latents[0][3], clean_latent(host, last)[0])
    assert (job.latents[0][3] - job.latents[0][0]).abs().mean() > 0.1
    assert "Noise Rectification key frames: 3" in job.infotexts[0]


@pytest.mark.parametrize("is_api", [False, True])
def test_animatediffs_last_frame_is_the_last_key_frame(host, picture, last, is_api):
    given = encoded(last) if is_api else last
    job = rectify(host, picture, MOVING, animatediff={"last_frame": given}, is_api=is_api)
    near(job.latents[0][3], clean_latent(host, last)[0])
    near(job.latents[0][0], clean_latent(host, picture)[0])


def test_files_of_the_tab_say_their_frames(host, picture, last, tmp_path):
    last.save(tmp_path / "boat-2.png")
    values = [control.value for control in host.script("Noise Rectification").controls]
    values[0], values[2], values[-3] = True, 1.0, [SimpleNamespace(name=str(tmp_path / "boat-2.png"))]
    torch.manual_seed(5)
    job = host.img2img(picture, script_args={"Noise Rectification": values})
    near(job.latents[0][2], clean_latent(host, last)[0])


@pytest.mark.parametrize("interpolation", ["slerp", "hold"])
def test_frozen_between_key_frames_is_what_they_are_held_to(host, picture, last, interpolation):
    settings = {**FROZEN, "key_frames": {"3": encoded(last)}, "interpolation": interpolation}
    latents = rectify(host, picture, settings).latents[0]
    first, end = clean_latent(host, picture)[0], clean_latent(host, last)[0]
    if interpolation == "hold":
        near(latents[1], first)
        near(latents[2], end)
    else:
        lengths = [frame.norm() for frame in (first, latents[1], latents[2], end)]
        assert torch.diff(torch.stack(lengths)).abs().max() < 0.4 * (lengths[3] - lengths[0]).abs() + 0.5
        assert 0.2 < (latents[1] - first).abs().mean() / (end - first).abs().mean() < 0.5


def test_a_key_frame_of_another_shape_is_resized_as_the_picture_is_and_said_so(host, picture, last):
    job = rectify(host, picture, {**MOVING, "key_frames": {"3": encoded(last.resize((64, 128)))}}, resize_mode=1)
    assert any("keyframe 3 is 64x128 and the video 64x64: it was cropped" in text for text in job.comments)


@pytest.mark.parametrize("sampler", ["Euler a", "LCM"])
def test_outside_a_motion_mask_is_the_picture(host, picture, sampler):
    settings = {**MOVING, "motion_mask": encoded(half()), "mask_feather": 1}
    latents = rectify(host, picture, settings, sampler=sampler).latents[0]
    clean = clean_latent(host, picture)
    near(latents[..., :4], clean[..., :4].expand(4, -1, -1, -1))
    assert (latents[1:, ..., 5:] - clean[..., 5:]).abs().mean() > 0.05


def test_the_inpaint_mask_says_what_moves(host, picture):
    job = rectify(host, picture, {**MOVING, "inpaint_mask": True}, mask=half(), inpainting_fill=1, inpaint_full_res=False)
    given = rectify(host, picture, {**MOVING, "motion_mask": encoded(half())})
    assert torch.equal(job.latents[0], given.latents[0])
    assert job.p.overlay_images is None and "Noise Rectification motion mask: inpaint mask" in job.infotexts[0]


def test_a_mask_follows_from_frame_to_frame(host, picture):
    masks = {"0": encoded(half()), "3": encoded(ImageOps.mirror(half()))}
    latents = rectify(host, picture, {**MOVING, "motion_mask": masks, "mask_feather": 0}).latents[0]
    clean = clean_latent(host, picture)[0]
    near(latents[3][..., 4:], clean[..., 4:])
    assert (latents[3][..., :4] - clean[..., :4]).abs().mean() > 0.05


def test_in_a_loop_the_model_sees_the_last_frame_beside_the_first(host, picture):
    seen = []
    host.on_model_call = lambda call, x, level: seen.append(x[:, 0, 0, 0].clone())
    job = rectify(host, picture, {**MOVING, "loop": True}, steps=5)
    host.on_model_call = None
    assert len(job.latents[0]) == 4 and "Noise Rectification loop: True" in job.infotexts[0]
    straight = rectify(host, picture, MOVING, steps=5)
    assert not torch.equal(job.latents[0], straight.latents[0])
    near(job.latents[0][0], clean_latent(host, picture)[0])


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM CFG++", "DPM++ 2M SDE"])
def test_a_loop_is_undone_after_each_call(host, picture, sampler):
    """With a model that sees each frame alone nothing is left of the turning but rounding."""
    kept = host.model
    host.model = lambda x, level, host: torch.tanh(x / (1 + host.scales(level)[1]))
    try:
        omega = [1, 0.5, 0.2, 0.9]
        loop = rectify(host, picture, {**MOVING, "omega": omega, "loop": True}, sampler=sampler)
        straight = rectify(host, picture, {**MOVING, "omega": omega}, sampler=sampler)
    finally:
        host.model = kept
    torch.testing.assert_close(loop.latents[0], straight.latents[0], rtol=1e-4, atol=1e-5)


def test_the_dial_goes_from_still_to_free(host, picture):
    jobs = [
        rectify(host, picture, {"enabled": True, "tau_end": 1, "omega": "motion", "motion": motion}).latents[0]
        for motion in (0, 0.5, 1)
    ]
    still, half_way, free = jobs
    assert torch.equal(still, rectify(host, picture, FROZEN).latents[0])
    assert torch.equal(free, rectify(host, picture, MOVING).latents[0])
    moved = [(latents[1:] - latents[:1]).abs().mean() for latents in jobs]
    assert moved[0] < moved[1] < moved[2]
    assert 0.3 < (moved[1] - moved[0]) / (moved[2] - moved[0]) < 0.7


def test_a_motion_that_the_window_does_not_allow(host, picture):
    with pytest.raises(Exception, match=r"Motion amount = 0.05 is below the minimum .* end the window later"):
        rectify(host, picture, {"enabled": True, "tau_end": 0.3, "omega": "motion", "motion": 0.05})


@pytest.mark.parametrize(
    "sampler, scheduler, steps",
    [("Euler", "Automatic", 10), ("Euler", "Exponential", 10), ("Heun", "Karras", 10), ("DDIM", "Automatic", 20)],
)  # fmt: skip
def test_a_window_by_noise_level(host, picture, sampler, scheduler, steps):
    """The rectified steps are those whose own level is above the one of 40 % of the timesteps, whoever makes the schedule."""
    levels = []
    host.on_model_call = lambda call, x, level: levels.append(float(level))
    settings = {"enabled": True, "tau_end": 0.4, "tau_unit": "noise level", "omega": "constant"}
    job = rectify(host, picture, settings, sampler=sampler, scheduler=scheduler, steps=steps)
    host.on_model_call = None
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)  # as AnimateDiff has them
    alpha_bar = float((1 - betas).cumprod(0)[599])
    edge = 599 if sampler == "DDIM" else ((1 - alpha_bar) / alpha_bar) ** 0.5
    firsts = sorted(set(levels), reverse=True)
    expected = sum(level > edge * 1.0001 for level in firsts)
    done, of = map(int, re.search(r"Noise Rectification steps: (\d+) of (\d+)", job.infotexts[0]).groups())
    assert (done, of) == (expected, len(firsts)) and 0 < done < of


def test_long_clips_repeat_the_noise_of_the_first_context(host, picture):
    seen = {}

    def keep(call, x, level):
        seen.setdefault("x", x.clone())

    host.on_model_call = keep
    animatediff = {"video_length": 12, "batch_size": 4}
    starts = {}
    for repeat in (True, False):
        seen.clear()
        rectify(host, picture, {**FROZEN, "repeat_noise": repeat}, frames=12, animatediff=animatediff)
        starts[repeat] = seen["x"]
    host.on_model_call = None
    order = noise_order(12, 4)
    assert sorted(order[4:8]) == sorted(order[8:]) == [0, 1, 2, 3] == order[:4]
    assert torch.equal(starts[True], starts[False][order]) and not torch.equal(starts[True], starts[False])


def test_held_colours_follow_the_first_frame_after_the_window(host, picture):
    settings = {"enabled": True, "tau_end": 0.34, "omega": "constant"}
    clean = clean_latent(host, picture)
    drift = [
        (rectify(host, picture, {**settings, "hold_colour": held}).latents[0] - clean).mean((2, 3)).abs().mean()
        for held in (False, True)
    ]
    assert drift[1] < 0.5 * drift[0]


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_the_motion_for_a_wanted_similarity(host, picture, sampler):
    job = {"sampler": sampler, "steps": 9}
    frozen = rectify(host, picture, {**FROZEN}, **job)
    highest = similarity(frozen, picture)
    wanted = round(highest - 0.05, 3)
    found = rectify(host, picture, {"enabled": True, "tau_end": 1, "target_ssim": wanted}, **job)
    text = found.infotexts[0]
    assert f'Noise Rectification found: "for SSIM {wanted:g}, motion' in text
    assert any("short runs" in comment for comment in found.comments)
    motion = float((re.search(r"Noise Rectification motion: ([\d.]+)", text) or [0, "0.5"])[1])
    assert 0 <= motion <= 1 and "target ssim" not in text
    # What the infotext says makes the same clip: the probes leave the job's own noise alone.
    omega = re.search(r"Noise Rectification omega: (\w+)", text)[1]
    again = rectify(host, picture, {"enabled": True, "tau_end": 1, "omega": omega, "motion": motion}, **job)
    assert torch.equal(again.latents[0], found.latents[0])


def similarity(job, picture):
    from lib_noiserect.media.metrics import ssim_per_frame

    clip = np.stack([np.asarray(image.convert("RGB")) for image in job.images])
    return float(ssim_per_frame(clip, np.asarray(picture.convert("RGB"))).mean())


REFUSED = {
    "key_frames has an image for frame 0": {"key_frames": {"0": "PICTURE"}},
    "keyframe 9 is outside the video of 4 frames: use 1 to 3": {"key_frames": {"9": "PICTURE"}},
    "keyframe 3 is also AnimateDiff's optional last frame": {"key_frames": {"3": "PICTURE"}, "last_frame": True},
    "key_frames has the frame 'x'": {"key_frames": {"x": "PICTURE"}},
    "key_frames is a string": {"key_frames": "PICTURE"},
    "key_frames['3'] is not base64": {"key_frames": {"3": "/etc/passwd!"}},
    "key_frames['3'] is not an image that can be read": {"key_frames": {"3": base64.b64encode(b"text" * 20).decode()}},
    "key_frames['3'] is not a string": {"key_frames": {"3": 7}},
    "key_frames contains a str": {"key_frames": ["/etc/passwd-3.png"]},
    "motion_mask of frame 0 is 64x96": None,
    "motion mask of frame 0 is empty": {"motion_mask": "EMPTY"},
    "motion mask 7 is outside the video": {"motion_mask": {"7": "MASK"}},
    "mask_feather = 16 is too wide for the motion mask": {"motion_mask": "MASK", "mask_feather": 16},
    "inpaint_mask is on and the job has no mask": {"inpaint_mask": True},
    "inpaint_mask = 'yes' is not a boolean": {"inpaint_mask": "yes"},
    "inpaint_mask and motion_mask are both set": {"inpaint_mask": True, "motion_mask": "MASK"},
    "interpolation = 'cut' is not allowed: use slerp or hold": {"interpolation": "cut"},
    "target_ssim = 1 cannot be reached: a still video has": {"target_ssim": 1},
    "unknown setting masks": {"masks": 1},
}


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("is_api", [False, True], ids=["ui", "api"])
def test_refusals(host, picture, last, is_api, message):
    from lib_noiserect.webui.errors import in_labels

    settings = REFUSED[message]
    if settings is None:
        settings, message = ({"motion_mask": encoded(half((64, 96)))}, "motion mask of frame 0 is 64x96 and the image 64x64")
    pictures = {"PICTURE": encoded(last), "MASK": encoded(half()), "EMPTY": encoded(Image.new("L", (64, 64)))}

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(entry) for key, entry in value.items()}
        return pictures.get(value, value) if isinstance(value, str) else value

    settings = {**MOVING, **filled(settings)}
    animatediff = {"last_frame": last} if settings.pop("last_frame", False) else {}
    before = plain_latents(host, picture)
    with pytest.raises(Exception) as caught:
        rectify(host, picture, settings, is_api=is_api, animatediff=animatediff)
    assert message in caught.value.detail if is_api else in_labels(message) in str(caught.value)
    assert not is_api or caught.value.status_code == 422
    assert torch.equal(plain(host, picture).latents[0], before), "what came before is undone"


@pytest.mark.parametrize(
    "message, job",
    [
        ("Inpaint area is Only masked", {"mask": half(), "inpaint_full_res": True, "inpainting_fill": 1}),
        (
            "Masked content is not original: choose original",
            {"mask": half(), "inpaint_full_res": False, "inpainting_fill": 0},
        ),
    ],
)
def test_inpainting_that_does_not_go_with_it(host, picture, message, job):
    with pytest.raises(Exception, match=message):
        rectify(host, picture, {**MOVING, "inpaint_mask": True}, **job)


@pytest.mark.parametrize(
    "message, job",
    [
        ("AnimateDiff generates 8 frames for a video of 4", {"animatediff": {"batch_size": 8}, "frames": 4}),
        ("the prompt changes between frames", {"prompt": "a boat\n0: sails\n2: sinks"}),
    ],
)
def test_loops_that_cannot_be(host, picture, message, job):
    with pytest.raises(Exception, match=message):
        rectify(host, picture, {**MOVING, "loop": True}, **job)


WANTED = {"enabled": True, "tau_end": 1, "target_ssim": 0.7}
EASY = {**WANTED, "target_ssim": 0.01}  # reached by all of the motion, so that three runs do
SMALL, WHOLE = (8, 8), (12, 16)


@pytest.fixture
def above_64(monkeypatch):
    """Short runs are smaller from 64 pixels on, and not from 256, so that the jobs are quick."""
    from lib_noiserect.webui import motion_search

    monkeypatch.setattr(motion_search, "PROBE_SIDE", 64)


def wide(picture, size=(128, 96)):
    return picture.resize(size, Image.Resampling.BICUBIC)


def sizes_of_calls(host, picture, settings=None, **job):
    """The job, and the height and width of the latents at each call of the model."""
    seen = []
    host.on_model_call = lambda call, x, level: seen.append(tuple(x.shape[-2:]))
    job = {"width": picture.width, "height": picture.height, "steps": 6, **job}
    try:
        return rectify(host, picture, settings or EASY, **job), seen
    finally:
        host.on_model_call = None


def test_short_runs_are_smaller(host, picture):
    job, seen = sizes_of_calls(host, wide(picture, (320, 256)), {**WANTED, "target_ssim": 0.05}, steps=9)
    assert seen == [(24, 32)] * 16 + [(32, 40)] * 18  # Motion 0 and 1 in 8 steps each, then 1 in all, then the job itself
    assert job.latents[0].shape[-2:] == (32, 40)
    assert re.search(r"short runs of 256x192 \(0: [\d.]+, 1: [\d.]+\), 1 in all steps: ", job.infotexts[0])


@pytest.mark.parametrize("sampler, settings", [("DPM++ 2M SDE", EASY), ("DDIM", WANTED), ("DPM fast", WANTED)])
def test_short_runs_change_nothing_of_the_job(host, picture, above_64, sampler, settings):
    job, seen = sizes_of_calls(host, wide(picture), settings, sampler=sampler)
    assert set(seen) == {SMALL, WHOLE} and (seen[0], seen[-1]) == (SMALL, WHOLE)
    text = job.infotexts[0]
    omega, motion = (re.search(rf"Noise Rectification {name}: ([\w.]+)", text)[1] for name in ("omega", "motion"))
    found = {"enabled": True, "tau_end": 1, "omega": omega, "motion": float(motion)}
    again = sizes_of_calls(host, wide(picture), found, sampler=sampler)[0]
    assert torch.equal(again.latents[0], job.latents[0])


def test_a_short_run_that_is_still_is_the_smaller_picture(host, picture, above_64):
    job, _ = sizes_of_calls(host, wide(picture, (128, 128)))
    small = wide(picture, (128, 128)).resize((64, 64), Image.Resampling.LANCZOS)
    still = similarity(rectify(host, small), small)
    assert float(re.search(r"short runs of 64x64 \(0: ([\d.]+)", job.infotexts[0])[1]) == pytest.approx(still, abs=0.01)


def test_short_runs_with_key_frames_and_masks(host, picture, last, above_64):
    masks = {"key_frames": {"3": encoded(wide(last))}, "motion_mask": encoded(half((128, 96)))}
    job, seen = sizes_of_calls(host, wide(picture), {**EASY, **masks})
    assert set(seen) == {SMALL, WHOLE}
    near(job.latents[0][3, ..., :8], clean_latent(host, wide(last), width=128, height=96)[0, ..., :8])


def test_what_is_protected_has_the_size_of_each_run(host, picture, above_64):
    held = {}

    def keep(call, x, level):
        kept = [getattr(host.denoiser, name) for name in ("mask", "nmask", "init_latent")]
        held.setdefault(tuple(x.shape[-2:]), set()).update(tuple(latents.shape[-2:]) for latents in kept)
        assert torch.equal(kept[0] + kept[1], torch.ones_like(kept[0]))

    host.on_model_call = keep
    job = {"width": 128, "height": 96, "mask": half((128, 96)), "inpainting_fill": 1, "inpaint_full_res": False}
    rectify(host, wide(picture), EASY, **job)
    host.on_model_call = None
    assert held == {SMALL: {SMALL}, WHOLE: {WHOLE}}


def test_short_runs_have_the_size_of_what_others_made_for_the_job(host, picture, above_64, monkeypatch):
    """ControlNet's hints, the picture of an inpainting model, and what is filled in under a mask."""
    unit = SimpleNamespace(hint_cond=torch.zeros(1, 3, 96, 128))
    animatediff = host.script("AnimateDiff")
    animatediff.latest_network = SimpleNamespace(control_params=[unit])
    assert set(sizes_of_calls(host, wide(picture))[1]) == {WHOLE}
    unit.hint_cond = {"hidden_states": torch.zeros(1, 257, 1280)}  # an IP-Adapter's has no size
    assert SMALL in sizes_of_calls(host, wide(picture))[1]
    del animatediff.latest_network
    filled = {"mask": half((128, 96)), "inpainting_fill": 3, "inpaint_full_res": False}
    assert set(sizes_of_calls(host, wide(picture), **filled)[1]) == {WHOLE}
    from modules import processing

    seen_by_it = torch.zeros(4, 5, *WHOLE)
    job = processing.StableDiffusionProcessingImg2Img
    monkeypatch.setattr(job, "img2img_image_conditioning", lambda *_, **__: seen_by_it)
    assert set(sizes_of_calls(host, wide(picture))[1]) == {WHOLE}


def test_short_runs_of_sdxl_have_twice_the_side(host, picture, above_64, monkeypatch):
    monkeypatch.setattr(host.sd_model, "is_sdxl", True)
    assert set(sizes_of_calls(host, wide(picture))[1]) == {WHOLE}
    assert set(sizes_of_calls(host, wide(picture, (192, 192)))[1]) == {(16, 16), (24, 24)}


def test_short_runs_that_another_extension_cannot_do_in_small(host, picture, above_64):
    kept = host.model

    def only_whole(x, level, host):
        if tuple(x.shape[-2:]) != WHOLE:
            raise RuntimeError("The size of tensor a (8) must match the size of tensor b (16)")
        return kept(x, level, host)

    host.model = only_whole
    try:
        job, seen = sizes_of_calls(host, wide(picture))
    finally:
        host.model = kept
    assert seen.count(SMALL) == 1
    assert any("short runs of 64x64 failed (The size of tensor a (8)" in comment for comment in job.comments)
    assert "short runs (0:" in job.infotexts[0]


def test_an_interrupt_in_a_short_run_leaves_the_size(host, picture, above_64):
    def interrupt(call, x, level):
        host.state.interrupted = call >= 3

    host.on_model_call = interrupt
    job = rectify(host, wide(picture), WANTED, width=128, height=96)
    host.on_model_call = None
    assert job.latents[0].shape[-2:] == WHOLE


def test_a_wanted_similarity_is_of_the_whole_picture(host, picture):
    with pytest.raises(Exception, match="Inpaint area is Only masked: choose Whole picture"):
        rectify(host, picture, WANTED, mask=half(), inpainting_fill=1, inpaint_full_res=True)
