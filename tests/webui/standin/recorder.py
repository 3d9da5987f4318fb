"""Writes down what a job does, in the format of the traces of the real hosts."""

import functools
import inspect

import torch

HOOKS = (
    "before_process",
    "process",
    "before_process_batch",
    "process_batch",
    "process_before_every_sampling",
    "post_sample",
    "postprocess_batch",
    "postprocess_batch_list",
    "postprocess_image",
    "postprocess",
)
_WITH_STATE = (
    "before_process",
    "process",
    "before_process_batch",
    "process_batch",
    "process_before_every_sampling",
    "postprocess",
)


def _rms(tensor):
    return round(float(tensor.double().pow(2).mean().sqrt()), 6)


def _level(sigma):
    return round(float(torch.as_tensor(sigma).flatten()[0]), 6)


def _described(value):
    if isinstance(value, torch.Tensor):
        return value.item() if value.ndim == 0 else [round(float(entry), 6) for entry in value]
    return value if isinstance(value, (bool, int, float, str)) else type(value).__name__


class Recording:
    def __init__(self, host):
        self.host = host
        self.events = []

    def hook(self, name, p, kwargs):
        if name == "process_batch":
            self._watch(p.sampler)
        event = {}
        if name == "process_before_every_sampling":
            event["kwargs"] = {
                key: list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                for key, value in kwargs.items()
            }
        elif kwargs:
            event["kwargs"] = sorted(kwargs)
        if name in _WITH_STATE:
            event.update(self._state(p))
        self.events.append([name, event])

    def _state(self, p):
        state = {"batch_size": p.batch_size, "n_iter": p.n_iter, "sampler": p.sampler is not None}
        latent = getattr(p, "init_latent", None)
        if latent is not None:
            rows = latent.flatten(1).double()
            state["init_latent"] = list(latent.shape)
            state["frames_equal"] = all(torch.equal(row, rows[0]) for row in rows)
            state["frame_corr"] = [round(float(torch.corrcoef(torch.stack([rows[0], row]))[0, 1]), 2) for row in rows]
        script = p.scripts.script("AnimateDiff")
        if script is not None:
            motion_module = script.before_process.__func__.__globals__["motion_module"]
            state["motion_module_injected"] = getattr(motion_module, "mm_injected", "unknown (no mm_injected here)")
            state["animatediff_arg"] = type(p.script_args[script.args_from]).__name__
        return state

    def _watch(self, sampler):
        """Around the sampler function, once a job; what an extension puts around it later stays outside."""
        if hasattr(sampler.func, "watched"):
            return
        function = sampler.func

        @functools.wraps(function)
        def watched(model, x, *args, **kwargs):
            return self._run(function, sampler, model, x, args, kwargs)

        watched.watched = True
        sampler.func = watched

    def _run(self, function, sampler, model, x, args, kwargs):
        from modules.sd_samplers_timesteps import CompVisSampler

        sampling = self.host.imports.sampling
        if callable(kwargs.get("noise_sampler")):
            kwargs = {**kwargs, "noise_sampler": self._noise_sampler(kwargs["noise_sampler"])}
        self.events.append(
            [
                "sampler_func",
                {
                    "function": function.__name__,
                    "parameters": list(inspect.signature(function).parameters),
                    "positional": len(args),
                    "keywords": {key: _described(value) for key, value in kwargs.items()},
                    "x": list(x.shape),
                    "x_dtype": str(x.dtype),
                    "timestep_sampler": isinstance(sampler, CompVisSampler),
                    "parameterization": sampler.p.sd_model.parameterization,
                },
            ]
        )
        clean = sampler.model_wrap_cfg.init_latent[:1]
        watched_model = WatchedModel(model, self)
        host_torch = sampling.torch
        sampling.torch = WatchedTorch(host_torch, self.events)
        try:
            result = function(watched_model, x, *args, **kwargs)
        finally:
            sampling.torch = host_torch
        self.events.append(
            [
                "sampler_done",
                {
                    "rms_from_clean": _rms(result - clean),
                    "rms_clean": _rms(clean),
                    "total_steps": model.total_steps,
                    "state_sampling_steps": self.host.state.sampling_steps,
                    "level_dtype": vars(watched_model)["level_dtype"],
                    "extra_args": sorted(kwargs["extra_args"]),
                },
            ]
        )
        return result

    def _noise_sampler(self, noise_sampler):
        def watched_noise_sampler(sigma, sigma_next):
            self.events.append(["noise_sampler", _level(sigma), _level(sigma_next)])
            return noise_sampler(sigma, sigma_next)

        return watched_noise_sampler


class WatchedModel:
    """The model that a sampler function is given; calls and every attribute that is read or set are events."""

    def __init__(self, model, recording):
        vars(self).update(model=model, recording=recording, level_dtype=None)

    def __call__(self, x, sigma, **kwargs):
        model, recording = vars(self)["model"], vars(self)["recording"]
        vars(self)["level_dtype"] = str(sigma.dtype)
        recording.events.append(
            [
                "model_call",
                _level(sigma),
                {
                    "denoiser_step": getattr(model, "step", None),
                    "state_sampling_step": recording.host.state.sampling_step,
                },
            ]
        )
        return model(x, sigma, **kwargs)

    def __getattr__(self, name):
        vars(self)["recording"].events.append(["model_get", name])
        return getattr(vars(self)["model"], name)

    def __setattr__(self, name, value):
        vars(self)["recording"].events.append(["model_set", name, repr(value)])
        setattr(vars(self)["model"], name, value)


class WatchedTorch:
    def __init__(self, host_torch, events):
        self._host_torch = host_torch
        self._events = events

    def __getattr__(self, name):
        return getattr(self._host_torch, name)

    def randn_like(self, x):
        self._events.append(["randn_like", list(x.shape)])
        return self._host_torch.randn_like(x)
