"""Stand-in of the motion modules themselves: the network calls their blocks, never the whole."""

import re

import torch

KNOWN_MODELS = ("mm_sd15_v2.safetensors", "mm_sd15_v3.safetensors")


class MotionWrapper(torch.nn.Module):
    def __init__(self, mm_name):
        super().__init__()
        self.mm_name = mm_name
        self.block = torch.nn.Identity()


def loaded(model_name):
    if model_name not in KNOWN_MODELS:
        raise RuntimeError(f"{model_name} is not among the motion modules")
    return MotionWrapper(model_name)


class PromptSchedule:
    """That there is one tells that `set_p` went well. Prompts that travel are known as such, and not played."""

    def __init__(self, prompt):
        lines = re.findall(r"^(\d+): (.+)$", prompt, re.MULTILINE) if isinstance(prompt, str) else []
        self.prompt_map = {int(frame): text for frame, text in lines} or None
