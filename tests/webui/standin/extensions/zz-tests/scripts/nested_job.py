"""An extension like ADetailer: runs an img2img job of its own on each finished picture, when the test asks for it."""

from modules import scripts, shared
from modules.processing import StableDiffusionProcessingImg2Img, process_images


class NestedJob(scripts.Script):
    def title(self):
        return "Nested job"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def postprocess_image(self, p, pp, *args):
        # On A1111 AnimateDiff is still in the network here and cuts its contexts from this job too: with one picture
        # instead of the clip's frames that fails.
        host = shared.sd_model.host
        if not host.nested_job_on_postprocess_image:
            return
        nested = StableDiffusionProcessingImg2Img(
            init_images=[pp.image],
            prompt=p.prompt,
            sampler_name=p.sampler_name,
            steps=4,
            denoising_strength=0.5,
            seed=p.seed,
            width=p.width,
            height=p.height,
            batch_size=host.nested_job_frames,
            do_not_save_samples=True,
            do_not_save_grid=True,
        )
        nested.scripts = None
        nested.script_args = []
        host.nested_jobs.append(nested)
        pp.image = process_images(nested).images[0]
