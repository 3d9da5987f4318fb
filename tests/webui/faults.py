"""Faults for the extension: an exception at any one of the calls that it makes, and the jobs in which they are tried."""

import base64
import contextlib
import io
import logging
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image, ImageOps
from standin import Host, toy

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "noise_rectification.py"
TITLE = "Noise Rectification"
_OWN = (str(ROOT / "lib_noiserect"), str(SCRIPT))


class InjectedError(Exception):
    """No kind of error that any code expects."""


class Watch:
    """Inside the block, lists the places where the extension calls something, and raises at the first visit of `place`.

    A place is (file, line, callee). Calls of C functions, such as setattr and torch's, are places too.
    """

    def __init__(self, place=None):
        self.place, self.places, self.raised = place, {}, False

    def __enter__(self):
        sys.setprofile(self._see)
        return self

    def __exit__(self, *exc_info):
        sys.setprofile(None)

    def _see(self, frame, event, arg):
        if event == "call":
            caller, callee = frame.f_back, frame.f_code.co_name
        elif event == "c_call":
            caller, callee = frame, arg.__name__
        else:
            return
        if caller is None or not caller.f_code.co_filename.startswith(_OWN):
            return
        place = (caller.f_code.co_filename[len(str(ROOT)) + 1 :], caller.f_lineno, callee)
        if place == self.place and not self.raised:
            self.raised = True
            raise InjectedError(f"{place[0]}:{place[1]} {callee}")  # Python switches the watch off
        self.places[place] = self.places.get(place, 0) + 1


def encoded(image):
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def picture():
    image = Image.linear_gradient("L").resize((64, 64))
    return Image.merge("RGB", (image, image.rotate(90), ImageOps.invert(image)))


@dataclass
class Outcome:
    """What a job ended with: its images and texts, or its error."""

    images: list = field(default_factory=list)
    infotext: str = ""
    error: str = ""


class Trial:
    """One kind of job in one host: the settings of the extension, and the arguments of the job."""

    def __init__(self, host, settings, **job):
        self.host, self.settings = host, settings
        self.tab = job.pop("tab", "img2img")
        self.job = {"steps": 3, "frames": 2, **job}

    def run(self, settings=None, **more):
        arguments = {**self.job, **more}
        if settings is not None:
            arguments["script_args"] = {TITLE: settings if isinstance(settings, list) else [settings]}
        torch.manual_seed(5)  # the host encodes images with unseeded noise
        try:
            job = self.host.img2img(picture() if self.tab == "img2img" else None, **arguments)
        except Exception as error:
            return Outcome(error=f"{type(error).__name__}: {getattr(error, 'detail', None) or error}")
        # A file's name has a number of its own.
        images = [Path(image).read_bytes() if isinstance(image, str) else image.tobytes() for image in job.processed.images]
        return Outcome(images, (job.infotexts or [""])[0])

    def asked(self):
        return self.run(self.settings)

    def plain(self):
        """Two plain jobs after it, with AnimateDiff and without."""
        self.host.state.interrupted = False
        return [self.run(), self.run(animatediff=None, frames=1)]


_KEY = encoded(ImageOps.mirror(picture()))
_MASK = Image.linear_gradient("L").resize((64, 64)).point(lambda value: 255 * (value > 100))
_CONTROLS = {
    "enabled": True,
    "tau_end": 0.7,
    "omega": "motion",
    "motion": 0.9,
    "loop": True,
    "release": 0.3,
    "hold_colour": True,
    "start_time": 0.9,
    "key_frames": {"1": _KEY},
    "motion_mask": _KEY,
    "mask_feather": 0.0,
}
_COMPARISON = {"noise_rectification_comparison": True}
# Settings, and arguments of the job.
TRIALS = {
    "all controls by the API": (_CONTROLS, {"is_api": True}),
    "timesteps": ({"enabled": True, "tau_unit": "noise level"}, {"sampler": "DDIM", "steps": 5}),
    "Brownian noise and two batches": ({"enabled": True}, {"sampler": "DPM++ SDE", "n_iter": 2}),
    "a similarity": ({"enabled": True, "target_ssim": 0.3}, {"steps": 2}),
    "text to video": ({"create": True, "candidates": 2}, {"tab": "txt2img"}),
    "candidates": ({"create": True, "candidates": 2, "scorer": "pick"}, {"tab": "txt2img"}),
    "animated image": ({"enabled": True, "create": True}, {}),
    "inpaint mask": (
        {"enabled": True, "inpaint_mask": True},
        {"mask": _MASK, "inpaint_full_res": False, "inpainting_fill": 1},
    ),
    "comparison": (
        {"enabled": True},
        {"override_settings": _COMPARISON, "width": 128, "height": 128, "outpath_samples": "FOLDER"},
    ),
    "a wrong value": ({"enabled": True, "tau_end": 7}, {"is_api": True}),
    "a wrong list": ({"enabled": True, "omega": [1, 0.5, 0.2]}, {}),
    "too little motion": ({"enabled": True, "omega": "motion", "motion": 0.01, "tau_end": 0.4}, {}),
}


def sweep(trial, folder, places=lambda places: places):
    """Try a fault at each of the places that `places` chooses of all.

    Returns how often a job was refused, was the rectified one in spite of the fault ("unharmed"), was a "plain clip" or
    another one ("other clip"), and how often it changed later plain jobs ("changed"); and the places of the last three.
    """
    host_name, name = trial
    settings, job = TRIALS[name]
    job = {key: str(folder) if value == "FOLDER" else value for key, value in job.items()}
    counts, wrong = Counter(), []
    with Host(host_name) as host, quiet():
        host.load_script(SCRIPT)
        host.uncond_model = lambda x, level, host: 0.9 * toy.prior(x, level, host)  # so that candidates have scores
        trial = Trial(host, settings, **job)
        plain, expected = trial.plain(), trial.asked()
        with Watch() as watch:
            assert trial.asked() == expected
        assert trial.plain() == plain and not any(outcome.error for outcome in plain)
        # The sheet or the candidates behind the video may be missing, but none of candidates alone.
        count = len(expected.images if name == "candidates" else plain[0].images)
        # What AnimateDiff's `postprocess` itself raises leaves single frames, with the extension or without.
        for place in places([place for place in watch.places if place[2] != "postprocess"]):
            with Watch(place) as watch:
                outcome = trial.asked()
            if outcome.error:
                kind = "refused"
            elif outcome.images[:count] == expected.images[:count] or not watch.raised:
                kind = "unharmed"
            else:
                kind = "plain clip" if outcome.images == plain[0].images else "other clip"
            counts[kind] += 1
            wrong += [(kind, place)] if kind.endswith("clip") else []
            if trial.plain() != plain:
                counts["changed"] += 1
                wrong.append(("changed", place))
                host.__exit__(None, None, None)
                host.__enter__()  # a new one: what the fault left may lie in the model
    return counts, wrong


@contextlib.contextmanager
def quiet():
    """The console has thousands of tracebacks otherwise."""
    logger = logging.getLogger("noise_rectification")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False
