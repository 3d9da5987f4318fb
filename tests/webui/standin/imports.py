"""Puts the fake modules where `import` finds them and takes them away again; finds the real k-diffusion."""

import importlib
import importlib.util
import os
import sys
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path

HERE = Path(__file__).resolve().parent
FAKE_ROOTS = ("modules", "scripts", "modules_forge", "ldm_patched", "gradio", "fastapi", "motion_module")

_k_diffusion = {}


def k_diffusion_modules():
    """The real samplers, without the package's `__init__`: that one imports training code and its dependencies."""
    if "k_diffusion.sampling" in sys.modules:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "k_diffusion"}
    if not _k_diffusion:
        _k_diffusion.update(_import_k_diffusion())
    return _k_diffusion


def _import_k_diffusion():
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None:
        raise ImportError("the stand-in runs the real samplers: install k-diffusion")
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations)
    before = dict(sys.modules)
    stubs = {name: stub for name, stub in _unused_dependencies().items() if not _installed(name)}
    sys.modules.update(stubs, k_diffusion=package)
    try:
        for name in ("utils", "sampling", "external"):
            setattr(package, name, importlib.import_module(f"k_diffusion.{name}"))
        return k_diffusion_modules()
    finally:
        for name in [*stubs, *(name for name in sys.modules if name.partition(".")[0] == "k_diffusion")]:
            if name not in before:
                del sys.modules[name]


def _unused_dependencies():
    """k-diffusion imports these at the top and no sampler uses them."""
    torchdiffeq = types.ModuleType("torchdiffeq")
    torchdiffeq.odeint = None
    torchvision = types.ModuleType("torchvision")
    transforms = types.ModuleType("torchvision.transforms")
    transforms.functional = types.ModuleType("torchvision.transforms.functional")
    torchvision.transforms = transforms
    return {
        "torchdiffeq": torchdiffeq,
        "torchvision": torchvision,
        "torchvision.transforms": transforms,
        "torchvision.transforms.functional": transforms.functional,
    }


def _installed(name):
    return importlib.util.find_spec(name.partition(".")[0]) is not None


_compiled = {}


def _source_to_code_once(loader, data, path, **options):
    """Every Host executes the fake modules anew; they are compiled once a process."""
    key = (path, bytes(data))
    if key not in _compiled:
        _compiled[key] = super(SourceFileLoader, loader).source_to_code(data, path, **options)
    return _compiled[key]


class FakeImports:
    """Between `enter` and `leave` the web UI's modules can be imported; afterwards nothing of them is left."""

    def __init__(self, overlays=()):
        self.roots = [str(HERE / folder) for folder in (*overlays, "webui")]
        self.extension_dirs = []
        self._left = None

    def enter(self):
        SourceFileLoader.source_to_code = _source_to_code_once
        self._modules = dict(sys.modules)
        self._path = list(sys.path)
        for name in list(sys.modules):
            if name.startswith(FAKE_ROOTS) and name.partition(".")[0] in FAKE_ROOTS and not _is_real(name):
                del sys.modules[name]
        sys.path[:0] = self.roots
        # At the end, so that an installed gradio or fastapi is used and the fake only fills the gap.
        sys.path.append(str(HERE / "fakes"))
        sys.modules.update(k_diffusion_modules())
        self.sampling = sys.modules["k_diffusion.sampling"]
        self._sampling_names = dict(vars(self.sampling))
        importlib.invalidate_caches()
        if self._left:
            self._return(*self._left)

    def _return(self, modules, path, sampling_names):
        sys.modules.update(modules)
        for name, module in modules.items():
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                setattr(sys.modules[parent], child, module)
        sys.path[:] = path
        vars(self.sampling).update(sampling_names)

    def leave(self):
        """`enter` brings back what was there."""
        self._left = {}, list(sys.path), dict(vars(self.sampling))
        # The host replaces k-diffusion's `torch` and `to_d`.
        vars(self.sampling).update(self._sampling_names)
        for name, module in list(sys.modules.items()):
            if name not in self._modules and self._belongs_to_host(name, module):
                self._left[0][name] = sys.modules.pop(name)
                _forget_in_parent(name, module)
        sys.modules.update({name: module for name, module in self._modules.items() if name not in sys.modules})
        sys.path[:] = self._path
        if "source_to_code" in vars(SourceFileLoader):
            del SourceFileLoader.source_to_code

    def _belongs_to_host(self, name, module):
        if name.partition(".")[0] in (*FAKE_ROOTS, "k_diffusion"):
            return not _is_real(name)
        # An extension's own library was imported with this host's modules inside: the next host needs a new one.
        origin = getattr(module, "__file__", None) or ""
        if "site-packages" in origin or origin.startswith(str(HERE.parent)):
            return False
        return any(origin.startswith(folder + os.sep) for folder in self.extension_dirs)


def _is_real(name):
    """gradio and fastapi may be the installed ones, which stay."""
    origin = getattr(sys.modules[name], "__file__", None) or ""
    return name.partition(".")[0] in ("gradio", "fastapi") and not origin.startswith(str(HERE))


def _forget_in_parent(name, module):
    """`from package import name` looks at the package's attributes before it imports."""
    parent, _, child = name.rpartition(".")
    package = sys.modules.get(parent)
    if package is not None and getattr(package, child, None) is module:
        delattr(package, child)
