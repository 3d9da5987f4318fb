"""The real script file in the stand-in of the web UI: exact facts, every way out, refusals, and the API."""

import copy
import logging
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from standin import used_host

from lib_noiserect.core.settings import FIELDS
from lib_noiserect.webui.arguments import INPUTS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "noise_rectification.py"
K_SAMPLERS = [
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler", "LMS",
    "Heun", "DPM2", "DPM2 a", "Restart", "LCM",
]  # fmt: skip
TIMESTEP_SAMPLERS = ["DDIM", "DDIM CFG++", "PLMS", "UniPC"]
STOP_ABOVE_ZERO = [*TIMESTEP_SAMPLERS, "DPM fast", "DPM adaptive"]
ALL_SAMPLERS = [*K_SAMPLERS, *STOP_ABOVE_ZERO]
# One without fresh noise, one with it, and one on timesteps: for facts that do not depend on the formula of a sampler.
REPRESENTATIVES = ["Euler", "DPM++ 2M SDE", "DDIM"]
SCHEDULERS = [
    "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
    "Simple", "Normal", "DDIM", "Beta",
]  # fmt: skip
FROZEN = {"enabled": True, "tau_end": 1.0, "omega": "frozen"}
MOVING = {"enabled": True, "tau_end": 1.0, "omega": "constant"}


@pytest.fixture(params=["a1111", "a1111-1.8"])
def any_a1111(request):
    yield from _host(request.param)


@pytest.fixture
def host():
    yield from _host("a1111")


def _host(name, **options):
    with used_host(name, **options, script=SCRIPT) as host:
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"
        _nothing_is_left(host)


def _nothing_is_left(host):
    import k_diffusion.sampling as sampling

    for patched in (sampling.torch, sampling.BrownianTreeNoiseSampler):
        assert "lib_noiserect" not in f"{type(patched).__module__} {getattr(patched, '__qualname__', '')}"


def rectify(host, picture, settings=None, **job):
    torch.manual_seed(5)  # the host encodes pictures with unseeded noise
    return host.img2img(picture, script_args={"Noise Rectification": [settings or FROZEN]}, **job)


def plain(host, picture, **job):
    torch.manual_seed(5)
    return host.img2img(picture, **job)


def clean_latent(host, picture, **job):
    """What the host encodes frame 0 of the job to: the init latent of a job stopped before it samples."""
    found = {}

    def stop(call, x, level):
        found["clean"] = host.denoiser.init_latent[:1].clone()
        host.state.interrupt()

    host.on_model_call = stop
    plain(host, picture, **job)
    host.on_model_call = None
    return found["clean"]


def end_and_clean(host, picture, **job):
    """Where frozen frames end, and the clean latent: one that stops above zero ends at its floor, the others end there.

    The floor is the sampler's own end when the model answers the clean latent: near that, or the start was at another level.
    """
    clean = clean_latent(host, picture, **job)
    if job["sampler"] not in STOP_ABOVE_ZERO:
        return clean, clean
    kept = host.model
    host.model = lambda x, level, host: clean.expand_as(x)
    try:
        end = rectify(host, picture, {**FROZEN, "omega": "constant"}, **job).latents[0]
    finally:
        host.model = kept
    assert (end - clean).square().mean().sqrt() < 0.06  # 0.041 for DDIM's kind, 0.029 for the others
    return end, clean


def plain_latents(host, picture):
    """Those of a plain job, which is the same in each host as it starts."""
    name = host.flavour.name
    if name not in _plain_latents:
        _plain_latents[name] = plain(host, picture).latents[0]
    return _plain_latents[name]


_plain_latents = {}


def same(result, expected, tolerance=2e-5):
    torch.testing.assert_close(result, expected.expand_as(result), rtol=0, atol=tolerance)


def test_the_script_is_where_it_should_be(host):
    script = host.script("Noise Rectification")
    assert script.alwayson and len(script.controls) == len(FIELDS) + len(INPUTS)
    in_txt2img = host.script("Noise Rectification", is_img2img=False)
    assert in_txt2img.alwayson and len(in_txt2img.controls) == len(FIELDS)  # nothing that belongs to a picture


@pytest.mark.parametrize("sampler", ALL_SAMPLERS)
def test_frozen_frames_are_the_picture_and_frame_0_is_when_all_move(host, picture, sampler):
    frozen_and_moving_are_exact(host, picture, sampler)


