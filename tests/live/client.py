"""A running web UI, reached by its API."""

import base64
import copy
import io
import json

import numpy as np
import requests
from PIL import Image, ImageDraw

SIZE, FRAMES, STEPS = 64, 4, 6


def draw_picture():
    """Gradients, edges and a few details: something that a VAE has to work for."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    picture = Image.fromarray(np.stack([x * 4, y * 4, (x + y) * 2], axis=2).clip(0, 255).astype("uint8"))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((8, 8, 26, 30), fill=(230, 60, 40))
    pen.ellipse((34, 32, 58, 56), fill=(30, 110, 240))
    return picture


def encode(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class Result:
    """The answer to one job: each image's bytes in `png`, its pixels in `pictures`, and those of a frame's size in `frames`.

    Forge adds a grid of all frames, since over the API its AnimateDiff comes to no clip.
    """

    def __init__(self, body):
        self.info = json.loads(body["info"])
        self.png = [base64.b64decode(image) for image in body["images"]]
        self.pictures = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.int16) for png in self.png]
        self.infotext = self.info["infotexts"][0]

    @property
    def frames(self):
        return np.stack([picture for picture in self.pictures if picture.shape == (SIZE, SIZE, 3)])


# The host puts an overridden option back only if its settings file has it.
OVERRIDDEN = [
    "overlay_inpaint", "img2img_extra_noise", "img2img_fix_steps", "eta_ancestral", "eta_noise_seed_delta",
    "no_dpmpp_sde_batch_determinism", "skip_early_cond", "pad_cond_uncond", "batch_cond_uncond", "sd_model_checkpoint",
    "token_merging_ratio_img2img", "show_progress_every_n_steps", "show_progress_type", "live_preview_allow_lowvram_full",
]  # fmt: skip


class WebUI:
    def __init__(self, url, job=()):
        """`job`: what each job has otherwise, for a machine that is slow."""
        self.url = url.rstrip("/")
        self.job = dict(job)
        self.samplers = [sampler["name"] for sampler in self.get("/sdapi/v1/samplers")]
        # What Forge and reForge have built in, and whose AnimateDiff patches the network for each sampling.
        self.patches = self.has_script("Never OOM Integrated")

    def get(self, path):
        response = requests.get(self.url + path, timeout=30)
        response.raise_for_status()
        return response.json()

    def post(self, settings=None, *, animatediff=None, scripts=None, tab="img2img", **job):
        """The raw response to a job. `settings`: Noise Rectification's; None leaves it out of the request."""
        payload = {
            **({"init_images": [encode(draw_picture())]} if tab == "img2img" else {}),
            "prompt": "a red square and a blue ball",
            "seed": 1,
            "width": SIZE,
            "height": SIZE,
            "steps": STEPS,
            "sampler_name": "Euler",
            "scheduler": "Automatic",
            "denoising_strength": 0.8,
            "cfg_scale": 7,
            "alwayson_scripts": copy.deepcopy(scripts or {}),
        }
        payload.update({**self.job, **job})
        if animatediff is not False:
            payload["alwayson_scripts"]["AnimateDiff"] = {
                "args": [
                    {
                        "model": "mm_sd15_v3.safetensors",
                        "enable": True,
                        "video_length": FRAMES,
                        "batch_size": FRAMES,
                        "fps": 4,
                        "format": ["PNG"],
                        **(animatediff or {}),
                    }
                ]
            }
        if settings is not None:
            if not isinstance(settings, list):
                settings = [{"enabled": True, **settings}]
            payload["alwayson_scripts"]["Noise Rectification"] = {"args": settings}
        return requests.post(f"{self.url}/sdapi/v1/{tab}", json=payload, timeout=900)

    def run(self, *args, **kwargs):
        return self.result(self.post(*args, **kwargs))

    def result(self, response):
        assert response.status_code == 200, response.text[:2000]
        return Result(response.json())

    def round_trip(self):
        """The picture through the VAE and back: a job whose mask protects everything, without the final overlay."""
        black = encode(Image.new("L", (SIZE, SIZE), 0))
        return self.run(
            animatediff=False,
            mask=black,
            mask_blur=0,
            inpaint_full_res=False,
            inpainting_fill=1,
            override_settings={"overlay_inpaint": False},
        ).frames[0]

    def has_script(self, title):
        return title.lower() in self.get("/sdapi/v1/scripts")["img2img"]
