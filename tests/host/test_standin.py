"""The stand-in's own behaviour where a host's is easily got wrong; the traces and the contract test the rest."""

import base64
import io
import sys

import pytest
import torch
from PIL import Image
from standin import Host

PROBE = """
import functools
import gradio as gr
from modules import script_callbacks, scripts, shared

class Spy(scripts.Script):
    def title(self):
        return "Spy"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        with gr.Accordion("Spy", open=False):
            first = gr.Checkbox(False, label="First")
            second = gr.Slider(0, 1, 0.5, label="Second")
        self.infotext_fields = [(first, "Spy first"), (second, "Spy second")]
        return [first, second]

    def before_process(self, p, *args):
        self.seen = args
        if args[0] == "break":
            raise ValueError("broken hook")

    def process_batch(self, p, *args, **kwargs):
        if args[0] == "sampler":
            function = p.sampler.func

            @functools.wraps(function)
            def refused(*a, **k):
                from fastapi import HTTPException
                raise HTTPException(status_code=422, detail="refused")

            p.sampler.func = refused

    def on_mask_blend(self, p, mba, *args):
        shared.sd_model.host.blends = getattr(shared.sd_model.host, "blends", []) + [mba.is_final_blend]

script_callbacks.on_ui_settings(lambda: shared.opts.add_option("spy_option", shared.OptionInfo(3, "Spy")))
script_callbacks.on_extra_noise(lambda params: setattr(params, "noise", params.noise * 0))
"""


@pytest.fixture
def spy_script(tmp_path):
    path = tmp_path / "spy-extension" / "scripts" / "spy.py"
    path.parent.mkdir(parents=True)
    path.write_text(PROBE)
    return path


@pytest.fixture
def a1111(spy_script):
    with Host("a1111") as host:
        host.load_script(spy_script)
        yield host


@pytest.fixture
def payload(picture):
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return {
        "init_images": [base64.b64encode(stream.getvalue()).decode()],
        "steps": 4,
        "width": 64,
        "height": 64,
        "sampler_name": "Euler",
        "denoising_strength": 1.0,
    }


def _clean(x, level, host):
    return host.denoiser.init_latent[:1].expand_as(x)


@pytest.mark.parametrize("name", ["a1111", "a1111-1.8", "forge"])
def test_nothing_is_left_behind(name, picture, spy_script):
    import k_diffusion.sampling

    modules, path, names = set(sys.modules), list(sys.path), dict(vars(k_diffusion.sampling))
    with Host(name) as host:
        host.load_script(spy_script)
        host.img2img(picture, steps=3)
        assert vars(k_diffusion.sampling)["torch"] is not torch
    assert sys.path == path
    assert vars(k_diffusion.sampling) == names
    fake = {"modules", "scripts", "modules_forge"}
    assert not [module for module in set(sys.modules) - modules if module.partition(".")[0] in fake]


def test_a_second_host_has_modules_of_its_own(picture):
    with Host("a1111") as host:
        first = sys.modules["modules.shared"]
        assert host.flavour.version == "v1.10.1"
    with Host("forge"):
        assert sys.modules["modules.shared"] is not first
        assert "modules_forge.forge_sampler" in sys.modules


def test_a_hooks_exception_is_swallowed_and_reported(a1111, picture):
    job = a1111.img2img(picture, script_args={"Spy": ["break"]})
    assert len(job.images) == 4
    assert [str(exception) for _, exception in a1111.logs] == ["broken hook"]


def test_a_sampler_functions_exception_reaches_the_user_and_leaves_animatediff_injected(a1111, picture):
    with pytest.raises(Exception) as raised:
        a1111.img2img(picture, script_args={"Spy": ["sampler"]})
    assert raised.value.status_code == 422
    assert a1111.frames_are_connected()
    a1111.img2img(picture)
    assert not a1111.frames_are_connected()


def test_reload_ui_clears_callbacks_and_makes_scripts_anew(a1111, spy_script):
    from modules import script_callbacks

    count = len(script_callbacks.callback_map["callbacks_ui_settings"])
    before = a1111.script("Spy")
    a1111.load_script(spy_script)
    assert len(script_callbacks.callback_map["callbacks_ui_settings"]) == count
    assert a1111.script("Spy") is not before
    assert a1111.opts.spy_option == 3