def frozen_and_moving_are_exact(host, picture, sampler):
    end, clean = end_and_clean(host, picture, sampler=sampler)
    frozen, moving = (rectify(host, picture, settings, sampler=sampler) for settings in (FROZEN, MOVING))
    same(frozen.latents[0], end)
    if sampler == "DPM adaptive":  # other steps, so another draw of its last noise
        assert (moving.latents[0][0] - clean[0]).square().mean().sqrt() < 0.04
    else:
        same(moving.latents[0][0], end[0])
    assert (moving.latents[0][1:] - clean).abs().max() > 0.02
    for job in (frozen, moving):
        rectified, steps = _steps(job)
        assert rectified == steps > 0


@pytest.mark.parametrize("sampler", REPRESENTATIVES)
@pytest.mark.parametrize(
    "settings", [{"enabled": False}, {**FROZEN, "tau_start": 0.5, "tau_end": 0.5}], ids=["off", "never hit"]
)
def test_off_and_never_hit_change_no_bit(picture, sampler, settings):
    with used_host("a1111") as bare:
        expected = plain(bare, picture, sampler=sampler)
    with used_host("a1111", script=SCRIPT) as host:
        result = rectify(host, picture, settings, sampler=sampler)
    assert torch.equal(result.latents[0], expected.latents[0])
    assert [image.tobytes() for image in result.images] == [image.tobytes() for image in expected.images]
    if not settings["enabled"]:
        assert result.infotexts == expected.infotexts


@pytest.mark.parametrize(
    "sampler, scheduler", [*(("Euler a", scheduler) for scheduler in SCHEDULERS), ("DPM++ 2M", "Karras"), ("Heun", "Beta")]
)
def test_every_scheduler(host, picture, sampler, scheduler):
    from modules import sd_schedulers

    assert {row.label for row in sd_schedulers.schedulers} == set(SCHEDULERS)
    job = rectify(host, picture, sampler=sampler, scheduler=scheduler)
    clean = clean_latent(host, picture, sampler=sampler, scheduler=scheduler)
    if scheduler == "KL Optimal":  # ends at the smallest σ, not at 0
        assert (job.latents[0] - clean).square().mean().sqrt() < 0.06
    else:
        same(job.latents[0], clean)


@pytest.mark.parametrize(
    "sampler, strength",
    [
        *(("Euler a", strength) for strength in (0.05, 0.3, 0.75, 1.0)),
        ("DPM2", 0.3), ("DDIM", 0.05), ("DDIM", 0.3), ("UniPC", 0.05), ("UniPC", 0.75),
    ],
)  # fmt: skip
def test_every_strength(host, picture, sampler, strength):
    if sampler == "UniPC" and strength == 0.05:
        with pytest.raises(AssertionError):  # the host's own: fewer steps than UniPC's order
            rectify(host, picture, sampler=sampler, denoising_strength=strength, steps=20)
        return
    job = rectify(host, picture, sampler=sampler, denoising_strength=strength, steps=20)
    rectified, steps = _steps(job)
    if steps:
        assert rectified == steps
        clean = clean_latent(host, picture, sampler=sampler, denoising_strength=strength, steps=20)
        if sampler in STOP_ABOVE_ZERO:
            assert (job.latents[0] - clean).square().mean().sqrt() < 0.06
        else:
            same(job.latents[0], clean)
    else:
        assert any("no step falls into" in comment for comment in job.comments)


# Each option with a sampler of one step and with one on timesteps, or with one that draws its own noise where that matters.
@pytest.mark.parametrize("sampler, options", [(sampler, options) for options in [
    {"initial_noise_multiplier": 1.3}, {"s_churn": 5.0}, {"eta": 0.4}, {"subseed_strength": 0.4, "subseed": 9},
    {"override_settings": {"img2img_extra_noise": 0.2}}, {"override_settings": {"eta_noise_seed_delta": 31337}},
    {"override_settings": {"img2img_fix_steps": True}, "denoising_strength": 0.5},
    {"override_settings": {"no_dpmpp_sde_batch_determinism": True}},
    {"override_settings": {"always_discard_next_to_last_sigma": True}},
] for sampler in (
    "Euler" if "s_churn" in options else "Euler a",
    "DPM++ SDE" if re.search("seed_delta|dpmpp", str(options)) else "DDIM",
)], ids=str)  # fmt: skip
def test_the_hosts_options(host, picture, sampler, options):
    job = rectify(host, picture, sampler=sampler, **copy.deepcopy(options))
    same(job.latents[0], end_and_clean(host, picture, sampler=sampler, **copy.deepcopy(options))[0])
    warned = any("same noise" in comment for comment in job.comments)
    assert warned == ("subseed" in options) == ("Noise Rectification warning" in job.infotexts[0])


