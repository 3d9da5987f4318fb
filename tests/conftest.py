"""Makes k-diffusion's samplers importable without the rest of the package, which wants torchvision and CLIP."""

import importlib.util
import os
import sys
import types

# Threads that wait for the next small matrix spin otherwise, and beside one other busy program the tests take fifteen
# times as long: measured 354 s against 23 s. It is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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


_provide_k_diffusion()


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take a minute or more too")
    parser.addoption("--webui-url", default=None, help="the address of a running web UI, for tests/live")
    parser.addoption(
        "--animatediff-fails", action="store_true", help="the web UI is one where AnimateDiff has no effect"
    )
    parser.addoption(
        "--webui-job", default="{}", help='what each job of tests/live has otherwise, as JSON: {"cfg_scale": 1}'
    )
    parser.addoption("--host-results", default=None, help="a JSON file for the figures that tests/live measures")
