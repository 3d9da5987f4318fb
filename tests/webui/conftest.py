"""Makes `standin` importable, and gives each test a picture and hosts."""

import base64
import importlib
import io
import pkgutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

# Each stand-in of a host imports the extension anew. What knows no host is imported once.
for folder in ("core", "media", "methods"):
    package = importlib.import_module(f"lib_noiserect.{folder}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    item.has_failed = report.failed or getattr(item, "has_failed", False)
    if item.has_failed and report.when == "teardown":
        from standin.pool import forget_hosts

        forget_hosts()
    return report


@pytest.fixture
def picture():
    """64x64, smooth, with an edge."""
    y, x = np.mgrid[0:64, 0:64]
    pixels = np.stack([x * 3 + 20, y * 3 + 30, 200 - x - y], axis=2).astype(np.uint8)
    pixels[16:40, 24:48] = (220, 80, 60)
    return Image.fromarray(pixels)


@pytest.fixture
def payload(picture):
    """A request to /sdapi/v1/img2img."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    size = {"width": 64, "height": 64}
    return {"init_images": [encoded], "steps": 4, "sampler_name": "Euler", "denoising_strength": 1.0, **size}


@pytest.fixture(params=["a1111", "forge"])
def host(request):
    from standin import used_host

    with used_host(request.param) as host:
        yield host


@pytest.fixture
def with_extension():
    """AUTOMATIC1111 1.10.1 with the extension, none of whose hooks may fail."""
    from standin import used_host

    with used_host("a1111", script=HERE.parents[1] / "scripts" / "noise_rectification.py") as host:
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"


@pytest.fixture
def spy_script():
    return HERE / "spy-extension" / "scripts" / "spy.py"


@pytest.fixture
def a1111(spy_script):
    """AUTOMATIC1111 1.10.1 with the spy extension."""
    from standin import Host

    with Host("a1111", script=spy_script) as host:
        yield host
