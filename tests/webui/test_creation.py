"""Clips created through a picture (I4VGen) in the stand-in of the web UI: stages, exact facts, every way out, the API."""

import base64
import io
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from standin import toy, used_host
from test_extension import SCRIPT, _nothing_is_left

from lib_noiserect.core.noise import noise_order
from lib_noiserect.core.settings import FIELDS, Settings

TITLE = "Noise Rectification"
STEPS, FRAMES = 6, 4
UPDATES = 4  # int(6·0.6) + 1
LOOKS = 4
STAGES = {"candidates": 0, "choice": STEPS, "animation": STEPS + LOOKS, "regeneration": STEPS + LOOKS + UPDATES}
CREATE = {"create": True, "tau_end": 1.0}
everywhere = pytest.mark.parametrize("host", ["a1111", "forge", "reforge"], indirect=True)


def nearly_the_prior(x, level, host):
    """What the model answers to the negative prompt, so that candidates have scores."""
    return 0.9 * toy.prior(x, level, host)


_plain = {}
"""A plain job of each host as it starts."""


@pytest.fixture(params=["a1111"])
def host(request):
    if request.param not in _plain:
        with used_host(request.param, script=SCRIPT) as host:
            host.uncond_model = nearly_the_prior
            _plain[request.param] = host.txt2img()
    with used_host(request.param, script=SCRIPT) as host:
        host.uncond_model = nearly_the_prior
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"
        _nothing_is_left(host)


def create(host, settings=None, **job):
    return host.txt2img(script_args={TITLE: [settings or CREATE]}, **job)


def watched(host, job):
    """(frames, level, whether the frames are connected) of each model call of `job()`."""
    seen = []
    host.on_model_call = lambda call, x, level: seen.append((len(x), level, host.frames_are_connected()))
    try:
        job()
    finally:
        host.on_model_call = None
    return seen


def linear_alphas():
    return (1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)).cumprod(0)


def candidates_of(host, **job):
    """All candidates of a job, as pictures."""
    return create(host, {"create": True, "scorer": "pick"}, **job).processed.images


def told(text, key):
    found = re.search(rf'{TITLE} {key}: ("[^"]*"|[^,\n]+)', text)
    return found and found[1].strip('"')


def unchanged(host):
    """The next plain job is as in a host that has just started, and the motion module is out."""
    after, before = host.txt2img(), _plain[host.flavour.name]
    assert torch.equal(after.latents[0], before.latents[0]) and after.infotexts == before.infotexts
    assert not motion_is_left(host)


def motion_is_left(host):
    """Forge's network keeps the patches of a sampling until the next one begins."""
    return host.frames_are_connected() and not host.flavour.is_forge


# The stages.


@pytest.mark.parametrize(
    "host, sampler, calls_a_step",
    [
        *(("a1111", *kind) for kind in (("Euler a", 1), ("DDIM", 1), ("Heun", 2))),
        ("forge", "Euler", 1), ("forge", "DDIM", 1), ("reforge", "Euler", 1), ("reforge", "DDIM", 1),
    ],
    indirect=["host"],
)  # fmt: skip
def test_the_order_of_the_stages(host, sampler, calls_a_step):
    jobs = []
    seen = watched(host, lambda: jobs.append(create(host, sampler=sampler)))
    own = [call for call in seen[:-UPDATES] if not call[2]]
    assert all(frames == FRAMES for frames, _, _ in seen)
    made = len(own) - LOOKS
    assert [connected for _, _, connected in seen] == [False] * len(own) + [True] * (len(seen) - len(own))
    timesteps = [round(999 * look) for look in (0.9, 0.7, 0.5, 0.3)]
    alphas = linear_alphas() if host.flavour.applies_alphas_modifiers else host.sd_model.alphas_cumprod.double()
    near_levels(sampler, [level for _, level, _ in seen[made : made + LOOKS]], timesteps, alphas)
    spacing = 1000 // STEPS
    animated = [level for _, level, _ in seen[len(own) :][:UPDATES]]
    near_levels(sampler, animated, [spacing * k + 1 for k in (5, 4, 3, 2)], alphas)
    anew = len(seen) - len(own) - UPDATES
    assert made in (calls_a_step * STEPS, calls_a_step * STEPS - 1, STEPS + 1) and abs(made - anew) <= 2
    calls = f"candidates {made}, choice {LOOKS}, animation {UPDATES}, regeneration {anew}"
    assert told(jobs[0].infotexts[0], "calls") == calls


