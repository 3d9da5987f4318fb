"""Stand-in of the list of samplers."""

import logging

from modules import sd_samplers_common, sd_samplers_kdiffusion, sd_samplers_lcm, sd_samplers_timesteps, shared
from standin import flavours

samples_to_image_grid = None
sample_to_image = sd_samplers_common.sample_to_image

# In the order of the page.
samplers = samplers_for_img2img = all_samplers = (
    sd_samplers_kdiffusion.samplers_data_k_diffusion
    + sd_samplers_timesteps.samplers_data_timesteps
    + sd_samplers_lcm.samplers_data_lcm
)
all_samplers_map = {data.name: data for data in all_samplers}
samplers_map = {}
samplers_hidden = {}


def find_sampler_config(name):
    return all_samplers[0] if name is None else all_samplers_map.get(name)


def create_sampler(name, model):
    data = find_sampler_config(name)
    assert data is not None, f"no sampler is called {name!r}"
    made = data.constructor(model)
    made.config = data
    return made


def set_samplers():
    global samplers_hidden
    samplers_hidden = set(shared.opts.hide_samplers)
    samplers_map.clear()
    for sampler in all_samplers:
        samplers_map.update({name.lower(): sampler.name for name in (sampler.name, *sampler.aliases)})


def visible_sampler_names():
    return [x.name for x in samplers if x.name not in samplers_hidden]


if flavours.active.has_schedulers:
    from modules import sd_schedulers

    def get_sampler_and_scheduler(sampler_name, scheduler_name, *, convert_automatic=True):
        """Takes names of before 1.9, such as "DPM++ 2M Karras", apart."""
        found = sd_schedulers.schedulers_map.get(scheduler_name, sd_schedulers.schedulers[0])
        name = sampler_name or samplers[0].name
        for scheduler in sd_schedulers.schedulers:
            for suffix in (scheduler.label, scheduler.name, *(scheduler.aliases or [])):
                if name.endswith(f" {suffix}"):
                    found, name = scheduler, name.removesuffix(f" {suffix}")
                    break
        sampler = all_samplers_map.get(name, samplers[0])
        if convert_automatic and sampler.options.get("scheduler", None) == found.name:
            found = sd_schedulers.schedulers[0]
        return sampler.name, found.label

    def fix_p_invalid_sampler_and_scheduler(p):
        asked = p.sampler_name, p.scheduler
        p.sampler_name, p.scheduler = get_sampler_and_scheduler(*asked, convert_automatic=False)
        if asked != (p.sampler_name, p.scheduler):
            logging.getLogger(__name__).info("sampler %s is now %s, %s", asked, p.sampler_name, p.scheduler)


set_samplers()
