"""The device to compute on, named or found, before anything is loaded to it."""

from __future__ import annotations

import torch

from .errors import UserError


def device_named(name: str | None = None) -> torch.device:
    """The device of a name such as `cuda:1`; for None a GPU if there is one: CUDA, MPS (Apple) or XPU (Intel).

    Raises `UserError` if this machine does not have the device.
    """
    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "xpu": torch.xpu.device_count() if hasattr(torch, "xpu") and torch.xpu.is_available() else 0,
        "cpu": 1,
    }
    there = [kind for kind, count in counts.items() if count]
    if name is None:
        return torch.device(there[0])
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):
        device = None
    if device is None or not (device.index or 0) < counts.get(device.type, 0):
        raise UserError(f"device = {name!r} is not on this machine: use {' or '.join(there)}")
    return device
