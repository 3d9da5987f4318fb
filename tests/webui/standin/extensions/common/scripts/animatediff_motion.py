"""Stand-in of the motion modules themselves: the network calls their blocks, never the whole."""

import re

import torch

# How many frames each knows, and whether it makes the network normalise prompt and negative prompt as a pair of clips.
KNOWN_MODELS = {
    "mm_sd15_v1.safetensors": (24, True),
    "mm_sd15_v2.safetensors": (32, False),
    "mm_sd15_v3.safetensors": (32, False),
}


class MotionWrapper(torch.nn.Module):
    def __init__(self, mm_name):
        super().__init__()
        self.mm_name = mm_name
        positions, self._hacks_group_norm = KNOWN_MODELS[mm_name]
        self.block = torch.nn.Identity()
        self.block.pe = torch.zeros(1, positions, 8)

    def enable_gn_hack(self):
        return self._hacks_group_norm


def loaded(model_name):
    if model_name not in KNOWN_MODELS:
        raise RuntimeError(f"{model_name} is not among the motion modules")
    return MotionWrapper(model_name)


class PromptSchedule:
    """That there is one tells that `set_p` went well. Prompts that travel are known as such, and not played."""

    def __init__(self, prompt):
        lines = re.findall(r"^(\d+): (.+)$", prompt, re.MULTILINE) if isinstance(prompt, str) else []
        self.prompt_map = {int(frame): text for frame, text in lines} or None

    def save_infotext_txt(self, res):
        """Puts a prompt that travels back into the infotexts."""
