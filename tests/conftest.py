"""Set-up for all tests: k-diffusion's samplers without the rest of that package, one thread, what stays in one process."""

import gc
import importlib.util
import logging
import os
import sys
import types

import pytest

import dev

# Threads that wait for the next small matrix spin otherwise, and beside one other busy program the tests take fifteen
# times as long: measured 354 s against 23 s. It is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What packages and tests make until all tests are collected never goes, and each collection of garbage walks through it.
gc.disable()
LIVE_TESTS = dev.ROOT / "tests" / "live"
# A GPU draws other noise, and what the tests expect was seen on CPUs. So commands find none, in child processes too.
os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _provide_k_diffusion() -> None:
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or "k_diffusion" in sys.modules:
        return
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations or [])
    package.__spec__ = spec  # others look whether it is there
    sys.modules["k_diffusion"] = package
    if importlib.util.find_spec("torchvision") is None:
        # k_diffusion.utils imports it for its picture helpers, which no sampler calls.
        transforms = types.ModuleType("torchvision.transforms")
        transforms.functional = types.ModuleType("torchvision.transforms.functional")
        torchvision = types.ModuleType("torchvision")
        torchvision.transforms = transforms
        names = {
            "torchvision": torchvision,
            "torchvision.transforms": transforms,
            "torchvision.transforms.functional": transforms.functional,
        }
    else:
        names = {}
    sys.modules.update(names)
    for name in ("utils", "sampling", "external"):
        setattr(package, name, importlib.import_module(f"k_diffusion.{name}"))
    for name in names:  # nothing else may mistake the empty modules for torchvision
        del sys.modules[name]


def runs_tests(config):
    """Whether this process runs tests itself: with pytest-xdist the first one only hands them out."""
    return config.getoption("dist", "no") == "no"


def pytest_configure(config):
    if runs_tests(config):
        _provide_k_diffusion()
        import torch

        torch.backends.mps.is_available = lambda: False
        # For each kind of device that a process does not use yet, `torch.manual_seed` keeps a text of the whole call stack: a
        # third of what a short job takes.
        for device in (torch.cuda, torch.xpu, torch.mtia):
            device.manual_seed_all = lambda seed: None
        # pytest attaches its handlers six times a test to each logger that keeps its messages for itself: torch has 40.
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(("torch", "strobelight")):
                logging.getLogger(name).propagate = True


def pytest_runtest_setup():
    """The tensors are so small that a second thread only waits for the first."""
    sys.modules["torch"].set_num_threads(1)


def pytest_ignore_collect(collection_path, config):
    """Without a web UI the tests on one are left alone, unless somebody asks for them."""
    if collection_path == LIVE_TESTS and not config.option.webui_url and not any("live" in name for name in config.args):
        return True
    return None


def gradio_of(item):
    """The gradio of a browser test, 3 or 4; None of other tests."""
    is_browser_test = dev.BROWSER_TESTS in item.path.parents and hasattr(item, "callspec")
    return item.callspec.params.get("server") if is_browser_test else None


def is_slow(item):
    """Whether a test runs on demand. All supported web UIs have gradio 3, so those in gradio 4 do."""
    return item.get_closest_marker("slow") or gradio_of(item) == 4


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out slow tests unless they are asked for; in two processes, keep tests together that share what is slow to make.

    Those are the browser tests of one gradio, and outside of tests/core and tests/webui the tests of one file. They come
    first.
    """
    for item in items:
        if is_slow(item) and not config.option.slow:
            item.add_marker(pytest.mark.skip(reason="slow: `python dev.py test --all`"))
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        if gradio := gradio_of(item):
            item.add_marker(pytest.mark.xdist_group(f"gradio{gradio}"))
        elif item.path.parent.name not in ("core", "webui"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter):
    """At the very end: where the screenshots of the browser tests on demand are, or that there was no browser."""
    yield
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    if not any("tests/browser/" in getattr(report, "nodeid", "") for report in reports):
        return
    pictures = dev.BROWSER_TESTS / "out"
    if not dev.chromium():
        terminalreporter.write_line("WARNING: there is no Chromium, so nothing was tested in a browser", red=True)
    elif terminalreporter.config.option.slow and any(pictures.glob("*.png")):
        terminalreporter.write_line(f"Screenshots of the browser tests are in {pictures}")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests too, as `dev.py test --all` does")
    parser.addoption("--webui-url", default=None, help="the address of a running web UI, for tests/live")
    parser.addoption("--animatediff-fails", action="store_true", help="the web UI is one where AnimateDiff has no effect")
    parser.addoption("--webui-job", default="{}", help='what each job of tests/live has otherwise, as JSON: {"cfg_scale": 1}')
    parser.addoption("--host-results", default=None, help="a JSON file for the figures that tests/live measures")
