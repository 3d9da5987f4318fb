"""The built-in model is loaded once for all tests of the command line, and each test finds it as it was loaded."""

import pytest
import torch

from lib_noiserect.pipelines import loading

LOAD = loading.load


@pytest.fixture(scope="session")
def pipe():
    return LOAD(device="cpu")


@pytest.fixture(autouse=True)
def loaded_once(request, monkeypatch):
    def load(model=None, motion_adapter=None, device=None, precision=None, config=None):
        plain = not model and device in (None, "cpu") and precision is None and config is None
        return shared() if plain else LOAD(model, motion_adapter, device, precision, config)

    def shared():
        pipe = request.getfixturevalue("pipe")
        if not used:
            used.append((pipe, pipe.scheduler))
        return pipe

    used = []
    monkeypatch.setattr(loading, "load", load)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for pipe, scheduler in used:
        pipe.scheduler = scheduler
