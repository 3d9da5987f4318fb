"""Stand-in of /sdapi/v1/img2img and txt2img: the arguments of scripts, the answer, and how an exception becomes a status."""

import base64
import dataclasses
import io
import json
from contextlib import closing
from types import SimpleNamespace

import gradio as gr
from fastapi import Depends, HTTPException
from modules import errors, infotext_utils, scripts, sd_samplers, shared
from modules.processing import StableDiffusionProcessingImg2Img, StableDiffusionProcessingTxt2Img, process_images
from PIL import Image
from standin import flavours

# Fields of a job that a request cannot set, and fields of a request that are none of a job.
_NOT_ALLOWED = {
    *("ddim_discretize", "do_not_reload_embeddings", "extra_generation_params", "outpath_grids", "outpath_samples"),
    *("overlay_images", "prompt_for_display", "sd_model", "seed_enable_extras"),
}
_OF_REQUEST = {
    "init_images",
    "script_name",
    "script_args",
    "send_images",
    "save_images",
    "alwayson_scripts",
    "force_task_id",
    "infotext",
    "include_init_images",
    "sampler_index",
    "sampler_name",
    "mask",
}
# The host's request is an object with these attributes.
_OF_SCRIPTS = {"alwayson_scripts": dict, "script_args": list}


def decode_base64_to_image(encoding):
    if encoding.startswith("data:image/"):
        encoding = encoding.partition(",")[2]
    try:
        return Image.open(io.BytesIO(base64.b64decode(encoding)))
    except Exception as e:
        raise HTTPException(status_code=500, detail="Invalid encoded image") from e


def encode_pil_to_base64(image):
    if isinstance(image, str):  # AnimateDiff's clips are encoded already
        return image.encode()
    with io.BytesIO() as stream:
        image.save(stream, format="PNG")
        return base64.b64encode(stream.getvalue())


def script_name_to_index(name, scripts):
    for index, script in enumerate(scripts):
        if name.lower() == script.title().lower():
            return index
    raise HTTPException(status_code=422, detail=f"Script '{name}' not found")


def validate_sampler_name(name):
    if name not in sd_samplers.all_samplers_map:
        raise HTTPException(status_code=400 if flavours.active.has_schedulers else 404, detail="Sampler not found")
    return name