def test_cfgpp_steps_along_a_rectified_direction(host, picture):
    """The unguided answer differs from the guided one, and CFG++ steps along it."""
    host.uncond_model = lambda x, level, host: torch.full_like(x, 0.9)
    job = rectify(host, picture, sampler="DDIM CFG++")
    same(job.latents[0], end_and_clean(host, picture, sampler="DDIM CFG++")[0], 1e-4)


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_the_old_host_and_the_other_order_of_scripts(picture, sampler):
    for name, options in (("a1111-1.8", {}), ("a1111", {"animatediff_first": False})):
        for host in _host(name, **options):
            job = rectify(host, picture, sampler=sampler)
            same(job.latents[0], end_and_clean(host, picture, sampler=sampler)[0])


def test_the_job_is_the_authors_default(host, picture):
    """Steps 0, 1, 2 of 5 are rectified, ω falls from 1 to 0.5: what the model is asked tells it apart from a plain job."""
    job = rectify(host, picture, {"enabled": True}, steps=5)
    assert _steps(job) == (3, 5)
    text = job.infotexts[0]
    assert "Noise Rectification enabled: True, Noise Rectification steps: 3 of 5" in text


def test_infotext_of_frames_and_of_a_list(host, picture):
    job = rectify(host, picture, {**FROZEN, "omega": [1, 0.5, 0.25, 0]})
    assert all('Noise Rectification omega: "1, 0.5, 0.25, 0"' in text for text in job.infotexts)
    assert len(job.infotexts) == len(job.images) == 4


def test_pin_first_frame(host, picture):
    settings = {"enabled": True, "tau_end": 0.5, "omega": "constant"}
    clean = clean_latent(host, picture)
    free, pinned = (rectify(host, picture, {**settings, "pin_first_frame": pin}).latents[0] for pin in (False, True))
    assert (free[0] - clean[0]).abs().max() > 0.01
    same(pinned[0], clean[0])


def test_a_soft_release_holds_the_frames_beside_the_first_one_longer(host, picture):
    settings = {"enabled": True, "tau_end": 0.5, "omega": "constant", "omega_start": 0.3}
    clean = clean_latent(host, picture)
    edge, soft = (rectify(host, picture, {**settings, "release": release}) for release in (0, 0.5))
    moved = [(job.latents[0] - clean).abs().mean((1, 2, 3)) for job in (edge, soft)]
    assert (moved[1][:3] < moved[0][:3]).all()
    assert _steps(soft) == _steps(edge) == (3, 6)


def test_every_batch_of_n_iter(host, picture):
    job = rectify(host, picture, n_iter=3, sampler="Euler a")
    assert len(job.latents) == 3
    for latents in job.latents:
        same(latents, clean_latent(host, picture, sampler="Euler a"))


def test_a_clip_longer_than_the_context(host, picture):
    job = rectify(host, picture, frames=4, animatediff={"video_length": 10, "batch_size": 4})
    assert job.latents[0].shape[0] == 10
    same(job.latents[0], clean_latent(host, picture, frames=4, animatediff={"video_length": 10, "batch_size": 4}))


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_freeinit_is_a_pivot_each_time(host, picture, sampler):
    job = rectify(host, picture, sampler=sampler, animatediff={"freeinit_enable": True, "freeinit_iters": 3})
    clean = clean_latent(host, picture, sampler=sampler)
    if sampler == "DDIM":
        assert (job.latents[0] - clean).square().mean().sqrt() < 0.06
    else:
        same(job.latents[0], clean)


def half_mask(value=255):
    mask = Image.new("L", (64, 64), 0)
    mask.paste(value, (0, 0, 32, 64))
    return mask


