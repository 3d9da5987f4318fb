"""The same script in Forge and reForge: exact facts, what their AnimateDiff does otherwise, and where it does nothing."""

import sys
import types
from types import SimpleNamespace

import k_diffusion.sampling
import pytest
import torch
from standin import used_host
from test_controlled_jobs import encoded, half
from test_controlled_jobs import near as nearly
from test_extension import (
    FROZEN,
    MASK,
    MOVING,
    SCRIPT,
    STOP_ABOVE_ZERO,
    _host,
    _steps,
    clean_latent,
    frozen_and_moving_are_exact,
    half_mask,
    payload,
    plain,
    plain_latents,
    rectify,
    same,
)

# Their samplers are those of AUTOMATIC1111, where each has its test: here those that differ in what they ask of the host.
SAMPLERS = [
    "Euler",
    "Euler a",
    "DPM++ 2M SDE",
    "DPM2 a",
    "Restart",
    "LCM",
    "DDIM",
    "PLMS",
    "UniPC",
    "DPM fast",
    "DPM adaptive",
]


@pytest.fixture(params=["forge", "reforge"])
def host(request):
    yield from _host(request.param)


@pytest.fixture
def forge():
    yield from _host("forge")


def levels_of(host):
    """The noise levels that the network has now, and the model's."""
    return host.sd_model.forge_objects.unet.model.model_sampling.sigmas.clone(), host.sd_model.alphas_cumprod.clone()


@pytest.mark.parametrize(
    "host, sampler",
    [*(("forge", name) for name in SAMPLERS), *(("reforge", name) for name in ("Euler a", "DPM++ 2M SDE", "DDIM"))],
    indirect=["host"],
)
def test_frozen_frames_and_a_moving_clips_first_are_the_picture(host, picture, sampler):
    frozen_and_moving_are_exact(host, picture, sampler)


@pytest.mark.parametrize("name, sampler", [("forge", "DPM++ 2M SDE"), ("forge", "DDIM"), ("reforge", "DDIM")])
def test_off_and_never_hit_change_no_bit(name, picture, sampler):
    with used_host(name) as bare:
        expected = plain(bare, picture, sampler=sampler)
    for settings in ({"enabled": False}, {**FROZEN, "tau_start": 0.5, "tau_end": 0.5}):
        with used_host(name, script=SCRIPT) as host:
            result = rectify(host, picture, settings, sampler=sampler)
        assert torch.equal(result.latents[0], expected.latents[0])
        assert [image.tobytes() for image in result.images] == [image.tobytes() for image in expected.images]


def test_nothing_of_ours_stays_in_what_the_host_keeps(host, picture):
    before = levels_of(host)
    job = rectify(host, picture, {**MOVING, "loop": True}, n_iter=2)
    for latents in job.latents:
        same(latents[0], clean_latent(host, picture)[0])
    for value in sum(host.sd_model.forge_objects.unet.model_options.values(), []):
        assert "lib_noiserect" not in str(getattr(value, "__module__", "")), value
    motion_module = host.script("AnimateDiff").before_process.__globals__["motion_module"].mm
    for module in (host.denoiser, *motion_module.modules()):
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert all(torch.equal(now, then) for now, then in zip(levels_of(host), before))


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM"])
def test_a_masks_protected_area_is_the_picture(host, picture, sampler):
    """On Forge the model sees it with fresh noise at each call, and samplers on timesteps step along that noise there."""
    job = rectify(host, picture, MOVING, sampler=sampler, mask=half_mask(), **MASK)
    clean = clean_latent(host, picture, sampler=sampler, mask=half_mask(), **MASK)
    latents = job.latents[0]
    same(latents[..., 4:], clean[..., 4:])
    assert (latents[1:, ..., :4] - clean[..., :4]).abs().max() > 0.02
    if sampler not in STOP_ABOVE_ZERO:
        same(latents[0], clean[0])


def test_soft_inpainting_has_its_say_where_the_host_asks_it(host, picture, monkeypatch):
    from modules import scripts

    asked = []
    monkeypatch.setattr(scripts.ScriptRunner, "on_mask_blend", lambda self, p, mba: asked.append(mba.is_final_blend))
    plain(host, picture, mask=half_mask(), **MASK)
    without = list(asked)
    asked.clear()
    rectify(host, picture, MOVING, mask=half_mask(), **MASK)
    assert without == ([True] if host.flavour.name == "forge" else [False] * 6 + [True])
    assert asked == [final for final in without for _ in range(1 if final else 2)]


def test_key_frames_the_dial_and_a_wanted_similarity(host, picture):
    last = picture.rotate(90)
    job = rectify(host, picture, {**MOVING, "key_frames": {"3": encoded(last)}}, sampler="Euler a")
    nearly(job.latents[0][3], clean_latent(host, last)[0])
    dial = {"enabled": True, "tau_end": 1, "omega": "motion"}
    assert torch.equal(rectify(host, picture, {**dial, "motion": 0}).latents[0], rectify(host, picture).latents[0])
    job = rectify(host, picture, {"enabled": True, "tau_end": 1, "target_ssim": 0.2}, sampler="Euler a", steps=10)
    assert "Noise Rectification found" in job.infotexts[0]
    masked = rectify(host, picture, {**MOVING, "motion_mask": encoded(half()), "mask_feather": 0}).latents[0]
    nearly(masked[..., :4], clean_latent(host, picture)[..., :4].expand(4, -1, -1, -1))


