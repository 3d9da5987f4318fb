"""Stand-in of the job's random numbers: one generator a frame, so that a frame does not depend on its batch."""

import torch
from modules import devices, shared
from standin import flavours
from standin.arguments import keep


def manual_seed(seed):
    torch.manual_seed(seed)


def create_generator(seed):
    return torch.Generator(devices.cpu).manual_seed(int(seed))


def randn(seed, shape, generator=None):
    # As a side effect the global generator is seeded too: what is drawn from it later looks reproducible.
    if flavours.active.is_forge and generator is not None:
        manual_seed((seed + 100000) % 65536)
    else:
        manual_seed(seed)
    return torch.randn(shape, device=devices.cpu, generator=generator)


def randn_local(seed, shape):
    return torch.randn(shape, device=devices.cpu, generator=create_generator(seed))


def randn_like(x):
    return torch.randn_like(x)


def randn_without_seed(shape, generator=None):
    return torch.randn(shape, device=devices.cpu, generator=generator)


def slerp(val, low, high):
    """Spherical interpolation along the rows; `val` is the share of `high`, except for near-parallel inputs."""
    unit_low = low / torch.norm(low, dim=1, keepdim=True)
    unit_high = high / torch.norm(high, dim=1, keepdim=True)
    cosine = (unit_low * unit_high).sum(1)
    if cosine.mean() > 0.9995:
        return low * val + high * (1 - val)
    angle = torch.acos(cosine)
    share_low = torch.sin((1.0 - val) * angle) / torch.sin(angle)
    share_high = torch.sin(val * angle) / torch.sin(angle)
    return share_low.unsqueeze(1) * low + share_high.unsqueeze(1) * high


class ImageRNG:
    def __init__(self, shape, seeds, subseeds=None, subseed_strength=0.0, seed_resize_from_h=0, seed_resize_from_w=0):
        keep(locals(), is_first=True, generators=list(map(create_generator, seeds)))
        self.shape = tuple(map(int, shape))

    def first(self):
        rows = []
        for index, (seed, generator) in enumerate(zip(self.seeds, self.generators)):
            variation = None
            if self.subseeds is not None and self.subseed_strength != 0:
                variation = randn(self.subseeds[index] if index < len(self.subseeds) else 0, self.shape)
            row = randn(seed, self.shape, generator=generator)
            rows.append(row if variation is None else slerp(self.subseed_strength, row, variation))
        delta = shared.opts.eta_noise_seed_delta or 0
        if delta:
            self.generators = [create_generator(seed + delta) for seed in self.seeds]
        return torch.stack(rows).to(shared.device)

    def next(self):
        draw = self.first if self.is_first else self._further
        self.is_first = False
        return draw()

    def _further(self):
        return torch.stack([randn_without_seed(self.shape, generator) for generator in self.generators])


# Extensions know these functions as functions of `modules.devices`.
for _function in (manual_seed, randn, randn_like, randn_local, randn_without_seed):
    setattr(devices, _function.__name__, _function)
