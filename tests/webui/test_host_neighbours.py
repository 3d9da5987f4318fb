"""What other extensions do to a job, and what each motion module cannot do, in the stand-in of the web UI."""

import copy
from types import SimpleNamespace

import pytest
import torch
from test_extension import FROZEN, MOVING, SCRIPT, clean_latent, plain, rectify, same

NO_PAIRS = {"batch_cond_uncond": False}


@pytest.fixture
def host():
    from standin import used_host

    with used_host("a1111", script=SCRIPT) as host:
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"


@pytest.fixture
def neighbour(host, monkeypatch):
    """Sets a hook of another extension, which comes after ours."""
    of_class = type(host.script("Nested job"))

    def sets(name, hook):
        monkeypatch.setattr(of_class, name, lambda self, *args, **kwargs: hook(*args, **kwargs), raising=False)

    return sets


def steps_of(job):
    return [text.split("Noise Rectification steps: ")[1].split(",")[0] for text in job.infotexts]


@pytest.mark.parametrize("n_iter", [1, 2])
@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "UniPC"])
def test_a_sampler_that_another_extension_puts_in_place_is_rectified_too(host, picture, neighbour, sampler, n_iter):
    """Dynamic thresholding makes a sampler with a denoiser of its own for each batch, after the host has made one."""
    from modules import sd_samplers

    made = []

    def process_batch(p, **kwargs):
        p.sampler = sd_samplers.create_sampler(sampler, p.sd_model)
        made.append(p.sampler)

    neighbour("process_batch", process_batch)
    job = rectify(host, picture, sampler=sampler, n_iter=n_iter)
    assert len(job.latents) == len(made) == n_iter and job.sampler is made[-1]
    clean = clean_latent(host, picture, sampler=sampler)
    for latents in job.latents:
        if sampler == "UniPC":
            assert (latents - clean).square().mean().sqrt() < 0.06  # its floor
        else:
            same(latents, clean)
    assert set(steps_of(job)) == {"5 of 5" if sampler == "UniPC" else "6 of 6"}
    assert all("sample_img2img" not in sampler.__dict__ for sampler in made) and "sample" not in job.p.__dict__


def test_freeinits_own_way_of_sampling_is_put_back(host, picture):
    job = rectify(host, picture, animatediff={"freeinit_enable": True, "freeinit_iters": 2})
    assert job.p.sample.__func__ is not type(job.p).sample and not hasattr(job.p.sample, "__wrapped__")


@pytest.mark.parametrize("is_api", [False, True])
def test_a_job_that_another_extension_samples_without_the_sampler_is_no_plain_one(host, picture, neighbour, is_api):
    before = plain(host, picture).latents[0]

    def process_batch(p, **kwargs):
        p.sampler.sample_img2img = lambda p, x, noise, *args, **kwargs: x

    neighbour("process_batch", process_batch)
    with pytest.raises(Exception) as caught:
        rectify(host, picture, is_api=is_api)
    message = caught.value.detail if is_api else str(caught.value)
    assert "another extension sampled this job by other means, so nothing was rectified: turn it off" in message
    assert not host.frames_are_connected()
    neighbour("process_batch", lambda p, **kwargs: None)
    assert torch.equal(plain(host, picture).latents[0], before)


def test_a_sampler_that_is_not_built_like_the_hosts_is_refused(host, picture, neighbour):
    def process_batch(p, **kwargs):
        p.sampler = object()

    neighbour("process_batch", process_batch)
    with pytest.raises(
        Exception, match="sampler 'Euler' differs from the web UI's own samplers: choose another sampler"
    ):
        rectify(host, picture)
    assert host.model_calls == 0 and not host.frames_are_connected()


def test_hooks_called_on_copies_of_the_job_do_not_end_it(host, picture, neighbour):
    """ADetailer takes AnimateDiff out before the first frame of each batch and has it put in again after the last, by
    calling the hooks of all scripts with copies of the job."""
    from modules.processing_results import Processed

    def postprocess_image(p, pp, *args):
        if p.batch_index == 0:
            p.scripts.postprocess(copy.copy(p), Processed(p, [], p.seed, ""))
            assert not host.frames_are_connected()
        if p.batch_index == p.batch_size - 1:
            again = copy.copy(p)
            p.scripts.before_process(again)
            p.scripts.process(again)

    neighbour("postprocess_image", postprocess_image)
    job = rectify(host, picture, n_iter=3)
    assert not host.frames_are_connected()
    for latents in job.latents:
        same(latents, clean_latent(host, picture))
    assert steps_of(job) == ["6 of 6"] * 12
    assert "_noise_rectification_session" not in job.p.__dict__ and "sample" not in job.p.__dict__