def test_missing_arguments_take_the_controls_values(a1111, picture):
    a1111.img2img(picture, script_args={"Spy": [True]})
    assert a1111.script("Spy").seen == (True, 0.5)


def test_settings_are_overridden_for_one_job(a1111, picture):
    seen = []
    a1111.on_model_call = lambda k, x, level: seen.append(a1111.opts.img2img_fix_steps)
    a1111.img2img(picture, denoising_strength=0.5, override_settings={"img2img_fix_steps": True})
    assert len(seen) == 6 and all(seen)
    assert a1111.opts.img2img_fix_steps is False


def test_frames_keep_less_and_less_of_the_picture(a1111, picture):
    job = a1111.img2img(picture, frames=8, animatediff={"latent_scale": 8})
    latent = job.p.init_latent
    assert latent.shape == (8, 4, 8, 8)
    distances = (latent - latent[:1]).flatten(1).norm(dim=1)
    assert distances[1] > 0.5
    assert list(distances) == sorted(distances)


def test_the_end_picture_stays_in_the_last_frame(a1111, picture):
    end = Image.new("RGB", (64, 64), (255, 0, 0))
    latent = a1111.img2img(picture, animatediff={"last_frame": end}).p.init_latent
    red = torch.tensor([1.0, -1.0, -1.0, 0.0])[:, None, None].expand(4, 8, 8)
    assert torch.allclose(latent[-1], red, atol=0.02)


def test_the_picture_is_blended_again_for_every_batch(a1111, picture):
    latents = []
    a1111.on_model_call = lambda k, x, level: latents.append(a1111.denoiser.init_latent.clone())
    a1111.img2img(picture, steps=2, n_iter=2)
    first, last = latents[0], latents[-1]
    assert torch.equal(first[0], last[0])
    assert not torch.equal(first[1:], last[1:])


def test_a_motion_module_that_is_not_there_is_not_injected(a1111, picture):
    """Its exception is swallowed, and the job fails at the network: latents of a clip, prompts of one picture."""
    with pytest.raises(RuntimeError, match="must match the size"):
        a1111.img2img(picture, animatediff={"model": "missing.safetensors"})
    assert "Please download" in str(a1111.logs[0][1])
    assert not a1111.frames_are_connected()


@pytest.mark.parametrize("settings, fails", [({}, True), ({"pad_cond_uncond": True}, False)])
def test_prompts_of_unequal_length_need_padding(a1111, picture, settings, fails):
    if not fails:
        assert len(a1111.img2img(picture, prompt="word " * 80, override_settings=settings).images) == 4
        return
    with pytest.raises(IndexError):
        a1111.img2img(picture, prompt="word " * 80, override_settings=settings)


def test_prompts_composed_with_and(a1111, picture):
    rows = []
    from modules import script_callbacks

    script_callbacks.on_cfg_denoiser(lambda params: rows.append(len(params.x)))
    a1111.img2img(picture, prompt="a ball AND a square :0.5", animatediff=None, steps=2)
    assert rows == [12, 12]


def test_long_clips_run_in_contexts(a1111, picture):
    sizes = []

    def model(x, level, host):
        sizes.append(len(x))
        return _clean(x, level, host)

    a1111.model = model
    job = a1111.img2img(picture, steps=2, animatediff={"video_length": 10, "batch_size": 4, "overlap": 1})
    assert len(job.images) == 10
    assert set(sizes) == {4}


def test_a_clip_shorter_than_the_context_makes_a_whole_context(a1111, picture):
    assert len(a1111.img2img(picture, animatediff={"video_length": 2, "batch_size": 8}).images) == 8


def test_freeinit_samples_several_times_without_the_hook(a1111, picture):
    a1111.recorder = True
    job = a1111.img2img(picture, steps=2, animatediff={"freeinit_enable": True, "freeinit_iters": 3})
    names = [event[0] for event in job.events]
    assert names.count("sampler_func") == 3
    assert "process_before_every_sampling" not in names


@pytest.mark.parametrize("sampler", ["Euler", "DDIM"])
def test_protected_latents_stay(host, picture, sampler):
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    job = host.img2img(picture, sampler=sampler, mask=mask, mask_blur=0, inpainting_fill=1)
    protected = (slice(None), slice(None), slice(None), slice(4, None))
    assert torch.equal(job.latents[0][protected], job.p.init_latent[protected])


