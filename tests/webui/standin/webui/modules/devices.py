"""Stand-in of the devices: everything is float32 on the CPU."""

import contextlib

import torch

cpu = torch.device("cpu")
device = cpu
dtype = torch.float32
dtype_vae = torch.float32
dtype_unet = torch.float32
unet_needs_upcast = False
fp8 = False


class NansException(Exception):
    pass


def torch_gc():
    pass


def autocast(disable=False):
    return contextlib.nullcontext()


def without_autocast(disable=False):
    return contextlib.nullcontext()


def cond_cast_float(input):
    return input


def test_for_nans(x, where):
    if torch.isnan(x[(0,) * x.ndim]) and torch.isnan(x).all():
        raise NansException(f"only NaNs came out of the {where}")