def test_a_window_by_noise_level_takes_the_levels_that_the_model_has(picture):
    """Forge's AnimateDiff gives the network linear betas, under samplers with the checkpoint's; reForge does not."""
    counts = {}
    for name, betas in {
        "forge": torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64),
        "reforge": torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2,
    }.items():
        alpha_bar = float((1 - betas).cumprod(0)[599])
        edge, levels = ((1 - alpha_bar) / alpha_bar) ** 0.5, []
        for host in _host(name):
            host.on_model_call = lambda call, x, level, levels=levels: levels.append(level)
            settings = {"enabled": True, "tau_end": 0.4, "tau_unit": "noise level", "omega": "constant"}
            counts[name] = _steps(rectify(host, picture, settings, steps=20))[0]
        assert counts[name] == sum(level > edge for level in levels)
    assert counts["forge"] != counts["reforge"]


def test_prompts_of_unequal_length_and_skipped_negative_prompts_are_its_own_affair(host, picture):
    """It fills up the shorter prompt itself, and takes a batch without the negative prompt."""
    options = {"prompt": "word " * 100, "s_min_uncond": 2.0}
    same(rectify(host, picture, **options).latents[0], clean_latent(host, picture))


def test_over_the_api_its_set_up_breaks_off_and_the_frames_are_there(host, picture):
    """At the built-in ControlNet's units, which each such job has; contexts are set by then."""
    torch.manual_seed(5)
    status, body = host.api_img2img(payload(picture, FROZEN))
    assert status == 200 and len(body["images"]) == 4
    assert "AnimateDiff's setup is incomplete" in body["info"]
    assert "Noise Rectification steps: 4 of 4" in body["info"]


REFUSED = {
    "AnimateDiff is off in this job": {"animatediff": None},
    "AnimateDiff did not load its motion module": {"animatediff": {"model": "missing"}},
    "AnimateDiff's setup failed: see": {"animatediff": {"fps": 0}},
    "AnimateDiff fails when Number of frames (3) is below Context batch size (4)": {"animatediff": {"video_length": 3}},
    "the prompt contains AND": {"prompt": "a ball AND a square"},
}


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.parametrize("is_api", [False, True], ids=["page", "api"])
def test_refusals_leave_nothing_behind(host, picture, message, is_api):
    before, expected = levels_of(host), plain_latents(host, picture)
    with pytest.raises(Exception) as caught:
        rectify(host, picture, is_api=is_api, **REFUSED[message])
    assert message in (caught.value.detail if is_api else str(caught.value))
    assert not is_api or caught.value.status_code == 422
    assert host.model_calls == 0
    assert all(torch.equal(now, then) for now, then in zip(levels_of(host), before))
    assert torch.equal(plain(host, picture).latents[0], expected)


def test_an_option_that_this_animatediff_does_not_have_is_its_failure(host, picture):
    plain(host, picture)  # its motion module is loaded by then
    status, body = host.api_img2img(
        payload(picture, FROZEN, alwayson_scripts={
            "AnimateDiff": {"args": [{"enable": True, "video_length": 4, "batch_size": 4, "freeinit_enable": True}]},
            "Noise Rectification": {"args": [FROZEN]},
        })
    )  # fmt: skip
    assert status == 422 and "AnimateDiff's setup failed" in body["detail"]


def test_an_error_in_the_middle_leaves_the_networks_own_levels(forge, picture):
    """The host puts AnimateDiff's into the network around the sampling, and takes them out only where that ends well."""
    before, seen = levels_of(forge), []

    def fail(call, x, level):
        seen.append(levels_of(forge)[0])
        raise RuntimeError("out of memory")

    forge.on_model_call = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        rectify(forge, picture, is_api=True)
    assert not torch.equal(seen[0], before[0])
    assert all(torch.equal(now, then) for now, then in zip(levels_of(forge), before))


def test_the_page_shows_a_refusal_and_leaves_other_errors_to_the_host(forge, picture):
    """It runs the job in a thread whose errors it does not see, and shows one of its own."""
    with pytest.raises(Exception) as caught:
        rectify(forge, picture, {"enabled": True, "tau_end": 1, "target_ssim": 1})
    assert type(caught.value).__name__ == "NoiseRectificationError" and "cannot be reached" in str(caught.value)

    def fail(call, x, level):
        raise RuntimeError("out of memory")

    forge.on_model_call = fail
    with pytest.raises(TypeError, match="NoneType"):
        rectify(forge, picture)


