"""Signatures and tables of the stand-in against a real web UI's sources, which are parsed and never imported.

Set WEBUI_CHECKOUT to a checkout of AUTOMATIC1111 1.8 – 1.10.1 or Forge 0.0.17, and ANIMATEDIFF_CHECKOUT to one of the
AnimateDiff extension for that host. Without them the tests skip.
"""

import ast
import dataclasses
import importlib
import inspect
import os
from pathlib import Path

import pytest
import torch
from real_source import Source, class_differences, differences, names, parameters_of
from standin import Host
from standin.imports import HERE

# Hosts have strings such as "\\(" in their sources.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence")
# Where the real host keeps what the stand-in has split off to keep its files short.
SPLIT = {
    "script_arguments": "scripts",
    "processing_loop": "processing",
    "processing_results": "processing",
    "processing_seeds": "processing",
    "processing_job": "processing",
    "processing_img2img": "processing",
    "script_base": "scripts",
}
# Names that are the stand-in's own and that no extension can mean.
OWN = {
    "sd_models": {"ToyVae", "SdModel", "CheckpointInfo", "scaled_linear_alphas_cumprod", "alpha_bar_at", "sigmas_of"},
    "sd_samplers_kdiffusion": {"ToyCompVisDenoiser"},
    "shared_options": {"labels"},
    "api.models": {"ScriptArg", "ScriptInfo", "script_info"},
    "sd_samplers_common": {"apply_refiner"},  # its second parameter differs from host to host
    "api.api": {"handle_exception", "rendered", "Api"},
    "sd_samplers_cfg_denoiser": {"CFGDenoiser.answer_of"},
    "sd_samplers_timesteps": {"CFGDenoiserTimesteps.answer_of"},
    "shared_state": {"State.clear_requests"},
    "rng": {"create_generator"},
    "shared": {"listfiles"},
}
FORGE_OWN = {
    "processing": {"Processed.__init__"},  # Forge has one parameter more at the end
    "sd_models": {"apply_alpha_schedule_override"},  # Forge has it inline
}


