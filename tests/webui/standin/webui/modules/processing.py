"""Stand-in of the jobs' module: what it has under real names is split over its neighbours."""

from modules import sd_samplers
from modules.processing_img2img import StableDiffusionProcessingImg2Img, create_binary_mask, create_random_tensors  # noqa: F401
from modules.processing_job import StableDiffusionProcessing, _job_class
from modules.processing_loop import process_images, process_images_inner  # noqa: F401
from modules.processing_results import DecodedSamples, Processed, create_infotext, decode_latent_batch, program_version  # noqa: F401
from modules.processing_seeds import fix_seed, get_fixed_seed  # noqa: F401
from modules.sd_samplers_common import decode_first_stage, images_tensor_to_samples  # noqa: F401
from standin import flavours

opt_C = 4
opt_f = 8


@_job_class({"denoising_strength": 0.75, "enable_hr": False, "hr_scale": 2.0}, {})
class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    def init(self, all_prompts, all_seeds, all_subseeds):
        self.extra_generation_params["Denoising strength"] = self.denoising_strength if self.enable_hr else None

    def sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
        self.sampler = sd_samplers.create_sampler(self.sampler_name, self.sd_model)
        x = self.rng.next()
        self.sd_model.forget_patches()
        if self.scripts is not None and flavours.active.has_sampling_hook:
            self.scripts.process_before_every_sampling(
                p=self, x=x, noise=x, c=conditioning, uc=unconditional_conditioning
            )
        return self.sampler.sample(
            self, x, conditioning, unconditional_conditioning, image_conditioning=self.txt2img_image_conditioning(x)
        )
