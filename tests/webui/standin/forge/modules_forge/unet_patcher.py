"""Stand-in of Forge's patched network: a bag of options that a copy does not share with its original."""

import copy
import types


class ModelSampling:
    """The network's noise levels, which all copies share."""

    def set_sigmas(self, sigmas):
        self.sigmas = sigmas


class UnetPatcher:
    def __init__(self, model_sampling, model_options=None):
        self.model = types.SimpleNamespace(model_sampling=model_sampling)
        self.model_options = model_options or {}
        self.controlnets = []

    def clone(self):
        options = {key: list(value) for key, value in self.model_options.items()}
        other = UnetPatcher(self.model.model_sampling, options)
        other.controlnets = list(self.controlnets)
        return other

    def list_controlnets(self):
        return self.controlnets

    def _append(self, key, value):
        self.model_options.setdefault(key, []).append(value)

    def add_alphas_cumprod_modifier(self, modifier):
        self._append("alphas_cumprod_modifiers", modifier)

    def add_block_inner_modifier(self, modifier):
        self._append("block_inner_modifiers", modifier)

    def add_conditioning_modifier(self, modifier):
        self._append("conditioning_modifiers", modifier)

    def set_model_sampler_post_cfg_function(self, post_cfg_function, disable_cfg1_optimization=False):
        """Without the flag the negative prompt is not asked where guidance is 1."""
        self._append("sampler_post_cfg_function", post_cfg_function)
        if disable_cfg1_optimization:
            self._append("disable_cfg1_optimization", True)


class ForgeObjects:
    def __init__(self, model_sampling):
        self.unet = UnetPatcher(model_sampling)
        self.clip = self.vae = self.clipvision = None

    def shallow_copy(self):
        return copy.copy(self)
