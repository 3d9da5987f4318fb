"""Makes `standin` importable, and gives each test a picture and hosts."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


@pytest.fixture(autouse=True)
def one_thread():
    """The tensors are so small that a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def picture():
    """64x64, smooth, with an edge."""
    y, x = np.mgrid[0:64, 0:64]
    pixels = np.stack([x * 3 + 20, y * 3 + 30, 200 - x - y], axis=2).astype(np.uint8)
    pixels[16:40, 24:48] = (220, 80, 60)
    return Image.fromarray(pixels)


@pytest.fixture(params=["a1111", "forge"])
def host(request):
    from standin import Host

    with Host(request.param) as host:
        yield host
