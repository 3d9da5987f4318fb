"""Makes the job objects of the two tabs and packs up what comes out."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Job:
    images: list
    latents: list
    infotexts: list
    comments: list
    p: Any
    sampler: Any
    """as it was when the last batch ended; the host takes it off the job"""
    events: list = field(default_factory=list)
    processed: Any = None


def make_job(
    host,
    picture,
    *,
    sampler="Euler",
    steps=6,
    denoising_strength=1.0,
    width=64,
    height=64,
    frames=4,
    seed=1,
    n_iter=1,
    cfg_scale=7,
    scheduler="Automatic",
    mask=None,
    animatediff=(),
    script_args=None,
    override_settings=None,
    is_api=False,
    **p_attributes,
):
    """`picture`: None makes a job of the txt2img tab. `animatediff`: what differs from its defaults, or None for off."""
    from modules import processing, scripts

    job_class = processing.StableDiffusionProcessingImg2Img
    of_picture = {"init_images": picture if isinstance(picture, list) else [picture], "mask": mask}
    if picture is None:
        job_class, of_picture = processing.StableDiffusionProcessingTxt2Img, {}
    arguments = {
        **of_picture,
        "sampler_name": sampler,
        "steps": steps,
        "denoising_strength": denoising_strength,
        "width": width,
        "height": height,
        "seed": seed,
        "n_iter": n_iter,
        "cfg_scale": cfg_scale,
        "override_settings": dict(override_settings or {}),
        "batch_size": frames if animatediff is None else 1,
    }
    if host.flavour.has_schedulers:
        arguments["scheduler"] = scheduler
    known = {f.name for f in dataclasses.fields(job_class) if f.init}
    later = {}
    for name, value in p_attributes.items():
        (arguments if name in known else later)[name] = value
    p = job_class(**arguments)
    for name, value in later.items():
        setattr(p, name, value)

    runner = scripts.scripts_txt2img if picture is None else scripts.scripts_img2img
    given = dict(script_args or {})
    if animatediff is not None and runner.script("AnimateDiff") is not None:
        given.setdefault("AnimateDiff", [animatediff_argument(dict(animatediff), frames, is_api)])
    p.is_api = is_api
    p.scripts = runner
    p.script_args = tuple(all_script_args(runner, given))
    return p


def animatediff_argument(changes, frames, is_api):
    values = {"enable": True, "video_length": frames, "batch_size": frames, **changes}
    if is_api:
        return values
    from scripts.animatediff_ui import AnimateDiffProcess

    return AnimateDiffProcess(**values)


def all_script_args(runner, given):
    """The whole list that the page sends: each control's value, with the test's own in their places.

    A script of the dropdown that is given arguments is the one that is chosen there.
    """
    values = [0, *(control.value for control in runner.inputs[1:])]
    for title, own in given.items():
        script = runner.script(title)
        if script is None:
            raise KeyError(f"no script is called {title!r}")
        places = range(script.args_from, script.args_to)
        if len(own) > len(places):
            raise ValueError(f"{title!r} has {len(places)} arguments, {len(own)} were given")
        for place, value in zip(places, own):
            values[place] = value
        if script in runner.selectable_scripts:
            values[0] = runner.selectable_scripts.index(script) + 1
    return values


def finished(p, processed, events=()):
    images, infotexts = processed.images, processed.infotexts
    if len(images) > 1:
        images, infotexts = images[processed.index_of_first_image :], infotexts[processed.index_of_first_image :]
    return Job(
        images=images,
        latents=p.__dict__.get("standin_latents", []),
        infotexts=infotexts,
        comments=list(p.comments),
        p=p,
        sampler=p.__dict__.get("standin_sampler"),
        events=list(events),
        processed=processed,
    )
