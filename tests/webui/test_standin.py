"""The stand-in's own behaviour where a host's is easily got wrong: loading, hooks, AnimateDiff, API, grids."""

import sys

import pytest
import torch
from PIL import Image
from standin import Host


@pytest.mark.parametrize("name", ["a1111", "a1111-1.8", "forge"])
def test_nothing_is_left_behind(name, picture, spy_script):
    import k_diffusion.sampling

    modules, path, names = set(sys.modules), list(sys.path), dict(vars(k_diffusion.sampling))
    with Host(name, script=spy_script) as host:
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
    assert "missing.safetensors is not among" in str(a1111.logs[0][1])
    assert not a1111.frames_are_connected()


def test_a_clip_shorter_than_the_context_makes_a_whole_context(a1111, picture):
    assert len(a1111.img2img(picture, animatediff={"video_length": 2, "batch_size": 8}).images) == 8


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
    pasted = [(component.label, value) for component, value in a1111.paste(text) if value is not None]
    assert pasted == [("First", True), ("Second", 0.25)], "the host leaves a control alone whose value is None"
