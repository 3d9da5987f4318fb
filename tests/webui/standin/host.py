"""The stand-in's face: enter a Host, load an extension's script, run img2img jobs."""

import json
import sys
from contextlib import closing
from pathlib import Path

import torch

from standin import flavours, jobs, toy
from standin.imports import HERE, FakeImports
from standin.recorder import Recording

EXTENSIONS = HERE / "extensions"


class Host:
    """`Host("a1111")` or another of `flavours.FLAVOURS`; usable inside `with` only.

    model, uncond_model   fn(x, level, host) -> clean latents [F, 4, h, w]: the answer after guidance, and the one to the
                          negative prompt (None: the same)
    on_model_call         fn(k, x, level), before the k-th model call of a job; it may set `host.state.interrupted`
    recorder              True: `job.events` in the format of the traces
    script                the extension's script, loaded when the host starts; `load_script` loads one later
    """

    def __init__(self, name="a1111", *, script=None, animatediff=True, animatediff_first=True, api=True):
        self.flavour = flavours.FLAVOURS[name]
        self.has_animatediff = animatediff
        self.animatediff_first = animatediff_first
        self.has_api = api
        self.model = toy.prior
        self.uncond_model = None
        self.on_model_call = None
        self.model_calls = 0
        self.recorder = False
        self.nested_job_on_postprocess_image = False
        self.nested_job_frames = 1
        self.nested_jobs = []
        self.recording = Recording(self)
        self.script_path = script and Path(script).resolve()
        self.denoiser = None
        self.imports = FakeImports(self.flavour.overlays)
        self.starts = 0

    def __enter__(self):
        self._flavour_before, flavours.active = flavours.active, self.flavour
        self.imports.enter()
        try:
            self._seed_brownian_noise()
            if not self.starts:
                self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *exc_info):
        if hasattr(self, "_brownian"):
            self._brownian._randn = self._brownian_randn
        self.imports.leave()
        flavours.active = self._flavour_before

    def _start(self):
        from modules import errors, sd_models, shared

        sys.path.insert(0, str(EXTENSIONS / "common"))
        shared.sd_model = sd_models.SdModel(self)
        self.opts, self.state, self.sd_model = shared.opts, shared.state, shared.sd_model
        self.logs = errors.reported
        self._load()

    def _seed_brownian_noise(self):
        """The host replaces torchsde's generator by its own, which is seeded whatever the device."""
        import torchsde._brownian.brownian_interval as brownian
        from modules import devices

        self._brownian, self._brownian_randn = brownian, brownian._randn
        brownian._randn = lambda size, dtype, device, seed: devices.randn_local(seed, size).to(device, dtype)

    def load_script(self, path):
        """Reload UI with this script: callbacks cleared, scripts made again."""
        self.script_path = Path(path).resolve()
        self._load()

    def _load(self):
        from modules import script_callbacks, scripts, shared

        self.starts += 1
        if self.script_path:
            self.imports.extension_dirs.append(str(self.script_path.parent.parent))
        if scripts.scripts_img2img is not None:
            script_callbacks.app_reload_callback()
            script_callbacks.script_unloaded_callback()
        scripts.extension_scripts[:] = self._extension_scripts(scripts.ScriptFile)
        scripts.load_scripts()
        script_callbacks.before_ui_callback()
        script_callbacks.ui_settings_callback()
        import fastapi
        import gradio as gr
        from modules.api import api

        with gr.Blocks() as shared.demo:
            for runner, is_img2img in ((scripts.scripts_txt2img, False), (scripts.scripts_img2img, True)):
                gr.Button(value="Generate", elem_id=f"{'img2img' if is_img2img else 'txt2img'}_generate")
                scripts.scripts_current = runner
                runner.initialize_scripts(is_img2img=is_img2img)
                runner.prepare_ui()
                runner.setup_ui()
        self.app = fastapi.FastAPI()
        # Without --api the host makes none.
        self._api = api.Api(self.app) if self.has_api else None
        script_callbacks.app_started_callback(shared.demo, self.app)

    def _extension_scripts(self, script_file):
        def files(folder, paths=None):
            paths = paths or sorted((folder / "scripts").glob("*.py"))
            return [script_file(str(folder), path.name, str(path)) for path in paths]

        # Every file in a scripts folder is loaded, also those that the others import: their classes exist twice.
        own = EXTENSIONS / self.flavour.extension
        animatediff = [*files(EXTENSIONS / "common"), *files(own)] if self.has_animatediff else []
        tested = files(self.script_path.parent.parent, [self.script_path]) if self.script_path else []
        groups = [animatediff, tested] if self.animatediff_first else [tested, animatediff]
        return [*groups[0], *groups[1], *files(EXTENSIONS / "zz-tests")]

    def script(self, title, is_img2img=True):
        from modules import scripts

        return (scripts.scripts_img2img if is_img2img else scripts.scripts_txt2img).script(title)

    def img2img(self, picture, **arguments):
        """A job of the img2img tab; see `jobs.make_job` for the arguments. What a job raises reaches the test."""
        p = jobs.make_job(self, picture, **arguments)
        return jobs.finished(p, self._in_the_hosts_thread(p), self.recording.events)

    def _in_the_hosts_thread(self, p):
        if not self.flavour.is_forge or p.is_api:
            return self._process(p)
        from modules_forge import main_thread

        [processed] = list(main_thread.run_and_wait_result(lambda: [self._process(p)]))
        return processed

    def txt2img(self, **arguments):
        """A job of the txt2img tab."""
        return self.img2img(None, **arguments)

    def _process(self, p):
        from modules import processing

        self._begin("job")
        try:
            with closing(p):
                processed = p.scripts.run(p, *p.script_args)
                return processing.process_images(p) if processed is None else processed
        finally:
            self._end()

    def _begin(self, job):
        self.recording.events = []
        self.model_calls = 0
        self.nested_jobs = []
        self.state.begin(job=job)

    def _end(self):
        self.state.end()
        self.state.clear_requests()

    def xyz(self, p_kwargs, cells):
        """X/Y/Z plot. A cell is a function that changes the copied job, or a list of (axis label, value as text)."""
        p_kwargs = dict(p_kwargs)
        p = jobs.make_job(self, p_kwargs.pop("picture"), **p_kwargs)
        self._begin("xyz")
        try:
            with closing(p):
                results = self.script("X/Y/Z plot").run_cells(p, cells)
        finally:
            self._end()
        return [jobs.finished(cell_p, processed) for cell_p, processed in results]

    def api_img2img(self, payload):
        """(status, body) of POST /sdapi/v1/img2img."""
        return self._api_answer("img2imgapi", payload)

    def api_txt2img(self, payload):
        """(status, body) of POST /sdapi/v1/txt2img."""
        return self._api_answer("text2imgapi", payload)

    def _api_answer(self, name, payload):
        from modules.api import api

        self._begin("api")
        try:
            return 200, json.loads(api.rendered(getattr(self._api, name)(json.loads(json.dumps(payload)))))
        except Exception as e:
            status, body = api.handle_exception(e)
            return status, json.loads(api.rendered(body))
        finally:
            self._end()

    def paste(self, infotext, is_img2img=True):
        """What the paste button would set: [(component, value)] of the scripts' own fields, None for "leave it"."""
        from modules import errors, infotext_utils, script_callbacks, scripts

        params = infotext_utils.parse_generation_parameters(infotext)
        script_callbacks.infotext_pasted_callback(infotext, params)
        runner = scripts.scripts_img2img if is_img2img else scripts.scripts_txt2img
        result = []
        for component, target in runner.infotext_fields:
            try:
                value = target(params) if callable(target) else params.get(target)
            except Exception:
                errors.report(f"Error executing {target}", exc_info=True)
                value = None
            result.append((component, self._pasted(component, value)))
        return result

    def _pasted(self, component, value):
        """Texts become what the component holds now; a text that cannot is ignored."""
        if value is None or not isinstance(value, str):
            return value
        kind = type(component.value)
        try:
            if kind is bool and value == "False":
                return False
            return float(value) if kind is int else kind(value)
        except Exception:
            return None

    # What the fake modules call.

    def before_model_call(self, denoiser, x, sigma):
        self.denoiser = denoiser
        call, self.model_calls = self.model_calls, self.model_calls + 1
        if self.on_model_call is not None:
            self.on_model_call(call, x, float(sigma[0]))

    def answer(self, x, level):
        clean = self.model(x.clone(), level, self)
        if clean.shape != x.shape:
            raise ValueError(f"host.model answered {tuple(clean.shape)} for {tuple(x.shape)}")
        return clean.to(x)

    def keep_latents(self, p, samples):
        p.standin_latents = [*p.__dict__.get("standin_latents", []), samples.detach().clone()]
        p.standin_sampler = p.sampler

    # What a test's model may ask.

    def scales(self, level):
        """(a, s) of x = a·clean + s·noise at the level that `model` is asked at."""
        from modules import sd_models, sd_samplers_timesteps

        counts_in_timesteps = isinstance(self.denoiser, sd_samplers_timesteps.CFGDenoiserTimesteps)
        if self.flavour.is_forge or not counts_in_timesteps:
            return 1.0, level
        alpha_bar = sd_models.alpha_bar_at(self.sd_model.alphas_cumprod, torch.tensor([level]))
        return float(alpha_bar.sqrt()), float((1 - alpha_bar).sqrt())

    def frames_are_connected(self):
        """Whether the motion module is in the network now."""
        return bool(self.motion_blocks())

    def motion_blocks(self):
        """What the network calls of the motion module now."""
        if not self.flavour.is_forge:
            motion_module = getattr(self.sd_model.model.diffusion_model, "motion_module", None)
            return [] if motion_module is None else [motion_module.block]
        if not self.flavour.calls_block_modifiers:
            return []
        return self.sd_model.forge_objects.unet.model_options.get("block_inner_modifiers", [])