def _checkout(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is not set")
    return Path(path)


@pytest.fixture(scope="module")
def checkout():
    return _checkout("WEBUI_CHECKOUT")


@pytest.fixture(scope="module")
def real_host(checkout):
    if (checkout / "modules_forge").is_dir():
        name = "forge"
    else:
        name = "a1111" if (checkout / "modules" / "sd_schedulers.py").exists() else "a1111-1.8"
    with Host(name) as host:
        yield host


def _fake_modules(host):
    files = {}
    for root in reversed(host.imports.roots):
        for path in sorted((Path(root) / "modules").rglob("*.py")):
            files[str(path.relative_to(Path(root) / "modules")).removesuffix(".py").replace(os.sep, ".")] = path
    return sorted(files)


def _own_members(module):
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value


def test_functions_classes_and_methods_exist_with_these_parameters(real_host, checkout):
    """What the stand-in offers under a real name is what the host offers; it may offer less."""
    sources = {path: Source(path) for path in (checkout / "modules").glob("*.py")}
    problems, compared = [], 0
    for module_name in _fake_modules(real_host):
        real_name = SPLIT.get(module_name, module_name)
        path = checkout / "modules" / f"{real_name.replace('.', os.sep)}.py"
        if not path.exists():
            continue
        source = sources.get(path) or Source(path)
        module = importlib.import_module(f"modules.{module_name}")
        own = OWN.get(real_name, set())
        if real_host.flavour.is_forge:
            own = own | FORGE_OWN.get(real_name, set())
        for name, value in _own_members(module):
            where = f"modules.{real_name}.{name}"
            if name in own:
                continue
            real = source.definitions.get(name)
            if real is None:
                problems.append(f"{where} does not exist")
            elif inspect.isclass(value) and isinstance(real, ast.ClassDef):
                problems += class_differences(value, source, list(sources.values()), own, where)
            elif inspect.isfunction(value) and isinstance(real, ast.FunctionDef):
                problems += differences(value, real, where)
            compared += 1
    assert not problems, "\n".join(problems)
    assert compared > 80


def test_callback_registrations(real_host, checkout):
    from modules import script_callbacks

    source = Source(checkout / "modules" / "script_callbacks.py")
    theirs = {
        name: node
        for name, node in source.definitions.items()
        if name.startswith("on_") and isinstance(node, ast.FunctionDef)
    }
    ours = {name: value for name, value in vars(script_callbacks).items() if name.startswith("on_")}
    assert set(ours) == set(theirs)
    assert not [d for name, value in ours.items() for d in differences(value, theirs[name], name)]
    assert set(script_callbacks.callback_map) == {keyword.arg for keyword in source.value("callback_map").keywords}


@pytest.mark.parametrize(
    "sampler_name, files",
    [
        ("Euler", [("sd_samplers_common", "Sampler"), ("sd_samplers_kdiffusion", "KDiffusionSampler")]),
        ("DDIM", [("sd_samplers_common", "Sampler"), ("sd_samplers_timesteps", "CompVisSampler")]),
    ],
)
def test_attributes_of_samplers(real_host, checkout, sampler_name, files):
    from modules import sd_samplers

    sampler = sd_samplers.create_sampler(sampler_name, real_host.sd_model)
    assert set(vars(sampler)) == _real_attributes(checkout, files)


@pytest.mark.parametrize(
    "sampler_name, files",
    [
        ("Euler", [("sd_samplers_cfg_denoiser", "CFGDenoiser")]),
        ("DDIM", [("sd_samplers_cfg_denoiser", "CFGDenoiser"), ("sd_samplers_timesteps", "CFGDenoiserTimesteps")]),
    ],
)
def test_attributes_of_denoisers(real_host, checkout, sampler_name, files):
    from modules import sd_samplers

    denoiser = sd_samplers.create_sampler(sampler_name, real_host.sd_model).model_wrap_cfg
    ours = {*vars(denoiser), *dict(denoiser.named_children())} - set(vars(torch.nn.Module()))
    assert ours == _real_attributes(checkout, files)


def _real_attributes(checkout, files):
    return set().union(*(Source(checkout / "modules" / f"{file}.py").attributes(name) for file, name in files))


def test_fields_of_jobs(real_host, checkout):
    from modules import processing

    source = Source(checkout / "modules" / "processing.py")
    for name in ("StableDiffusionProcessing", "StableDiffusionProcessingImg2Img"):
        real = {node.target.id: node for node in source.definitions[name].body if isinstance(node, ast.AnnAssign)}
        inherited = {
            f.name
            for base in getattr(processing, name).__mro__[1:]
            if dataclasses.is_dataclass(base)
            for f in dataclasses.fields(base)
        }
        ours = {
            f.name: f
            for f in dataclasses.fields(getattr(processing, name))
            if f.name not in inherited or f.name in real
        }
        properties = {"sd_model", "mask_blur"}
        assert set(ours) - properties <= set(real), set(ours) - set(real)
        assert not [key for key in real if key not in ours], [key for key in real if key not in ours]
        for key, field in ours.items():
            if key in real and key not in properties:
                node = real[key].value
                is_result = isinstance(node, ast.Call)
                assert field.init != is_result, key
                if not is_result:
                    assert field.default == ast.literal_eval(node), key


def test_defaults_of_settings(real_host, checkout):
    tree = ast.parse((checkout / "modules" / "shared_options.py").read_text(encoding="utf-8"))
    real = {
        key.value: value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values)
        if isinstance(key, ast.Constant)
    }
    problems = []
    for key, info in real_host.opts.data_labels.items():
        calls = (
            [
                call
                for call in ast.walk(real[key])
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "OptionInfo"
            ]
            if key in real
            else []
        )
        if not calls:
            problems.append(f"{key} is no setting")
        elif key == "outdir_img2img_samples":  # a folder of the host's own; the stand-in has none and saves no clips
            assert info.default == ""
        elif ast.literal_eval(calls[0].args[0]) != info.default:
            problems.append(f"{key} is {ast.unparse(calls[0].args[0])}")
    assert not problems, "\n".join(problems)


def _table(source, name):
    """A list of tuples whose second entries may be functions."""
    rows = []
    for row in source.value(name).elts:
        label, function, aliases, options = row.elts
        function = function.value if isinstance(function, ast.Constant) else ast.unparse(function).rpartition(".")[2]
        rows.append((ast.literal_eval(label), function, ast.literal_eval(aliases), ast.literal_eval(options)))
    return rows


@pytest.mark.parametrize(
    "module_name, table",
    [
        ("sd_samplers_kdiffusion", "samplers_k_diffusion"),
        ("sd_samplers_timesteps", "samplers_timesteps"),
        ("sd_samplers_lcm", "samplers_lcm"),
    ],
)
def test_samplers(real_host, checkout, module_name, table):
    real = {row[0]: row for row in _table(Source(checkout / "modules" / f"{module_name}.py"), table)}
    module = importlib.import_module(f"modules.{module_name}")
    for label, function, aliases, options in getattr(module, table):
        name = function if isinstance(function, str) else function.__name__
        assert real[label][1] == name
        assert set(aliases) <= set(real[label][2])
        assert real[label][3] == options
    assert len(getattr(module, table)) == len(real)