MASK = {"mask_blur": 0, "inpaint_full_res": False, "inpainting_fill": 1}


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM", "PLMS", "UniPC"])
def test_a_masks_protected_area_is_the_picture(host, picture, sampler):
    job = rectify(host, picture, MOVING, sampler=sampler, mask=half_mask(), **MASK)
    clean = clean_latent(host, picture, sampler=sampler, mask=half_mask(), **MASK)
    latents = job.latents[0]
    same(latents[..., 4:], clean[..., 4:])  # the right half is protected in every frame
    assert (latents[1:, ..., :4] - clean[..., :4]).abs().max() > 0.02
    if sampler not in STOP_ABOVE_ZERO:
        same(latents[0], clean[0])


def test_soft_inpaintings_own_blend_has_the_last_word(host, picture, monkeypatch):
    from modules import scripts

    sigmas = []

    def on_mask_blend(self, p, mba):
        if not mba.is_final_blend:
            sigmas.append((mba.current_latent.shape[0], float(mba.sigma[0])))

    monkeypatch.setattr(scripts.ScriptRunner, "on_mask_blend", on_mask_blend)
    plain(host, picture, mask=half_mask(), **MASK)
    without = list(sigmas)
    sigmas.clear()
    rectify(host, picture, MOVING, mask=half_mask(), **MASK)
    assert sigmas == [entry for entry in without for _ in range(2)]  # the host's, and again after the rectification


def test_a_grid_has_its_own_values_in_each_cell(host, picture):
    def settings(tau_end, enabled=True):
        def change(p):
            script = host.script("Noise Rectification")
            p.script_args = list(p.script_args)
            p.script_args[script.args_from] = {"enabled": enabled, "tau_end": tau_end, "omega": "frozen"}

        return change

    torch.manual_seed(5)
    cells = host.xyz({"picture": picture}, [settings(1.0), settings(0.3), settings(0.3, False), settings(1.0)])
    assert [_steps(cell) for cell in cells if "Noise Rectification steps" in cell.infotexts[0]] == [(6, 6), (2, 6), (6, 6)]
    assert "Noise Rectification" not in cells[2].infotexts[0]
    for cell in (cells[0], cells[3]):
        assert cell.latents[0].std(dim=0).max() < 1e-4


def test_a_nested_job_is_left_alone(host, picture):
    """ADetailer works on each finished frame with a job of its own, without scripts."""
    host.nested_job_on_postprocess_image, host.nested_job_frames = True, 4  # the motion module is still in the UNet
    same(rectify(host, picture).latents[0][1:], rectify(host, picture).latents[0][:1])
    nested = list(host.nested_jobs)
    host.nested_job_on_postprocess_image = False
    assert len(nested) == 4
    for job in nested:
        assert not any(key.startswith("Noise Rectification") for key in job.extra_generation_params)
        # A rectified one would end as the picture that it was given.
        assert (job.standin_latents[0] - clean_latent(host, picture)).abs().max() > 0.05


def test_a_copy_of_the_job_does_not_carry_it_on(host, picture):
    """Other extensions run copies of a job from their hooks."""
    job = rectify(host, picture)
    assert "init" not in job.p.__dict__ and "_noise_rectification_session" not in job.p.__dict__
    assert "sample_img2img" not in job.sampler.__dict__


@pytest.mark.parametrize("way_out", ["interrupt", "skip"])
def test_an_interrupt_ends_with_rectified_frames(host, picture, way_out):
    host.on_model_call = lambda k, x, level: getattr(host.state, way_out)() if k == 2 else None
    job = rectify(host, picture)
    assert not host.frames_are_connected()
    host.on_model_call = None
    same(job.latents[0], clean_latent(host, picture))


def test_a_models_error_reaches_the_user_and_animatediff_is_restored(host, picture):
    def fail(k, x, level):
        if k == 1:
            raise RuntimeError("out of memory")

    host.on_model_call = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        rectify(host, picture)
    assert not host.frames_are_connected()
    _nothing_is_left(host)
    host.on_model_call = None
    assert torch.equal(plain(host, picture).latents[0], plain_latents(host, picture))


def test_reload_ui(host, picture):
    before = rectify(host, picture).latents[0]
    callbacks = _callback_count()
    for _ in range(3):
        host.load_script(SCRIPT)
    assert _callback_count() == callbacks
    assert torch.equal(rectify(host, picture).latents[0], before)
    assert [type(handler) for handler in logging.getLogger("noise_rectification").handlers].count(logging.StreamHandler) == 1


