"""Stand-in of Forge's guided network call; extensions recognise Forge by this module's package."""


def forge_sample(self, denoiser_params, cond_scale, cond_composition):
    model = self.inner_model.inner_model
    model.pass_size = denoiser_params.x.shape[0]
    return model.predict_x0(denoiser_params.x, denoiser_params.sigma)