@pytest.mark.parametrize("settings", [FROZEN, {**FROZEN, "tau_start": 0.5, "tau_end": 0.5}], ids=["hit", "never hit"])
def test_where_the_motion_modules_are_never_called_the_first_call_ends_the_job(picture, settings):
    for host in _host("reforge-main"):
        with pytest.raises(Exception) as caught:
            rectify(host, picture, settings, is_api=True)
        assert caught.value.status_code == 422
        assert "its motion modules were not called" in caught.value.detail
        assert "Supported: AUTOMATIC1111 1.8.0 to 1.10.1, Forge 0.0.17 and the branch main-old" in caught.value.detail
        assert host.model_calls == 1
        assert len(plain(host, picture).images) == 4


def test_an_animatediff_that_fails_at_import_is_named(picture, tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "animatediff.py").write_text("from nowhere import nothing\n", encoding="utf-8")
    for host in _host("forge", animatediff=False):
        from modules import extensions

        for name, path in (("other", tmp_path / "other"), ("sd-forge-animatediff", tmp_path)):
            extensions.extensions.append(SimpleNamespace(name=name, path=str(path), enabled=True))
        with pytest.raises(Exception, match=r"AnimateDiff \(sd-forge-animatediff\) failed to load"):
            host.img2img(picture, script_args={"Noise Rectification": [FROZEN]}, animatediff=None)
        extensions.extensions[-1].enabled = False
        with pytest.raises(Exception, match="AnimateDiff extension is not installed or not active"):
            host.img2img(picture, script_args={"Noise Rectification": [FROZEN]}, animatediff=None)
        assert host.model_calls == 0


def test_a_loop_refuses_a_unit_with_a_picture_for_each_frame(forge, picture, monkeypatch):
    from modules_forge.unet_patcher import UnetPatcher

    hints = [torch.zeros(1, 3, 8, 8)]
    units = [SimpleNamespace(cond_hint_original=hints[0])]
    monkeypatch.setattr(UnetPatcher, "list_controlnets", lambda self: units)
    assert _steps(rectify(forge, picture, {**MOVING, "loop": True})) == (6, 6)
    units[0].cond_hint_original = torch.zeros(4, 3, 8, 8)
    with pytest.raises(Exception, match="ControlNet unit has an image for each frame"):
        rectify(forge, picture, {**MOVING, "loop": True})


@pytest.fixture
def second_copy(monkeypatch):
    """Forge's own copy of k-diffusion, whose `torch` the host leaves alone and whose default noise has a seed of its own."""
    copy = types.ModuleType("ldm_patched.k_diffusion.sampling")
    for name in ("ldm_patched", "ldm_patched.k_diffusion"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, copy.__name__, copy)

    def default_noise_sampler(x, seed=None):
        generator = torch.Generator().manual_seed(seed)
        return lambda sigma, sigma_next: torch.randn(x.size(), generator=generator)

    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None, noise_sampler=None):
        """LCM with the copy's noise, and some more by `randn_like`."""
        noise_sampler = noise_sampler or copy.default_noise_sampler(x, seed=3)
        for i in range(len(sigmas) - 1):
            x = model(x, sigmas[i].expand(len(x)), **(extra_args or {}))
            callback({"x": x, "i": i, "sigma": sigmas[i], "sigma_hat": sigmas[i], "denoised": x})
            fresh = (noise_sampler(sigmas[i], sigmas[i + 1]) + copy.torch.randn_like(x)) / 2**0.5
            x = x + sigmas[i + 1] * fresh
        return x

    sample.__module__ = copy.__name__
    vars(copy).update(torch=torch, default_noise_sampler=default_noise_sampler, sample=sample)
    return copy


def test_a_sampler_that_cannot_run_on_one_number_is_refused(forge, picture):
    """reForge's Dy samplers take the latent apart into squares of 2x2, for one."""
    from modules import sd_samplers, sd_samplers_common, sd_samplers_kdiffusion

    def sample(model, x, sigmas, extra_args=None, callback=None, disable=None):
        return x.reshape(x.shape[0], -1, 2, 2) + model(x, sigmas[0] * x.new_ones(len(x)), **(extra_args or {}))

    sd_samplers.all_samplers_map["Dy"] = sd_samplers_common.SamplerData(
        "Dy", lambda model: sd_samplers_kdiffusion.KDiffusionSampler(sample, model), [], {}
    )
    with pytest.raises(Exception, match="sampler 'Dy' cannot be followed .RuntimeError: .*: choose another sampler"):
        rectify(forge, picture, sampler="Dy")
    assert forge.model_calls == 0


def test_samplers_of_the_second_copy(forge, picture, second_copy):
    from modules import sd_samplers, sd_samplers_common, sd_samplers_kdiffusion

    config = sd_samplers_common.SamplerData(
        "LCM Karras", lambda model: sd_samplers_kdiffusion.KDiffusionSampler(second_copy.sample, model), [], {}
    )
    sd_samplers.all_samplers_map["LCM Karras"] = config
    job = rectify(forge, picture, sampler="LCM Karras")
    same(job.latents[0], clean_latent(forge, picture, sampler="LCM Karras"))
    assert second_copy.torch is torch and k_diffusion.sampling.torch is not torch
    found = rectify(forge, picture, {"enabled": True, "tau_end": 1, "target_ssim": 0.2}, sampler="LCM Karras")
    assert "Noise Rectification found" in found.infotexts[0]
