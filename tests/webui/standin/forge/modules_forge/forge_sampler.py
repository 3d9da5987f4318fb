"""Stand-in of Forge's guided network call; extensions recognise Forge by this module's package."""

import math

ready = []
"""The patches that are where they compute."""


def sampling_prepare(unet, x):
    ready[:] = [unet.model_options.get("block_inner_modifiers", [])]


def sampling_cleanup(unet):
    ready.clear()


def forge_sample(self, denoiser_params, cond_scale, cond_composition):
    model, x = self.inner_model.inner_model, denoiser_params.x
    unet, host = model.forge_objects.unet, model.host
    assert ready == [unet.model_options.get("block_inner_modifiers", [])], "the network is not ready"
    model.pass_size = x.shape[0]
    guided = model.predict_x0(x, denoiser_params.sigma)
    asks_both = not math.isclose(cond_scale, 1.0) or "disable_cfg1_optimization" in unet.model_options
    negative = (
        host.uncond_model(x, float(denoiser_params.sigma[0]), host) if asks_both and host.uncond_model else guided
    )
    # The one to the prompt that guidance turns into `guided`.
    prompted = negative + (guided - negative) / cond_scale if cond_scale else guided
    for function in unet.model_options.get("sampler_post_cfg_function", []):
        guided = function({"denoised": guided, "cond_denoised": prompted, "uncond_denoised": negative})
    return guided