def test_scripts_see_every_blend(a1111, picture):
    mask = Image.new("L", (64, 64), 255)
    a1111.img2img(picture, steps=4, mask=mask, inpainting_fill=1)
    assert a1111.blends == [False] * 4 + [True]


def test_k_samplers_give_the_network_unmasked_states_and_timestep_samplers_masked_ones(a1111, picture):
    mask = Image.new("L", (64, 64))
    found = {}

    def model(x, level, host):
        found.setdefault("distance", (x - host.denoiser.init_latent).abs().max())
        return _clean(x, level, host)

    a1111.model = model
    for sampler, expected in (("Euler", False), ("DDIM", True)):
        found.clear()
        a1111.img2img(picture, sampler=sampler, mask=mask, mask_blur=0, inpainting_fill=1)
        assert (found["distance"] == 0) == expected


def test_timestep_samplers_start_one_level_too_high(a1111, picture):
    """Noised at the level of timestep 831, first called at 665."""
    seen = []
    a1111.on_model_call = lambda k, x, level: seen.append((x, level, a1111.sd_model.alphas_cumprod))
    job = a1111.img2img(picture, sampler="DDIM", steps=6, seed=1, animatediff=None)
    x, level, alphas_cumprod = seen[0]
    assert level == 665.0
    above = alphas_cumprod[831]
    noise = (x - above.sqrt() * job.p.init_latent) / (1 - above).sqrt()
    seeded = torch.randn((4, 8, 8), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(noise[0], seeded, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["a1111", "forge"])
def test_timestep_samplers_get_eps_from_the_model(name, picture):
    """Forge too: inside it works with σ and the clean latent, and hands eps out."""
    answers = []
    with Host(name) as host:
        host.model = _clean

        def remember(k, x, level):
            if k == 0:
                forward = type(host.denoiser).forward

                def watched(denoiser, state, timestep, **kwargs):
                    alpha_bar = host.sd_model.alphas_cumprod[int(timestep[0])]
                    answer = forward(denoiser, state, timestep, **kwargs)
                    clean = denoiser.init_latent[:1]
                    answers.append((answer, (state - alpha_bar.sqrt() * clean) / (1 - alpha_bar).sqrt()))
                    return answer

                host.denoiser.forward = watched.__get__(host.denoiser)

        host.on_model_call = remember
        host.img2img(picture, sampler="DDIM", steps=6)
    assert len(answers) == 3
    for answer, eps in answers:
        torch.testing.assert_close(answer, eps, rtol=1e-4, atol=1e-4)


def test_more_rows_than_the_job_has_frames_are_refused(a1111, picture):
    def double(k, x, level):
        denoiser = a1111.denoiser
        arguments = a1111.state.sampler_arguments
        a1111.on_model_call = None
        denoiser(torch.cat([x, x]), torch.full((8,), level), **arguments)

    a1111.on_model_call = double
    from modules import sd_samplers_kdiffusion

    original = sd_samplers_kdiffusion.CFGDenoiser.forward

    def forward(self, x, sigma, **kwargs):
        a1111.state.sampler_arguments = kwargs
        return original(self, x, sigma, **kwargs)

    sd_samplers_kdiffusion.CFGDenoiserKDiffusion.forward = forward
    with pytest.raises(RuntimeError, match="must match the size"):
        a1111.img2img(picture)


def test_noise_is_each_frames_own_and_has_the_jobs_rows(a1111, picture):
    noises = []

    def watch(k, x, level):
        import k_diffusion.sampling as sampling

        if k == 0:
            noises.append(sampling.torch.randn_like(torch.zeros(2, 1)))

    a1111.on_model_call = watch
    a1111.img2img(picture, frames=4, seed=1, animatediff=None)
    a1111.img2img(picture, frames=4, seed=2, animatediff=None)
    first, second = noises
    assert first.shape == (4, 4, 8, 8)
    assert torch.equal(first[1:], second[:-1])


def test_a_variation_seed_gives_all_frames_one_seed(a1111, picture):
    job = a1111.img2img(picture, seed=7, subseed=3, subseed_strength=0.2)
    assert job.p.all_seeds == [7] * 4
    assert job.p.all_subseeds == [3, 4, 5, 6]
    assert "Variation seed: 3" in job.infotexts[0]


def test_extra_noise_goes_through_the_callback(a1111, picture):
    """The spy's callback takes the noise away."""
    without = a1111.img2img(picture, animatediff=None)
    torch.manual_seed(0)
    job = a1111.img2img(picture, animatediff=None, override_settings={"img2img_extra_noise": 0.5})
    assert "Extra noise: 0.5" in job.infotexts[0]
    assert "Extra noise" not in without.infotexts[0]


def test_an_interrupt_returns_the_last_prediction(a1111, picture):
    a1111.on_model_call = lambda k, x, level: a1111.state.interrupt() if k == 2 else None
    job = a1111.img2img(picture)
    assert a1111.model_calls == 3
    assert len(job.images) == 4
    assert not a1111.state.interrupted


def test_cells_of_a_grid_are_copies_that_share_what_hangs_on_the_job(a1111, picture):
    cells = a1111.xyz(
        {"picture": picture},
        [[("Steps", "3")], [("Steps", "4"), ("[AnimateDiff] Latent scale", "64")], lambda p: setattr(p, "seed", 9)],
    )
    assert [cell.p.steps for cell in cells] == [3, 4, 6]
    assert [cell.p.seed for cell in cells] == [1, 1, 9]
    assert cells[0].p.extra_generation_params is cells[2].p.extra_generation_params
    assert all(len(cell.images) == 1 for cell in cells)


def test_a_nested_job_has_no_scripts(host, picture):
    host.nested_job_on_postprocess_image = True
    host.nested_job_frames = 4
    assert len(host.img2img(picture, steps=2).images) == 4
    assert len(host.nested_jobs) == 4
    assert all(job.scripts is None and len(job.standin_latents) == 1 for job in host.nested_jobs)


def test_the_uncond_answer_is_separate(a1111, picture):
    """CFG++ steps along the answer to the negative prompt."""
    a1111.model = _clean
    same = a1111.img2img(picture, sampler="DDIM CFG++", animatediff=None)
    a1111.uncond_model = lambda x, level, host: torch.zeros_like(x)
    other = a1111.img2img(picture, sampler="DDIM CFG++", animatediff=None)
    assert (same.latents[0] - other.latents[0]).abs().max() > 0.01
    guided = a1111.img2img(picture, sampler="Euler", animatediff=None)
    torch.testing.assert_close(guided.latents[0], guided.p.init_latent[:1].expand(4, -1, -1, -1), atol=1e-5, rtol=0)


def test_api_drops_extra_arguments_and_fills_missing_ones(a1111, payload):
    animatediff = {"args": [{"enable": True, "batch_size": 4}]}
    status, body = a1111.api_img2img(
        {**payload, "alwayson_scripts": {"Spy": {"args": [True, 0.1, "extra", 5]}, "AnimateDiff": animatediff}}
    )
    assert (status, len(body["images"])) == (200, 4)
    assert a1111.script("Spy").seen == (True, 0.1)
    a1111.api_img2img({**payload, "alwayson_scripts": {"Spy": {"args": [True]}, "AnimateDiff": animatediff}})
    assert a1111.script("Spy").seen == (True, 0.5)


def test_api_answers_with_the_exceptions_own_status(a1111, payload):
    status, body = a1111.api_img2img({**payload, "alwayson_scripts": {"Spy": {"args": ["sampler"]}}})
    assert (status, body["error"], body["detail"]) == (422, "HTTPException", "refused")
    status, body = a1111.api_img2img({**payload, "alwayson_scripts": {"Nobody": {"args": []}}})
    assert (status, body["detail"]) == (422, "Script 'Nobody' not found")

    def broken(x, level, host):
        raise KeyError("broken")

    a1111.model = broken
    status, body = a1111.api_img2img(payload)
    assert (status, body["error"], body["errors"]) == (500, "KeyError", "'broken'")


def test_an_infotext_is_read_back(a1111, picture):
    text = a1111.img2img(picture).infotexts[0].replace("Version", "Spy first: True, Spy second: 0.25, Version")
    assert [(component.label, value) for component, value in a1111.paste(text)] == [("First", True), ("Second", 0.25)]


def test_a_refiner_takes_the_motion_module_away(a1111, picture):
    from modules import sd_models

    sd_models.checkpoints_list["other"] = sd_models.CheckpointInfo("other")
    connected = []
    a1111.model = lambda x, level, host: connected.append(host.frames_are_connected()) or _clean(x, level, host)
    a1111.img2img(picture, refiner_checkpoint="other", refiner_switch_at=0.5)
    assert connected[0] and not connected[-1]