def test_schedulers(real_host, checkout):
    if not real_host.flavour.has_schedulers:
        pytest.skip("this host has no list of schedulers")
    from modules import sd_schedulers

    rows = Source(checkout / "modules" / "sd_schedulers.py").value("schedulers").elts
    real = [
        (row.args[0].value, row.args[1].value, {k.arg: ast.literal_eval(k.value) for k in row.keywords}) for row in rows
    ]
    ours = [(s.name, s.label, s) for s in sd_schedulers.schedulers]
    assert [row[:2] for row in ours] == [row[:2] for row in real]
    for (_, _, scheduler), (_, label, keywords) in zip(ours, real):
        assert all(getattr(scheduler, key) == value for key, value in keywords.items()), label


def test_axis_options(real_host, checkout):
    source = Source(checkout / "scripts" / "xyz_grid.py")
    module = real_host.script("X/Y/Z plot").run_cells.__func__.__globals__
    for name in ("AxisOption", "AxisOptionImg2Img", "AxisOptionTxt2Img"):
        assert not differences(module[name].__init__, source.methods(name)["__init__"], name)
    assert not differences(module["Script"].run, source.methods("Script")["run"], "run")
    for name in ("re_range_float", "re_range_count_float"):
        assert module[name].pattern == source.value(name).args[0].value


def test_guards_of_the_api(real_host, checkout):
    """The extension takes its own over from the host's address for jobs."""
    source = Source(checkout / "modules" / "api" / "api.py")
    text = ast.unparse(source.methods("Api")["add_api_route"])
    assert "dependencies=[Depends(self.auth)]" in text and "cmd_opts.api_auth" in text
    assert "'/sdapi/v1/img2img', self.img2imgapi" in ast.unparse(source.methods("Api")["__init__"])
    # Both addresses read the scripts' entries by a method of the same object.
    methods = {name: ast.unparse(method) for name, method in source.methods("Api").items()}
    assert all("= self.init_script_args(" in methods[name] for name in ("img2imgapi", "text2imgapi"))
    assert "request.alwayson_scripts[alwayson_script_name]['args'][idx]" in methods["init_script_args"]


def test_what_a_sampling_in_forge_is_made_of(real_host, checkout):
    if not real_host.flavour.is_forge:
        pytest.skip("this host has one network, which is always ready")
    from modules_forge import forge_sampler
    from modules_forge.unet_patcher import UnetPatcher

    theirs = Source(checkout / "modules_forge" / "forge_sampler.py").definitions
    for name in ("sampling_prepare", "sampling_cleanup", "forge_sample"):
        assert not differences(getattr(forge_sampler, name), theirs[name], name)
    patcher = Source(checkout / "ldm_patched" / "modules" / "model_patcher.py").methods("ModelPatcher")
    name = "set_model_sampler_post_cfg_function"
    assert not differences(getattr(UnetPatcher, name), patcher[name], name)
    guidance = (checkout / "ldm_patched" / "modules" / "samplers.py").read_text(encoding="utf-8")
    assert all(f'"{key}": ' in guidance for key in ("denoised", "cond_denoised", "uncond_denoised"))
    processing = (checkout / "modules" / "processing.py").read_text(encoding="utf-8")
    assert "forge_objects = self.sd_model.forge_objects_after_applying_lora.shallow_copy()" in processing


def test_animatediff(real_host):
    folder = _checkout("ANIMATEDIFF_CHECKOUT") / "scripts"
    from scripts import animatediff_mm, animatediff_ui

    ui = Source(folder / "animatediff_ui.py")
    theirs = ui.methods("AnimateDiffProcess")["__init__"]
    assert [p[0] for p in parameters_of(theirs)] == list(
        inspect.signature(animatediff_ui.AnimateDiffProcess.__init__).parameters
    )
    mm = Source(folder / "animatediff_mm.py")
    real_class = mm.definitions["AnimateDiffMM"]
    has_flag = any("mm_injected" in names(node) for node in real_class.body)
    assert hasattr(animatediff_mm.AnimateDiffMM, "mm_injected") == has_flag
    for name, function in vars(animatediff_mm.AnimateDiffMM).items():
        if inspect.isfunction(function):
            assert not differences(function, mm.methods("AnimateDiffMM")[name], name)
    assert "mm_animatediff" in mm.definitions
    imported = {
        alias.asname
        for node in ast.walk(Source(folder / "animatediff.py").tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert "motion_module" in imported


def test_fakes_are_below_the_tests(real_host):
    """The comparison would prove nothing if the real modules were imported."""
    for name in ("modules.scripts", "modules.processing", "modules.shared"):
        assert Path(importlib.import_module(name).__file__).is_relative_to(HERE)