def near_levels(sampler, levels, timesteps, alphas):
    """By the motion modules' own noise schedule, but in reForge, which leaves the checkpoint's."""
    expected = timesteps if sampler == "DDIM" else [math.sqrt((1 - alphas[t]) / alphas[t]) for t in timesteps]
    assert levels == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "DDIM"])
def test_candidates_are_the_pictures_of_their_seeds(host, sampler):
    """As the host makes them with the motion modules' noise schedule and without these."""
    found = candidates_of(host, sampler=sampler)
    own = host.sd_model.alphas_cumprod
    with_motion = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000), 0)  # in AnimateDiff's own precision
    host.sd_model.alphas_cumprod = host.sd_model.alphas_cumprod_original = with_motion
    try:
        alone = [host.txt2img(animatediff=None, frames=1, seed=1 + n, sampler=sampler).images[0] for n in range(FRAMES)]
    finally:
        host.sd_model.alphas_cumprod = host.sd_model.alphas_cumprod_original = own
    assert [image.tobytes() for image in found] == [image.tobytes() for image in alone]


@pytest.mark.parametrize("rectified", [True, False])
def test_the_animation_is_an_independent_loop(host, rectified):
    """The authors' own form, z ← z - λ(1-ᾱ)(ε̂ - ε), in float64; the job is stopped when it is done."""
    number = 2
    settings = {**CREATE, "enabled": rectified, "scorer": "pick", "pick": number}

    def stop(call, x, level):
        host.state.skipped = call == STEPS + UPDATES

    host.uncond_model, host.on_model_call = None, stop
    job = create(host, settings, cfg_scale=1)
    host.on_model_call = None
    rng = rng_of(host)
    first, _, noise = (rng.next().double() for _ in range(3))
    model = SimpleNamespace(scales=lambda level: (1.0, level), frames_are_connected=lambda: False)
    alphas = linear_alphas()
    x = first[number : number + 1]  # the candidate: Euler by hand
    sigmas = host.txt2img(animatediff={}, steps=STEPS).sampler.get_sigmas(job.p, STEPS)
    table = ((1 - alphas) / alphas).sqrt()
    t = torch.linspace(999, 0, STEPS, dtype=torch.float64)
    logs = table.log()
    sigmas = [float(torch.lerp(logs[int(s)], logs[min(int(s) + 1, 999)], s - int(s)).exp()) for s in t] + [0.0]
    x = x * sigmas[0]
    for now, after in zip(sigmas, sigmas[1:]):
        x = x + (after - now) * (x - toy.prior(x, now, model)) / now
    model.frames_are_connected = lambda: True
    clip = x.expand(FRAMES, -1, -1, -1).clone()
    for k, size in zip((5, 4, 3, 2), (10, 10, 10, 1)):
        alpha = alphas[1000 // STEPS * k + 1]
        sigma = float(((1 - alpha) / alpha).sqrt())
        predicted = toy.prior(clip + sigma * noise, sigma, model)
        predicted_noise = (clip + sigma * noise - predicted) / sigma
        step = size * (1 - alpha) * (predicted_noise - noise)
        if rectified:
            step = step - step[:1]
        # The authors' ε̂ is of a VP state; that of the VE state √ᾱ times as large is the same.
        clip = clip - step * alpha.sqrt() / alpha.sqrt()
    torch.testing.assert_close(job.latents[0].double(), clip, rtol=1e-5, atol=1e-5)
    assert not rectified or torch.equal(job.latents[0][0], anchor_of(host, settings, number)[0])


def rng_of(host, seed=1, frames=FRAMES):
    from modules import rng

    return rng.ImageRNG((4, 8, 8), [seed + n for n in range(frames)])


def anchor_of(host, settings, number):
    """The latent of a candidate: a job without animation that is stopped before its clip is made anew."""

    def stop(call, x, level):
        host.state.skipped = call == STEPS

    host.on_model_call = stop
    job = create(host, {**settings, "animation_share": 0, "scorer": "pick", "pick": number}, cfg_scale=1)
    host.on_model_call = None
    return job.latents[0]


@pytest.mark.parametrize(
    "host, sampler",
    [
        *(("a1111", sampler) for sampler in ("Euler", "DPM++ 2M SDE", "Restart")),
        ("forge", "DPM++ 2M SDE"), ("reforge", "Euler a"),
    ],
    indirect=["host"],
)  # fmt: skip
def test_frame_0_is_the_candidate(host, sampler):
    job = create(host, sampler=sampler)
    candidate = job.processed.images[FRAMES + 1 :][int(told(job.infotexts[0], "candidate"))]
    frame = job.images[0]
    assert np.abs(np.asarray(frame).astype(int) - np.asarray(candidate)).max() <= 1
    assert np.abs(np.asarray(job.images[2]).astype(int) - np.asarray(candidate)).mean() > 1
    assert told(job.infotexts[0], "steps").split(" of ")[0] != "0"


@everywhere
def test_the_best_scored_is_taken_and_the_same_alone_becomes_the_same_clip(host):
    host.uncond_model = lambda x, level, host: 0.2 * toy.prior(x, level, host)
    job = create(host, sampler="Euler a")
    comment = next(text for text in job.comments if "by the scores" in text)
    scores = [float(score) for score in re.findall(r"\d: (-?[\d.]+)", comment)]
    assert len(scores) == FRAMES and len(set(scores)) > 1
    number = scores.index(max(scores))
    assert told(job.infotexts[0], "candidate") == str(number) == re.search(r"candidate (\d) chosen", comment)[1]
    assert told(job.infotexts[0], "score") == f"{scores[number]:.4f}"
    alone = create(host, {**CREATE, "scorer": "pick", "pick": number}, sampler="Euler a")
    assert torch.equal(alone.latents[0], job.latents[0])
    again = create(host, sampler="Euler a")
    assert torch.equal(again.latents[0], job.latents[0]) and again.infotexts == job.infotexts


@everywhere
def test_scores_by_hand(host):
    """How much better the prompt denoises: the model answers z with it, and z plus an offset of each candidate without it."""
    offsets = torch.tensor([0.4, 0.1, 0.5, 0.2]).view(-1, 1, 1, 1)
    host.uncond_model = lambda x, level, host: (
        host.model(x, level, host) + (offsets[: len(x)] if not host.frames_are_connected() else 0)
    )
    job = create(host, {**CREATE, "animation_share": 0}, cfg_scale=1)
    assert told(job.infotexts[0], "candidate") == "2"


def test_who_has_no_taste_takes_the_first(host):
    host.uncond_model = None
    assert told(create(host).infotexts[0], "candidate") == "0"


@pytest.mark.parametrize("count, calls", [(2, [2]), (9, [4, 4, 1]), (1, [1])])
def test_as_many_candidates_as_one_wants(host, count, calls):
    seen = watched(host, lambda: create(host, {**CREATE, "candidates": count, "scorer": "pick"}))
    assert [frames for frames, _, _ in seen] == [rows for rows in calls for _ in range(STEPS)]
    one = watched(host, lambda: create(host, {**CREATE, "candidates": count}))
    looks = 0 if count == 1 else LOOKS * len(calls)
    assert len(one) == STEPS * len(calls) + looks + UPDATES + STEPS


def test_the_authors_variant(host):
    job = create(host, {**CREATE, "enabled": False})
    candidate = job.processed.images[FRAMES + 1 :][int(told(job.infotexts[0], "candidate"))]
    assert np.abs(np.asarray(job.images[0]).astype(int) - np.asarray(candidate)).mean() > 1
    assert told(job.infotexts[0], "steps") is None and told(job.infotexts[0], "enabled") == "False"


@pytest.mark.parametrize("regeneration, steps", [(1.0, 6), (0.5, 4), (0.05, 1)])
def test_the_regenerations_strength(host, regeneration, steps):
    seen = watched(host, lambda: create(host, {**CREATE, "regeneration": regeneration}))
    assert len(seen) == STAGES["regeneration"] + steps


def test_a_prompt_that_travels_begins_with_the_picture_of_its_first_frame(host):
    travel = "a boat\n0: sails\n2: sinks"
    plain = candidates_of(host, prompt="a boat")
    assert len(candidates_of(host, prompt=travel)) == len(plain) == FRAMES


def test_long_clips(host):
    """Twice the context: 8 candidates in one go, and the animation's noise repeats that of the first context."""
    xs = []
    host.on_model_call = lambda call, x, level: xs.append(x.clone())
    job = create(host, {**CREATE, "candidates": 2}, frames=8, animatediff={"batch_size": 4})
    host.on_model_call = None
    first = xs[STEPS + LOOKS]
    noise = first - first.mean(0)  # z is the same in all frames
    order = noise_order(8, 4)
    torch.testing.assert_close(noise, noise[order], rtol=1e-4, atol=1e-4)
    assert len(job.latents[0]) == 8


def test_a_loop(host):
    job = create(host, {**CREATE, "loop": True}, steps=5)
    assert len(job.latents[0]) == FRAMES and told(job.infotexts[0], "loop") == "True"


@everywhere
def test_every_batch_has_its_own_picture(host):
    job = create(host, n_iter=2)
    assert len(job.latents) == 2 and not torch.equal(job.latents[0], job.latents[1])
    single = create(host, seed=1 + FRAMES)
    assert torch.equal(single.latents[0], job.latents[1])


def test_progress_only_ever_grows(host):
    for settings in ({**CREATE, "candidates": 9}, {**CREATE, "scorer": "pick"}, {**CREATE, "animation_share": 0}):
        places = []

        def look(call, x, level, places=places):
            state = host.state
            places.append((state.job_no + state.sampling_step / max(state.sampling_steps, 1)) / state.job_count)

        host.on_model_call = look
        create(host, settings, n_iter=2)
        host.on_model_call = None
        assert places == sorted(places) and places[0] == 0 and 0.6 < places[-1] < 1, settings


# One's own picture.


@pytest.mark.parametrize(
    "host, sampler",
    [("a1111", "Euler"), ("a1111", "DDIM"), ("forge", "Euler a"), ("forge", "DDIM"), ("reforge", "Euler a")],
    indirect=["host"],
)
def test_ones_own_picture_is_animated(host, picture, sampler):
    jobs = []

    def job():
        torch.manual_seed(5)
        jobs.append(host.img2img(picture, script_args={TITLE: [{**CREATE, "regeneration": 1.0}]}, sampler=sampler))

    seen = watched(host, job)
    assert [connected for _, _, connected in seen] == [True] * len(seen)
    assert told(jobs[0].infotexts[0], "calls") == f"animation {UPDATES}, regeneration {len(seen) - UPDATES}"
    assert "Denoising strength: 1.0" in jobs[0].infotexts[0]
    if sampler != "DDIM":
        shown = np.asarray(jobs[0].images[0]).astype(int)
        blocks = np.asarray(picture.resize((8, 8), Image.Resampling.BOX)).astype(int)
        assert np.abs(np.asarray(jobs[0].images[0].resize((8, 8), Image.Resampling.BOX)) - blocks).max() <= 4
        assert np.abs(np.asarray(jobs[0].images[2]) - shown).mean() > 1


def test_the_accordion_of_img2img_is_the_switch(host, picture):
    """In the tab, what is ticked in a closed accordion does not count."""
    values = {**{name: row.default for name, row in FIELDS.items()}, "create": True}
    torch.manual_seed(5)
    off = host.img2img(picture, script_args={TITLE: [*values.values(), None, None, False]})
    torch.manual_seed(5)
    assert torch.equal(off.latents[0], host.img2img(picture).latents[0])
    on = host.img2img(picture, script_args={TITLE: [*{**values, "enabled": True}.values(), None, None, False]})
    assert told(on.infotexts[0], "calls")


# Candidates: alone, in the gallery, saved.


@everywhere
def test_candidates_alone_end_the_job(host, tmp_path):
    job = create(host, {"create": True, "scorer": "pick"}, n_iter=2, outpath_samples=str(tmp_path))
    assert len(job.processed.images) == 2 * FRAMES and job.processed.index_of_first_image == 0
    seeds = [re.search(r"Seed: (\d+)", text)[1] for text in job.processed.infotexts[: 2 * FRAMES]]
    assert seeds == ["1"] * FRAMES + [str(1 + FRAMES)] * FRAMES
    numbers = [told(text, "candidate") for text in job.processed.infotexts[: 2 * FRAMES]]
    assert numbers == ["0", "1", "2", "3"] * 2
    assert any("the job ends with its 4 candidates" in text for text in job.comments)
    saved = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert len(saved) == 2 * FRAMES and all("-candidate-" in name for name in saved), "no clip"
    assert not motion_is_left(host)


@pytest.mark.parametrize("number", [0, FRAMES - 1])
def test_the_infotext_of_a_candidate_makes_the_clip_of_the_same_still(host, number):
    """Pasted in txt2img: the same picture, to the byte, since each is made as if it were alone."""
    shown = create(host, {"create": True, "scorer": "pick", "tau_end": 1.0}, sampler="Euler a").processed
    pasted = dict(host.paste(shown.infotexts[number], is_img2img=False))
    controls = host.script(TITLE, is_img2img=False).controls
    job = host.txt2img(script_args={TITLE: [pasted[control] for control in controls]}, sampler="Euler a")
    still = job.processed.images[FRAMES + 1]
    assert still.tobytes() == shown.images[number].tobytes()
    assert told(job.infotexts[0], "candidate") == str(number)


def test_the_gallery_shows_the_candidates_behind_the_clip_with_their_scores(host, tmp_path):
    job = create(host, outpath_samples=str(tmp_path))
    clip, *candidates = job.processed.images
    assert str(clip).endswith(".gif") and len(candidates) == FRAMES
    texts = job.processed.infotexts[1 : 1 + FRAMES]
    assert [told(text, "candidate") for text in texts] == ["0", "1", "2", "3"]
    assert all(told(text, "score") and told(text, "pick") == told(text, "candidate") for text in texts)
    assert [image.info["parameters"] for image in candidates] == texts
    [anchor] = list(tmp_path.rglob("*-candidate-*"))
    taken = told(job.processed.infotexts[0], "candidate")
    assert anchor.stem.endswith(f"-candidate-{taken}")
    with Image.open(anchor) as image:
        assert image.tobytes() == candidates[int(taken)].tobytes()


def test_without_the_option_the_gallery_has_the_clip_alone(host, tmp_path):
    options = {"override_settings": {"noise_rectification_candidates": False}}
    job = create(host, outpath_samples=str(tmp_path), **options)
    assert len(job.processed.images) == 1 and list(tmp_path.rglob("*-candidate-*"))


def test_a_comparison_is_with_the_candidate(host, tmp_path):
    options = {"override_settings": {"noise_rectification_comparison": True}}
    job = create(host, {**CREATE, "omega": "frozen", "animation_share": 0}, outpath_samples=str(tmp_path), **options)
    assert list(tmp_path.rglob("*-comparison*")) and len(job.processed.images) == 2 + FRAMES


# Every way out.


@pytest.mark.parametrize("name", ["a1111", "a1111-1.8"])
def test_off_changes_no_bit(name):
    """What the tab sends when nothing was touched; `enabled` is on in it."""
    with used_host(name) as bare:
        expected = bare.txt2img()
    with used_host(name, script=SCRIPT) as host:
        script = host.script(TITLE, is_img2img=False)
        assert dict(zip(FIELDS, [control.value for control in script.controls]))["enabled"] is True
        result = host.txt2img()
        _nothing_is_left(host)
    assert torch.equal(result.latents[0], expected.latents[0]) and result.infotexts == expected.infotexts


@pytest.mark.parametrize(
    "host, stage, way_out",
    [
        *(("a1111", stage, way_out) for stage in STAGES for way_out in ("interrupt", "skip", "error")),
        *(
            (name, *way)
            for name in ("forge", "reforge")
            for way in [("candidates", "error"), ("animation", "interrupt"), ("animation", "error"), ("regeneration", "skip")]
        ),
    ],
    indirect=["host"],
)
def test_a_way_out_of_each_stage(host, stage, way_out):
    alphas = host.sd_model.alphas_cumprod

    def leave(call, x, level):
        if call == STAGES[stage] + 1:
            if way_out == "error":
                raise KeyError("out of memory")
            {"interrupt": host.state.interrupt, "skip": host.state.skip}[way_out]()

    host.on_model_call = leave
    if way_out == "error":
        # Forge's thread keeps it to itself, and its page shows what it makes of that.
        with pytest.raises(TypeError if host.flavour.is_forge else KeyError):
            create(host)
    else:
        job = create(host)
        assert len(job.latents[0]) == FRAMES
        assert stage == "regeneration" or told(job.infotexts[0], "warning").startswith("stopped")
    host.on_model_call = None
    assert host.sd_model.alphas_cumprod is alphas and host.state.textinfo is None
    unchanged(host)


def test_a_skip_ends_one_batch(host):
    def skip(call, x, level):
        if call == STAGES["animation"]:
            host.state.skip()

    host.on_model_call = skip
    job = create(host, n_iter=2)
    host.on_model_call = None
    assert torch.equal(job.latents[1], create(host, seed=1 + FRAMES).latents[0])


def test_a_job_inside_the_job_is_not_ours(host):
    host.nested_job_on_postprocess_image = True
    create(host)
    host.nested_job_on_postprocess_image = False
    unchanged(host)


# More than that comes back in the last two thirds of the steps.
TOO_LITTLE_MOTION = {"create": True, "tau_end": 0.3, "omega": "motion", "motion": 0.05}
REFUSED = {
    "enabled is on and txt2img has no image to rectify toward": {"enabled": True},
    "pick = 7 is out of range for 4 candidates: use -1 to 3": {**CREATE, "scorer": "pick", "pick": 7},
    "pick = 1 needs the scorer pick": {**CREATE, "pick": 1},
    "candidates = 65 is out of range: use a whole number from 0 to 64": {**CREATE, "candidates": 65},
    "candidates = 1.5 is not a whole number": {**CREATE, "candidates": 1.5},
    "scorer = 'beauty' is not allowed": {**CREATE, "scorer": "beauty"},
    "omega has 3 entries and the video has 4 frames": {**CREATE, "omega": [1, 1, 1]},
    "motion = 0.05 is below the minimum": TOO_LITTLE_MOTION,
    "keyframes, and it animates one image": {**CREATE, "key_frames": {"3": "PICTURE"}},
    "create is on with a mask": {**CREATE, "motion_mask": "PICTURE"},
    "create is on and FreeInit": {**CREATE, "animatediff": {"freeinit_enable": True}},
    "AnimateDiff is off in this job": {**CREATE, "animatediff": {"enable": False}},
    "Hires. fix samples a second time": {**CREATE, "enable_hr": True},
    "loop is on and AnimateDiff generates 4 frames": {**CREATE, "loop": True, "animatediff": {"video_length": 3}},
}


@pytest.mark.parametrize("is_api", [False, True])
@pytest.mark.parametrize("message, settings", REFUSED.items(), ids=list(REFUSED))
def test_refused_before_anything_is_computed(host, picture, message, settings, is_api):
    from lib_noiserect.webui.errors import in_labels

    job = {name: settings[name] for name in ("animatediff", "enable_hr") if name in settings}
    asked = filled({name: value for name, value in settings.items() if name not in job}, picture)
    with pytest.raises(Exception) as caught:
        create(host, asked, is_api=is_api, **job)
    assert message in caught.value.detail if is_api else in_labels(message) in str(caught.value)
    assert not is_api or caught.value.status_code == 422
    assert host.model_calls == 0
    unchanged(host)


def filled(settings, picture):
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    text = base64.b64encode(stream.getvalue()).decode()

    def fill(value):
        return (
            text
            if value == "PICTURE"
            else {key: fill(one) for key, one in value.items()}
            if isinstance(value, dict)
            else value
        )

    return {name: fill(value) for name, value in settings.items()}


def test_an_inpainting_mask_does_not_go_with_it(host, picture):
    mask = Image.new("L", (64, 64), 255)
    with pytest.raises(Exception, match=r"Text → image → video \(I4VGen\) is on with a mask"):
        host.img2img(picture, script_args={TITLE: [CREATE]}, mask=mask, inpaint_full_res=False)


@pytest.mark.parametrize(
    "host, sampler",
    [
        *(("a1111", sampler) for sampler in ("Euler a", "DDIM", "Restart")), ("forge", "Euler"), ("reforge", "DDIM"),
    ],
    indirect=["host"],
)  # fmt: skip
def test_the_last_stages_refusals_come_before_the_first(host, picture, sampler):
    """In the words that it has itself, and for one's own picture too; what can be had is what it would be without asking."""
    with pytest.raises(Exception, match="is below the minimum") as refusal:
        host.img2img(
            picture, script_args={TITLE: [{**TOO_LITTLE_MOTION, "create": False, "enabled": True}]}, sampler=sampler,
            denoising_strength=1.0,
        )  # fmt: skip
    asked = host.model_calls
    for job in (
        lambda: host.txt2img(script_args={TITLE: [TOO_LITTLE_MOTION]}, sampler=sampler),
        lambda: host.img2img(picture, script_args={TITLE: [TOO_LITTLE_MOTION]}, sampler=sampler),
    ):
        with pytest.raises(Exception, match="is below the minimum") as early:
            job()
        # In Forge the levels of the two tabs are not the same, nor are then the shares.
        words = [re.sub(r"\d\.\d+", "", str(error.value)) for error in (early, refusal)]
        assert words[0] == words[1] and host.model_calls == asked == 0
        assert not motion_is_left(host)
    assert create(host, {**TOO_LITTLE_MOTION, "motion": 1}, sampler=sampler).latents[0].shape[0] == FRAMES


def test_a_sampler_that_cannot_be_followed_is_refused_before_the_candidates(host, monkeypatch):
    from lib_noiserect.core.pivot import Pivot

    def failing(*_):
        raise RuntimeError("shapes")

    monkeypatch.setattr(Pivot, "steps", failing)
    with pytest.raises(Exception, match="sampler 'Euler' cannot be followed"):
        create(host)
    assert host.model_calls == 0


def test_prompts_of_unequal_length_are_refused_before_the_candidates(host):
    with pytest.raises(Exception, match="differ in length"):
        create(host, prompt="a " * 100)
    assert host.model_calls == 0


# The API.


def request(settings, **job):
    return {
        "prompt": "a boat", "width": 64, "height": 64, "steps": STEPS, "seed": 1, "sampler_name": "Euler",
        "alwayson_scripts": {
            "AnimateDiff": {"args": [{"enable": True, "video_length": FRAMES, "batch_size": FRAMES, "format": ["PNG"]}]},
            TITLE: {"args": settings if isinstance(settings, list) else [settings]},
        },
        **job,
    }  # fmt: skip


@everywhere
def test_a_request_gets_the_frames_alone_unless_it_asks(host):
    def count(settings, **job):
        status, body = host.api_txt2img(request(settings, **job))
        assert status == 200, body
        return len(body["images"])

    plain = count({})
    assert count(CREATE) == plain
    assert count(CREATE, override_settings={"noise_rectification_candidates": True}) == plain + FRAMES
    assert count({"create": True, "scorer": "pick"}) == FRAMES


@pytest.mark.parametrize(
    "settings",
    [{"create": True}, [*({**{n: r.default for n, r in FIELDS.items()}, "create": True, "enabled": True}.values())]],
)
def test_a_dict_with_create_alone_is_rectified(host, settings):
    status, body = host.api_txt2img(request(settings))
    assert status == 200 and told(body["info"], "enabled") == "True"


def test_a_list_without_create_is_a_plain_job(host):
    """The tab's own list has `enabled` on, which does nothing alone."""
    status, body = host.api_txt2img(
        request([{**{n: r.default for n, r in FIELDS.items()}, "enabled": True}[n] for n in FIELDS])
    )
    assert status == 200 and TITLE not in body["info"]


# The infotext, the grid, and what is said before.


def pasted(host, infotext):
    values = dict(host.paste(infotext, is_img2img=False))
    return {name: values[control] for name, control in zip(FIELDS, host.script(TITLE, is_img2img=False).controls)}


def test_the_infotext_comes_back(host):
    settings = {**CREATE, "candidates": 3, "animation_share": 0.4, "animation_strength": 1.5, "regeneration": 0.9}
    expected = Settings.from_mapping({**settings, "enabled": True})
    assert pasted(host, create(host, settings).infotexts[0]) == {name: getattr(expected, name) for name in FIELDS}
    # A plain job's leaves `enabled` on, for the next clip through a picture.
    plain = pasted(host, host.txt2img().infotexts[0])
    assert {name: value for name, value in plain.items() if value is not None} == {"create": False}


def test_a_grid_in_txt2img(host):
    plot = host.script("X/Y/Z plot", is_img2img=False)
    labels = [option.label for option in plot.current_axis_options]
    place = labels.index("[Noise Rectification] Candidates")
    args = [place, "1, 2", [], 0, "", [], 0, "", [], True, True, False, False, False, False, False, 0, True]
    host.txt2img(script_args={TITLE: [CREATE], "X/Y/Z plot": args})
    for count, (cell, result) in zip((1, 2), plot.standin_cells):
        assert torch.equal(cell.standin_latents[0], create(host, {**CREATE, "candidates": count}).latents[0])
        assert told(result.infotexts[0], "candidates") == str(count) and len(result.images) == 1


def test_what_a_job_will_cost_is_what_it_costs(host):
    from lib_noiserect.methods.i4vgen import job_calls

    for settings in ({**CREATE, "candidates": 6}, {**CREATE, "scorer": "pick"}, {**CREATE, "animation_share": 0}):
        said = job_calls(
            Settings.from_mapping(settings), FRAMES, STEPS, has_picture=False, regenerated=None, calls_a_step=1
        )
        jobs = []
        seen = watched(host, lambda settings=settings, jobs=jobs: jobs.append(create(host, settings)))
        if settings.get("scorer") != "pick":
            counted = told(jobs[0].infotexts[0], "calls")
            assert counted == ", ".join(f"{stage} {count:.3g}" for stage, count in said.items())
        assert sum(frames for frames, _, _ in seen) == FRAMES * sum(said.values())


# Other scorers.


class Redness:
    def __init__(self):
        self.asked = []

    def score(self, pictures, prompt):
        self.asked.append(prompt)
        return [float(np.asarray(picture)[..., 0].mean()) for picture in pictures]


def test_a_scorer_sees_the_pictures_and_the_prompt(host, monkeypatch):
    from lib_noiserect.methods import scorers

    scorer = Redness()
    monkeypatch.setattr(scorers, "load_scorer", lambda name, device: {"clip": scorer}[name])
    jobs = []
    seen = watched(host, lambda: jobs.append(create(host, {**CREATE, "scorer": "clip"}, prompt="a red boat")))
    assert scorer.asked == ["a red boat"] and len(seen) == STEPS + UPDATES + STEPS, "no call for the choice"
    [job] = jobs
    reds = [np.asarray(picture)[..., 0].mean() for picture in job.processed.images[FRAMES + 1 :]]
    assert told(job.infotexts[0], "candidate") == str(int(np.argmax(reds)))
    assert float(told(job.infotexts[0], "score")) == pytest.approx(max(reds), abs=1e-4)


@pytest.mark.parametrize("kind", ["package", "weights"])
def test_a_scorer_that_is_not_there_is_refused_with_the_command(host, monkeypatch, kind):
    from lib_noiserect.core.errors import MissingPackageError
    from lib_noiserect.methods import scorers

    command = "run  python -m pip install image-reward"
    error = MissingPackageError(command) if kind == "package" else scorers.ScorerError(command)

    def missing(name, device):
        raise error

    monkeypatch.setattr(scorers, "load_scorer", missing)
    status, body = host.api_txt2img(request({"create": True, "scorer": "imagereward"}))
    assert (status, body["detail"]) == (422, f"Noise Rectification: {command}") and host.model_calls == 0
    unchanged(host)


def test_ones_own_picture_needs_no_scorer(host, picture, monkeypatch):
    from lib_noiserect.methods import scorers

    monkeypatch.setattr(scorers, "load_scorer", None)
    settings = {**CREATE, "scorer": "imagereward"}
    assert told(host.img2img(picture, script_args={TITLE: [settings]}).infotexts[0], "calls")
