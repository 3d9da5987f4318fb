"""Stand-in of the img2img job's own parts: `init` encodes the picture, `sample` runs the sampler."""

import numpy as np
import torch
from modules import images, rng, scripts, sd_samplers, shared
from modules.processing_job import StableDiffusionProcessing, _all, _job_class
from modules.sd_samplers_common import images_tensor_to_samples
from modules.shared import opts
from PIL import ImageFilter, ImageOps
from standin import flavours

opt_f = 8


def create_random_tensors(
    shape, seeds, subseeds=None, subseed_strength=0.0, seed_resize_from_h=0, seed_resize_from_w=0, p=None
):
    return rng.ImageRNG(shape, seeds, subseeds, subseed_strength, seed_resize_from_h, seed_resize_from_w).next()


def create_binary_mask(image, round=True):
    if image.mode == "RGBA" and image.getextrema()[-1] != (255, 255):
        image = image.split()[-1]
        return image.point(lambda x: 255 if x > 128 else 0) if round else image
    return image.convert("L")


_ARGUMENTS = {
    "denoising_strength": 0.75,
    **_all(4, "mask_blur_x mask_blur_y"),
    **_all(0, "resize_mode inpainting_fill inpainting_mask_invert inpaint_full_res_padding"),
    **_all(True, "mask_round inpaint_full_res"),
    **_all(None, "init_images mask mask_blur latent_mask initial_noise_multiplier image_cfg_scale force_task_id"),
}
_RESULTS = ("image_conditioning", "image_mask", "init_img_hash", "init_latent", "mask_for_overlay", "nmask")


@_job_class(_ARGUMENTS, dict.fromkeys(_RESULTS))
class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    def __post_init__(self):
        super().__post_init__()
        self.image_mask, self.mask = self.mask, None
        if self.initial_noise_multiplier is None:
            self.initial_noise_multiplier = opts.initial_noise_multiplier

    @property
    def mask_blur(self):
        return self.mask_blur_x if self.mask_blur_x == self.mask_blur_y else None

    @mask_blur.setter
    def mask_blur(self, value):
        if isinstance(value, int):
            self.mask_blur_x = self.mask_blur_y = value

    def init(self, all_prompts, all_seeds, all_subseeds):
        self.extra_generation_params["Denoising strength"] = self.denoising_strength
        self.image_cfg_scale = None
        self.sampler = sd_samplers.create_sampler(self.sampler_name, self.sd_model)
        image_mask = self._prepared_mask()
        pictures = [self._prepared_picture(picture, image_mask) for picture in self.init_images]
        if len(pictures) == 1:
            pictures = pictures * self.batch_size
            if self.overlay_images is not None:
                self.overlay_images = self.overlay_images * self.batch_size
        elif len(pictures) <= self.batch_size:
            self.batch_size = len(pictures)
        else:
            raise RuntimeError(f"{len(pictures)} pictures for a batch of {self.batch_size}")
        image = torch.from_numpy(np.stack(pictures)).to(shared.device)
        self.init_latent = images_tensor_to_samples(image, None, self.sd_model)
        if self.resize_mode == 3:
            size = (self.height // opt_f, self.width // opt_f)
            self.init_latent = torch.nn.functional.interpolate(self.init_latent, size=size, mode="bilinear")
        if image_mask is not None:
            self._set_latent_masks(self.latent_mask or image_mask, all_seeds)
        self.image_conditioning = self.img2img_image_conditioning(
            image * 2 - 1, self.init_latent, image_mask, self.mask_round
        )

    def _prepared_mask(self):
        """White is what the network may change. "Only masked" and cropping are not played."""
        if self.image_mask is None:
            return None
        mask = create_binary_mask(self.image_mask, round=self.mask_round)
        if self.inpainting_mask_invert:
            mask = ImageOps.invert(mask)
            self.extra_generation_params["Mask mode"] = "Inpaint not masked"
        if self.mask_blur_x > 0 or self.mask_blur_y > 0:
            mask = mask.filter(ImageFilter.GaussianBlur(max(self.mask_blur_x, self.mask_blur_y)))
            self.extra_generation_params["Mask blur"] = self.mask_blur
        mask = images.resize_image(self.resize_mode, mask, self.width, self.height).convert("L")
        self.mask_for_overlay = mask.point(lambda x: min(255, 2 * x))
        self.overlay_images = []
        return mask

    def _prepared_picture(self, picture, image_mask):
        picture = images.flatten(picture, opts.img2img_background_color)
        if self.resize_mode != 3:
            picture = images.resize_image(self.resize_mode, picture, self.width, self.height)
        if image_mask is not None:
            overlay = picture.convert("RGBA")
            overlay.putalpha(ImageOps.invert(self.mask_for_overlay))
            self.overlay_images.append(overlay)
        return np.moveaxis(np.asarray(picture, dtype=np.float32) / 255.0, 2, 0)

    def _set_latent_masks(self, image_mask, all_seeds):
        size = (self.init_latent.shape[3], self.init_latent.shape[2])
        latent_mask = np.asarray(image_mask.convert("L").resize(size), dtype=np.float32) / 255
        if self.mask_round:
            latent_mask = np.around(latent_mask)
        self.nmask = torch.from_numpy(latent_mask).repeat(self.init_latent.shape[1], 1, 1)
        self.mask = 1.0 - self.nmask
        content = {2: "latent noise", 3: "latent nothing"}.get(self.inpainting_fill)
        if content is None:
            return
        self.extra_generation_params["Masked content"] = content
        self.init_latent = self.init_latent * self.mask
        if self.inpainting_fill == 2:
            frames, *shape = self.init_latent.shape
            self.init_latent = self.init_latent + create_random_tensors(shape, all_seeds[:frames]) * self.nmask

    def sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
        noise = self.rng.next()
        if self.initial_noise_multiplier != 1.0:
            self.extra_generation_params["Noise multiplier"] = self.initial_noise_multiplier
            noise *= self.initial_noise_multiplier
        self.sd_model.forget_patches()
        if self.scripts is not None and flavours.active.has_sampling_hook:
            self.scripts.process_before_every_sampling(
                p=self, x=self.init_latent, noise=noise, c=conditioning, uc=unconditional_conditioning
            )
        if getattr(self, "modified_noise", None) is not None:
            noise, self.modified_noise = self.modified_noise, None
        samples = self.sampler.sample_img2img(
            self,
            self.init_latent,
            noise,
            conditioning,
            unconditional_conditioning,
            image_conditioning=self.image_conditioning,
        )
        if self.mask is not None:
            blended = samples * self.nmask + self.init_latent * self.mask
            if self.scripts is not None:
                args = scripts.MaskBlendArgs(samples, self.nmask, self.init_latent, self.mask, blended)
                self.scripts.on_mask_blend(self, args)
                blended = args.blended_latent
            samples = blended
        return samples