def test_a_copy_that_is_run_is_a_job_of_its_own(host, picture, neighbour):
    from modules.processing import process_images

    copies = []

    def postprocess_image(p, pp, *args):
        if not copies:
            copies.append(copy.copy(p))
            copies[0].seed = 77
            process_images(copies[0])

    neighbour("postprocess_image", postprocess_image)
    job = rectify(host, picture, MOVING)
    [other] = copies
    clean = clean_latent(host, picture)
    neighbour("postprocess_image", lambda p, pp, *args: None)
    assert torch.equal(job.latents[0], rectify(host, picture, MOVING).latents[0]), "the copy has not sampled the job"
    latents = other.standin_latents[-1]
    assert (latents[0] - clean[0]).abs().max() < 0.02 and (latents[1:] - job.latents[0][1:]).abs().max() > 0.02


def test_a_context_longer_than_the_module_knows_is_refused(host, picture):
    def refused(model, frames):
        with pytest.raises(
            Exception, match=rf"Context batch size is {frames} and the motion module supports \d+ frames"
        ) as caught:
            rectify(host, picture, frames=frames, animatediff={"model": model})
        assert host.model_calls == 0 and not host.frames_are_connected()
        return str(caught.value)

    assert "set Context batch size to 24 or lower" in refused("mm_sd15_v1.safetensors", 25)
    assert "set Context batch size to 32 or lower" in refused("mm_sd15_v3.safetensors", 33)
    for model, frames in (("mm_sd15_v1.safetensors", 24), ("mm_sd15_v2.safetensors", 32)):
        job = rectify(host, picture, frames=frames, animatediff={"model": model}, steps=2)
        same(job.latents[0], clean_latent(host, picture, frames=frames))


@pytest.mark.parametrize("frames", [4, 5])
def test_v1_and_an_odd_number_of_frames(host, picture, frames):
    """Its normalisation splits the network's batch in two: prompt and negative prompt, if both are in it."""
    animatediff = {"model": "mm_sd15_v1.safetensors"}
    job = rectify(host, picture, frames=frames, animatediff=animatediff)
    same(job.latents[0], clean_latent(host, picture, frames=frames))
    assert not job.comments
    if frames % 2:
        with pytest.raises(Exception, match=r"fail on an odd Context batch size \(5\): .*Batch cond/uncond"):
            rectify(host, picture, frames=frames, animatediff=animatediff, override_settings=dict(NO_PAIRS))
        assert host.model_calls == 0 and not host.frames_are_connected()
    else:
        job = rectify(host, picture, frames=frames, animatediff=animatediff, override_settings=dict(NO_PAIRS))
        assert any("treat the halves of a video as two videos" in comment for comment in job.comments)
        assert "Noise Rectification warning: " in job.infotexts[0]
        job = rectify(host, picture, frames=frames, override_settings=dict(NO_PAIRS))
        assert not job.comments


def test_settings_that_another_extension_sets_for_the_job_are_those_that_count(host, picture, neighbour):
    """Regional prompter sets Batch cond/uncond back in each job's `process`, which may come after ours."""
    from modules import shared

    job = {"frames": 5, "animatediff": {"model": "mm_sd15_v1.safetensors"}}
    neighbour("process", lambda p, *args: setattr(shared.opts, "batch_cond_uncond", True))
    done = rectify(host, picture, override_settings=dict(NO_PAIRS), **job)
    same(done.latents[0], clean_latent(host, picture, frames=5))
    assert not done.comments
    neighbour("process", lambda p, *args: setattr(shared.opts, "batch_cond_uncond", False))
    with pytest.raises(Exception, match=r"fail on an odd Context batch size \(5\)"):
        rectify(host, picture, **job)
    assert host.model_calls == 0 and not host.frames_are_connected()


def test_a_clip_shorter_than_the_context_is_warned_of(host, picture):
    job = rectify(host, picture, frames=4, animatediff={"batch_size": 8})
    [comment] = job.comments
    assert (
        "Number of frames is 4 and Context batch size is 8: AnimateDiff then generates 8 frames" in comment
        and "Set Context batch size to 4" in comment
    )
    assert not rectify(host, picture, frames=4, animatediff={"batch_size": 4}).comments
    assert not rectify(host, picture, animatediff={"batch_size": 4, "video_length": 0}).comments