def _callback_count():
    from modules import script_callbacks

    return sum(len(callbacks) for callbacks in script_callbacks.callback_map.values())


def test_one_line_a_job_at_info(host, picture, caplog):
    logger = logging.getLogger("noise_rectification")
    logger.addHandler(caplog.handler)
    try:
        rectify(host, picture, sampler="Euler a", n_iter=1)
    finally:
        logger.removeHandler(caplog.handler)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert caplog.messages == ["6 of 6 steps rectified: 4 frames, Euler a, τ = [0, 1], ω = frozen"]


REFUSED = {
    "AnimateDiff is off in this job": {"animatediff": None},
    "AnimateDiff did not put its motion module": {"animatediff": {"model": "missing"}},
    "AnimateDiff's setup failed": {"animatediff": {"fps": 0}},
    "this img2img batch has different images": {"animatediff": {"is_i2i_batch": True}},
    "Negative Guidance minimum sigma": {"s_min_uncond": 2.0},
    "Ignore negative prompt during early": {"override_settings": {"skip_early_cond": 0.3}},
    "prompt and negative prompt differ in length": {"prompt": "word " * 100},
    "the prompt contains AND": {"prompt": "a ball AND a square"},
    "Hires. fix samples a second time": {"enable_hr": True},
    "omega has 2 entries and the video has 4 frames": {"settings": {**FROZEN, "omega": [1, 0]}},
    "tau_end = 7 is out of range": {"settings": {**FROZEN, "tau_end": 7}},
    "args has 3 entries: use a dict, or the 17 values": {"settings": [True, 0, 1]},
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("is_api", [False, True], ids=["ui", "api"])
def test_refusals(host, picture, message, is_api):
    from lib_noiserect.webui.errors import in_labels

    job = dict(REFUSED[message])
    settings = job.pop("settings", FROZEN)
    before = plain_latents(host, picture)
    script_args = {"Noise Rectification": settings if isinstance(settings, list) else [settings]}
    if isinstance(settings, list):
        script_args = {"Noise Rectification": [True, "not a number"]}
        message = "tau_start = 'not a number' is not a number"
    torch.manual_seed(5)
    with pytest.raises(Exception) as caught:
        host.img2img(picture, script_args=script_args, is_api=is_api, **job)
    if is_api:
        assert caught.value.status_code == 422
        assert caught.value.detail.startswith("Noise Rectification: ") and message in caught.value.detail
    else:
        assert type(caught.value).__name__ == "NoiseRectificationError"
        assert in_labels(message) in str(caught.value)
    assert host.model_calls == 0
    assert not host.frames_are_connected()
    assert torch.equal(plain(host, picture).latents[0], before)


def test_a_batch_of_pictures_is_refused(host, picture):
    with pytest.raises(Exception, match="this img2img batch has different images"):
        rectify(host, [picture, picture.rotate(90)])
    assert host.model_calls == 0 and not host.frames_are_connected()


def test_one_picture_repeated_is_no_batch(host, picture):
    job = rectify(host, [picture, picture.copy(), picture, picture])
    same(job.latents[0], clean_latent(host, picture))


@pytest.mark.parametrize("switch_at, is_another", [(0.8, True), (1.0, True), (0.8, False)])
def test_the_refiner_is_refused_only_if_it_switches(host, picture, monkeypatch, switch_at, is_another):
    from modules import processing

    fill = processing.StableDiffusionProcessing.fill_fields_from_opts

    def with_refiner(p):
        fill(p)
        p.refiner_checkpoint_info = object() if is_another else host.sd_model.sd_checkpoint_info
        p.refiner_switch_at = switch_at

    monkeypatch.setattr(processing.StableDiffusionProcessing, "fill_fields_from_opts", with_refiner)
    if switch_at < 1 and is_another:
        with pytest.raises(Exception, match="the refiner switches the checkpoint"):
            rectify(host, picture)
        assert host.model_calls == 0
    else:
        assert _steps(rectify(host, picture)) == (6, 6)


def test_flow_models_are_refused(host, picture):
    host.sd_model.is_sd3 = True
    with pytest.raises(Exception, match="flow models have no motion modules: choose a Stable Diffusion 1.5 or SDXL"):
        rectify(host, picture)
    assert host.model_calls == 0 and not host.frames_are_connected()


def test_without_animatediff_installed(picture):
    for host in _host("a1111", animatediff=False):
        with pytest.raises(Exception, match="AnimateDiff extension is not installed"):
            host.img2img(picture, script_args={"Noise Rectification": [FROZEN]}, animatediff=None)
        assert host.model_calls == 0


def payload(picture, settings, **job):
    from modules.api.api import encode_pil_to_base64

    return {
        "init_images": [encode_pil_to_base64(picture).decode()],
        "width": 64,
        "height": 64,
        "steps": 4,
        "seed": 1,
        "denoising_strength": 1.0,
        "sampler_name": "Euler a",
        "alwayson_scripts": {
            "AnimateDiff": {"args": [{"enable": True, "video_length": 4, "batch_size": 4, "format": ["PNG"]}]},
            "Noise Rectification": {"args": settings if isinstance(settings, list) else [settings]},
        },
        **job,
    }


def test_the_api_takes_a_dict_and_the_flat_list(any_a1111, picture):
    results = []
    for settings in (FROZEN, [True, 0.0, 1.0, "frozen", 1.0, 0.5, False, False], [True, "0", "1.0", "0, 0, 0, 0"]):
        torch.manual_seed(5)
        status, body = any_a1111.api_img2img(payload(picture, settings))
        assert status == 200, body
        results.append(body["images"])
    assert results[0] == results[1]
    assert len(results[0]) == 4


@pytest.mark.parametrize("settings, message", [
    ({"tau_end": True}, "tau_end = True is not a number: use a number from 0 to 1"),
    ({"tau_end": "late"}, "tau_end = 'late' is not a number"),
    ({"tau_end": float("nan")}, "tau_end = nan is not a finite number"),
    ({"tau_start": float("-inf")}, "tau_start = -inf is not a finite number"),
    ({"omega": [[1]]}, "omega = [1] is not a number"),
    ({"omega": [1] * 4097}, "omega has 4097 entries: use 1 to 4096"),
    ({"tau_start": 0.8}, "tau_start = 0.8 is after tau_end = 0.6"),
    ({"strength": 0.8}, "unknown setting strength: use enabled, tau_start, tau_end"),
    ({"pin_first_frame": "maybe"}, "pin_first_frame = 'maybe' is not a boolean: use true or false"),
    ({"enabled": 1}, "enabled = 1 is not a boolean"),
])  # fmt: skip
def test_wrong_input_gets_422_and_no_model_call(any_a1111, picture, settings, message):
    status, body = any_a1111.api_img2img(payload(picture, {"enabled": True, **settings}))
    assert status == 422
    assert message in body["detail"]
    assert any_a1111.model_calls == 0
    assert not any_a1111.frames_are_connected()


def test_a_dict_without_enabled_is_a_plain_job_and_is_told(host, picture, caplog):
    logger = logging.getLogger("noise_rectification")
    logger.addHandler(caplog.handler)
    status, _ = host.api_img2img(payload(picture, {"tau_end": 0.9}))
    logger.removeHandler(caplog.handler)
    assert status == 200
    assert caplog.messages == ["the job has settings and neither enabled nor create: it is not rectified"]


@pytest.mark.parametrize(
    "settings",
    [
        {"enabled": False, "tau_end": 7, "strength": 1, "key_frames": "no picture"},
        [False, "not a number", 7, "no such preset"],
    ],
    ids=["dict", "list"],
)
def test_a_wrong_value_behind_the_switch_refuses_no_plain_job(host, picture, settings):
    status, body = host.api_img2img(payload(picture, settings))
    assert status == 200 and "Noise Rectification" not in body["info"]


def test_a_name_that_may_be_a_misspelled_switch_is_refused(host, picture):
    status, body = host.api_img2img(payload(picture, {"enabeld": True}))
    assert status == 422 and "unknown setting enabeld: use enabled, tau_start" in body["detail"]


def _steps(job):
    [text] = {line.split("Noise Rectification steps: ")[1].split(",")[0] for line in job.infotexts}
    rectified, steps = text.split(" of ")
    return int(rectified), int(steps)


def test_previews_show_the_rectified_frames(host, picture):
    seen = []
    host.on_model_call = lambda k, x, level: seen.append(host.state.current_latent) if k else None
    rectify(host, picture)
    host.on_model_call = None
    clean = clean_latent(host, picture)
    assert len(seen) == 5
    for latent in seen:
        same(latent, clean)
