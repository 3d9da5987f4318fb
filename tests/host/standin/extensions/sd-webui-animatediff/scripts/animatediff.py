"""Stand-in of sd-webui-animatediff's script (2.x, A1111)."""

from modules import script_callbacks, scripts
from modules.processing import StableDiffusionProcessingImg2Img
from scripts.animatediff_common import (
    get_animatediff_arg,
    infotext_pasted,
    make_ui,
    replace_result_in_xyz,
    update_infotext,
)
from scripts.animatediff_freeinit import AnimateDiffFreeInit
from scripts.animatediff_infv2v import AnimateDiffInfV2V
from scripts.animatediff_latent import AnimateDiffI2VLatent
from scripts.animatediff_mm import mm_animatediff as motion_module
from scripts.animatediff_ui import AnimateDiffProcess
from scripts.animatediff_xyz import patch_xyz, xyz_attrs

motion_module.set_script_dir(scripts.basedir())


class AnimateDiffScript(scripts.Script):
    def __init__(self):
        self.hacked = False

    def title(self):
        return "AnimateDiff"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return make_ui(self, AnimateDiffProcess)

    def before_process(self, p, params):
        if p.is_api:
            params = get_animatediff_arg(p, AnimateDiffProcess)
        motion_module.set_ad_params(params)
        params.apply_xyz()
        xyz_attrs.clear()
        if params.enable:
            motion_module.inject(p.sd_model, params.model)
            params.set_p(p)
            update_infotext(p, params)
            if params.freeinit_enable:
                AnimateDiffFreeInit(params).hack(p, params)
            self.hacked = True
        elif self.hacked:
            motion_module.restore(p.sd_model)
            self.hacked = False

    def before_process_batch(self, p, params, **kwargs):
        if params.enable and isinstance(p, StableDiffusionProcessingImg2Img) and not params.is_i2i_batch:
            AnimateDiffI2VLatent().randomize(p, params)

    def postprocess(self, p, res, params):
        if params.enable:
            motion_module.restore(p.sd_model)
            self.hacked = False
            replace_result_in_xyz(res)


patch_xyz()

script_callbacks.on_cfg_denoiser(AnimateDiffInfV2V.animatediff_on_cfg_denoiser)
script_callbacks.on_infotext_pasted(infotext_pasted)