LONG = "word " * 100


def lengths(prompts, negatives):
    """The sampler's arguments for prompts and negative prompts, each a schedule of (end, words) pairs."""
    from modules.prompt_parser import (
        ComposableScheduledPromptConditioning,
        MulticondLearnedConditioning,
        ScheduledPromptConditioning,
    )

    def schedules(given):
        return [[ScheduledPromptConditioning(end, torch.zeros(rows, 4)) for end, rows in entry] for entry in given]

    batch = [[ComposableScheduledPromptConditioning(schedule)] for schedule in schedules(prompts)]
    return {"cond": MulticondLearnedConditioning((len(batch),), batch), "uncond": schedules(negatives)}


@pytest.mark.parametrize("fits, prompts, negatives", [
    (True, [[(6, 77)], [(6, 77)]], [[(6, 77)], [(6, 77)]]),
    (True, [[(6, 77)], [(6, 154)]], [[(6, 154)], [(6, 154)]]),  # a travelling prompt: the host makes the first longer
    (False, [[(6, 77)], [(6, 154)]], [[(6, 77)], [(6, 77)]]),
    (False, [[(3, 77), (6, 154)]], [[(6, 77)]]),
    (True, [[(3, 77), (6, 154)]], [[(3, 77), (6, 154)]]),
    (False, [[(3, 77), (6, 154)]], [[(2, 77), (6, 154)]]),
])  # fmt: skip
def test_prompts_have_to_be_as_long_as_negative_prompts_in_each_step(host, fits, prompts, negatives):
    from lib_noiserect.webui.compatibility import check_prompts
    from lib_noiserect.webui.errors import NoiseRectificationError

    given = lengths(prompts, negatives)
    if fits:
        check_prompts(given, SimpleNamespace(patches=False))
    else:
        with pytest.raises(NoiseRectificationError, match=r"differ in length \(77 and 154 tokens\)"):
            check_prompts(given, SimpleNamespace(patches=False))


def test_the_neighbours_settings_stay_what_they_are(host, picture):
    """Frozen and off in turn beside v1: what its module makes of the network is undone each time."""
    before = plain(host, picture).latents[0]
    rectify(host, picture, FROZEN, animatediff={"model": "mm_sd15_v1.safetensors"})
    assert torch.equal(plain(host, picture).latents[0], before)


class Unreadable(dict):
    def items(self):
        raise RuntimeError("no items")


@pytest.mark.parametrize("notes, message", [
    ({7: "seven"}, None),
    (Unreadable(note="one"), r"could not be prepared \(RuntimeError: no items\)"),
], ids=["odd", "unreadable"])  # fmt: skip
def test_notes_of_other_extensions_make_no_plain_job(host, picture, neighbour, notes, message):
    """They stand in `extra_generation_params`, which our first hook reads; the host swallows what a hook raises."""
    neighbour("before_process", lambda p, *args: setattr(p, "extra_generation_params", notes))
    if message is None:
        same(rectify(host, picture).latents[0], clean_latent(host, picture))
        return
    with pytest.raises(Exception, match=message):
        rectify(host, picture)
    assert host.model_calls == 0 and not host.frames_are_connected()


@pytest.mark.parametrize("settings", [FROZEN, {**FROZEN, "create": True}], ids=["rectified", "created"])
def test_an_error_before_a_batch_makes_no_plain_job(host, picture, neighbour, settings):
    class Nameless:
        def __getattr__(self, name):
            raise RuntimeError(f"no {name}")

    neighbour("before_process_batch", lambda p, *args, **kwargs: setattr(p, "sample", Nameless()))
    with pytest.raises(Exception, match=r"could not be prepared \(RuntimeError: no __name__\)"):
        rectify(host, picture, settings)
    assert host.model_calls == 0 and not host.frames_are_connected()


def test_an_init_of_another_extension_that_skips_ours_makes_no_plain_job(host, picture, neighbour):
    neighbour("process", lambda p, *args: setattr(p, "init", lambda *args: type(p).init(p, *args)))
    with pytest.raises(Exception, match="another extension has replaced p.init"):
        rectify(host, picture)
    assert host.model_calls == 0 and not host.frames_are_connected()
