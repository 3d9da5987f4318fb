"""Stand-in of Forge's patched network: a bag of options that a copy does not share with its original."""


class UnetPatcher:
    def __init__(self, model_options=None):
        self.model_options = model_options or {}

    def clone(self):
        return UnetPatcher({key: list(value) for key, value in self.model_options.items()})

    def _append(self, key, value):
        self.model_options.setdefault(key, []).append(value)

    def add_alphas_cumprod_modifier(self, modifier):
        self._append("alphas_cumprod_modifiers", modifier)

    def add_block_inner_modifier(self, modifier):
        self._append("block_inner_modifiers", modifier)

    def add_conditioning_modifier(self, modifier):
        self._append("conditioning_modifiers", modifier)


class ForgeObjects:
    def __init__(self):
        self.unet = UnetPatcher()
        self.clip = self.vae = self.clipvision = None

    def shallow_copy(self):
        copy = ForgeObjects()
        copy.unet = self.unet
        return copy