class Api:
    """Its addresses and their guard are `Api.__init__`, `add_api_route` and `auth` of A1111 1.10.1's modules/api/api.py."""

    def __init__(self, app):
        self.app = app
        self.credentials = dict(pair.split(":") for pair in (shared.cmd_opts.api_auth or "").split(",") if pair)
        self.add_api_route("/sdapi/v1/img2img", self.img2imgapi, methods=["POST"])
        self.add_api_route("/sdapi/v1/txt2img", self.text2imgapi, methods=["POST"])
        self.add_api_route("/sdapi/v1/scripts", self.get_scripts_list, methods=["GET"])
        self.add_api_route("/sdapi/v1/script-info", self.get_script_info, methods=["GET"])
        self.default_script_arg_txt2img = self.init_default_script_args(scripts.scripts_txt2img)
        self.default_script_arg_img2img = self.init_default_script_args(scripts.scripts_img2img)

    def add_api_route(self, path, endpoint, **kwargs):
        if shared.cmd_opts.api_auth:
            kwargs["dependencies"] = [Depends(self.auth)]
        return self.app.add_api_route(path, endpoint, **kwargs)

    def auth(self, credentials):
        if self.credentials.get(credentials.username) == credentials.password:
            return True
        raise HTTPException(401, "Incorrect username or password", {"WWW-Authenticate": "Basic"})

    def get_scripts_list(self):
        """Titles in lower case, and none of a script without controls."""
        runners = {"txt2img": scripts.scripts_txt2img, "img2img": scripts.scripts_img2img}
        return {tab: [script.name for script in runner.scripts if script.name] for tab, runner in runners.items()}

    def get_script_info(self):
        runners = scripts.scripts_txt2img, scripts.scripts_img2img
        every = [script for runner in runners for script in runner.scripts]
        return [dataclasses.asdict(script.api_info) for script in every if script.api_info is not None]

    def get_script(self, script_name, script_runner):
        return script_runner.scripts[script_name_to_index(script_name, script_runner.scripts)]

    def init_default_script_args(self, script_runner):
        """`ui()` is called again, twice, outside of the page, for the values of its controls."""
        last = max((script.args_to for script in script_runner.scripts), default=1)
        script_args = [0] + [None] * (last - 1)
        with gr.Blocks():
            for script in script_runner.scripts:
                twice = [script.ui(script.is_img2img)]
                if twice[0]:
                    twice.append(script.ui(script.is_img2img))
                    script_args[script.args_from : script.args_to] = [control.value for control in twice[1]]
        return script_args

    def init_script_args(self, request, default_script_args, selectable, script_runner, from_infotext):
        script_args = default_script_args.copy()
        for index, value in from_infotext.items():
            script_args[index] = value
        if selectable is not None:
            script_args[selectable.args_from : selectable.args_to] = request.script_args
            script_args[0] = script_runner.selectable_scripts.index(selectable) + 1
        for name, given in request.alwayson_scripts.items():
            script = self.get_script(name, script_runner)
            if not script.alwayson:
                raise HTTPException(status_code=422, detail=f"{name} is not always on")
            # Items beyond the script's own number are dropped without a word; missing ones stay at their defaults.
            args = given.get("args", [])
            for index in range(min(script.args_to - script.args_from, len(args))):
                script_args[script.args_from + index] = args[index]
        return script_args

    def apply_infotext(self, request, values, script_runner):
        """{place: value} of the scripts' arguments that the request's infotext names; of the job, seed and steps only.

        As `Api.apply_infotext` of A1111 1.10.1, which has it since 1.9: a value becomes what the control holds now.
        """
        if not request.get("infotext"):
            return {}
        params = infotext_utils.parse_generation_parameters(request["infotext"])
        for name, key in (("seed", "Seed"), ("steps", "Steps")):
            if name not in request and key in params:
                values[name] = int(params[key])
        places = {control: place for place, control in enumerate(script_runner.inputs) if control is not None}
        found = {}
        for component, target in script_runner.infotext_fields:
            if component not in places:
                continue
            value = target(params) if callable(target) else params.get(target)
            kind = type(component.value)
            if value is None or kind is type(None):
                continue
            if isinstance(value, dict) and value.get("__type__") == "generic_update":
                value = value.get("value")
            found[places[component]] = value if value is None or isinstance(value, kind) else kind(value)
        return found

    def img2imgapi(self, request: dict):
        init_images = request.get("init_images")
        if init_images is None:
            raise HTTPException(status_code=404, detail="Init image not found")
        pictures = [decode_base64_to_image(image) for image in init_images]
        runner, defaults = scripts.scripts_img2img, self.default_script_arg_img2img
        return self._answer(request, StableDiffusionProcessingImg2Img, runner, defaults, pictures)

    def text2imgapi(self, request: dict):
        runner, defaults = scripts.scripts_txt2img, self.default_script_arg_txt2img
        return self._answer(request, StableDiffusionProcessingTxt2Img, runner, defaults)

    def _answer(self, request, job_class, runner, defaults, pictures=None):
        fields = {field.name for field in dataclasses.fields(job_class) if field.init}
        allowed = fields - _NOT_ALLOWED - _OF_REQUEST
        values = {key: value for key, value in request.items() if key in allowed}
        asked = request.get("sampler_name") or request.get("sampler_index") or "Euler"
        if flavours.active.has_schedulers:
            asked, scheduler = sd_samplers.get_sampler_and_scheduler(asked, request.get("scheduler"))
            if not request.get("scheduler") and scheduler != "Automatic":
                values["scheduler"] = scheduler
        if request.get("mask"):
            values["mask"] = decode_base64_to_image(request["mask"])
        # As the host: over what the request says.
        values.update(sampler_name=validate_sampler_name(asked), do_not_save_samples=True, do_not_save_grid=True)
        from_infotext = self.apply_infotext(request, values, runner)
        asked_script, selectable = request.get("script_name"), None
        if asked_script:
            selectable = runner.selectable_scripts[script_name_to_index(asked_script, runner.selectable_scripts)]
        of_scripts = SimpleNamespace(**{name: request.get(name) or of() for name, of in _OF_SCRIPTS.items()})
        script_args = self.init_script_args(of_scripts, defaults, selectable, runner, from_infotext)

        with closing(job_class(**values)) as p:
            if pictures is not None:
                p.init_images = pictures
            p.is_api = True
            p.scripts = runner
            p.outpath_samples = shared.opts.outdir_img2img_samples
            try:
                shared.state.begin(job="scripts")
                if selectable is not None:
                    p.script_args = script_args
                    processed = runner.run(p, *script_args)
                else:
                    p.script_args = tuple(script_args)
                    processed = process_images(p)
            finally:
                shared.state.end()
        pictures = list(map(encode_pil_to_base64, processed.images)) if request.get("send_images", True) else []
        parameters = {key: value for key, value in request.items() if key not in ("init_images", "mask")}
        return {"images": [picture.decode() for picture in pictures], "parameters": parameters, "info": processed.js()}


def rendered(content):
    """The bytes of an answer, as starlette's JSONResponse makes them: UTF-8, and no NaN."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode()


def handle_exception(e):
    """(status, body), by attributes: anything with a `status_code` and a `detail` is answered with them."""
    body = {
        "error": type(e).__name__,
        "detail": vars(e).get("detail", ""),
        "body": vars(e).get("body", ""),
        "errors": str(e),
    }
    if not isinstance(e, HTTPException):
        errors.report(f"API error: POST: /sdapi/v1/img2img {body}", exc_info=True)
    return vars(e).get("status_code", 500), body
