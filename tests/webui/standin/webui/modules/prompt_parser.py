"""Stand-in of the prompts' conditioning: the real containers around small tensors, 77 rows for each 75 words."""

import re
from collections import namedtuple

import torch

ScheduledPromptConditioning = namedtuple("ScheduledPromptConditioning", ["end_at_step", "cond"])


class SdConditioning(list):
    def __init__(self, prompts, is_negative_prompt=False, width=None, height=None, copy_from=None):
        super().__init__(prompts)
        source = prompts if copy_from is None else copy_from
        self.is_negative_prompt = is_negative_prompt or getattr(source, "is_negative_prompt", False)
        self.width = width or getattr(source, "width", None)
        self.height = height or getattr(source, "height", None)


class ComposableScheduledPromptConditioning:
    def __init__(self, schedules, weight=1.0):
        self.schedules = schedules
        self.weight = weight


class MulticondLearnedConditioning:
    def __init__(self, shape, batch):
        self.shape = shape
        self.batch = batch


def get_learned_conditioning(model, prompts, steps, hires_steps=None, use_old_scheduling=False):
    known = {}
    for prompt in prompts:
        if prompt not in known:
            cond = model.get_learned_conditioning(SdConditioning([prompt], copy_from=prompts))[0]
            known[prompt] = [ScheduledPromptConditioning(steps, cond)]
    return [known[prompt] for prompt in prompts]


_WEIGHT = re.compile(r"^(.*?)(?::\s*([-+]?(?:\d+\.?\d*|\.\d+)))?\s*$", re.S)


def _parts(prompt):
    """[(text, weight)] of a prompt composed with AND."""
    for part in re.split(r"\bAND\b", prompt):
        text, weight = _WEIGHT.match(part).groups()
        yield text, float(weight or 1.0)


def get_multicond_learned_conditioning(model, prompts, steps, hires_steps=None, use_old_scheduling=False):
    def schedule(text):
        conditioning = SdConditioning([text], copy_from=prompts)
        return get_learned_conditioning(model, conditioning, steps, hires_steps, use_old_scheduling)[0]

    batch = [
        [ComposableScheduledPromptConditioning(schedule(text), weight) for text, weight in _parts(prompt)]
        for prompt in prompts
    ]
    return MulticondLearnedConditioning(shape=(len(prompts),), batch=batch)


def _cond_at(schedule, current_step):
    return next((entry.cond for entry in schedule if current_step <= entry.end_at_step), schedule[0].cond)


def stack_conds(tensors):
    """Shorter prompts repeat their last row, so that prompts of different length fit one tensor."""
    rows = max(tensor.shape[0] for tensor in tensors)
    return torch.stack([torch.vstack([tensor, tensor[-1:].repeat(rows - tensor.shape[0], 1)]) for tensor in tensors])


def reconstruct_cond_batch(c, current_step):
    return torch.stack([_cond_at(schedule, current_step) for schedule in c])


def reconstruct_multicond_batch(c, current_step):
    """For each picture its (row, weight) pairs, and all rows."""
    tensors = []
    conds_list = []
    for parts in c.batch:
        conds_list.append([])
        for part in parts:
            conds_list[-1].append((len(tensors), part.weight))
            tensors.append(_cond_at(part.schedules, current_step))
    return conds_list, stack_conds(tensors)
