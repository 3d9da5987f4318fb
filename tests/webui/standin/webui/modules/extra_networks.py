"""Stand-in of the <name:arguments> parts of a prompt; no network is registered."""

import re
from collections import defaultdict

_EXTRA = re.compile(r"<(?P<name>\w+):(?P<arguments>[^>]+)>")
extra_network_registry = {}


def parse_prompts(prompts):
    """The prompts without their extra networks, and the networks of the first one."""
    data = defaultdict(list)
    for name, arguments in _EXTRA.findall(prompts[0]) if prompts else []:
        data[name].append(arguments.split(":"))
    return [_EXTRA.sub("", prompt) for prompt in prompts], data


def activate(p, extra_network_data):
    if p.scripts is not None:
        p.scripts.after_extra_networks_activate(
            p,
            batch_number=p.iteration,
            prompts=p.prompts,
            seeds=p.seeds,
            subseeds=p.subseeds,
            extra_network_data=extra_network_data,
        )


def deactivate(p, extra_network_data):
    pass
