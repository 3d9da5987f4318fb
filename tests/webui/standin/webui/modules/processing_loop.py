"""Stand-in of the main loop: the order of the hooks around `init`, `sample` and the pictures."""

import contextlib

import numpy as np
import torch
from modules import devices, extra_networks, images, rng, scripts, sd_models, sd_samplers, shared
from modules.processing_results import Processed, create_infotext, decode_latent_batch
from modules.processing_seeds import get_fixed_seed
from modules.sd_hijack import model_hijack
from modules.shared import opts, state
from PIL import Image
from standin import flavours


def process_images(p):
    if p.scripts is not None:
        p.scripts.before_process(p)
    # After `before_process`, so that a script can still add to the overrides.
    stored = {key: opts.data[key] for key in p.override_settings if key in opts.data}
    try:
        for key, value in p.override_settings.items():
            opts.set(key, value, is_api=True, run_callbacks=False)
        if flavours.active.has_schedulers:
            sd_samplers.fix_p_invalid_sampler_and_scheduler(p)
        return process_images_inner(p)
    finally:
        if p.override_settings_restore_afterwards:
            for key, value in stored.items():
                setattr(opts, key, value)


def process_images_inner(p):
    seed, subseed = get_fixed_seed(p.seed), get_fixed_seed(p.subseed)
    if p.refiner_checkpoint not in (None, "", "None", "none"):
        p.refiner_checkpoint_info = sd_models.get_closet_checkpoint_match(p.refiner_checkpoint)
        if p.refiner_checkpoint_info is None:
            raise Exception(f"there is no checkpoint {p.refiner_checkpoint!r}")
    p.sd_model_name = shared.sd_model.sd_checkpoint_info.name_for_extra
    p.sd_model_hash = shared.sd_model.sd_model_hash
    model_hijack.comments = []
    if flavours.active.has_schedulers:
        p.fill_fields_from_opts()
    p.setup_prompts()
    # With a variation seed, all pictures start from one seed and differ by the variation alone.
    p.all_seeds = [seed + (i if p.subseed_strength == 0 else 0) for i in range(len(p.all_prompts))]
    p.all_subseeds = [subseed + i for i in range(len(p.all_prompts))]
    if p.scripts is not None:
        p.scripts.process(p)

    infotexts, output_images = [], []
    with torch.inference_mode() if flavours.active.is_forge else torch.no_grad():
        p.init(p.all_prompts, p.all_seeds, p.all_subseeds)
        state.job_count = p.n_iter if state.job_count == -1 else state.job_count
        for n in range(p.n_iter):
            p.iteration, state.skipped = n, False
            if state.interrupted or state.stopping_generation:
                break
            sd_models.reload_model_weights()
            if not _run_batch(p, n, infotexts, output_images):
                break
        if not infotexts:
            infotexts.append(Processed(p, []).infotext(p, 0))
        p.color_corrections = None
        index_of_first_image = _add_grid(p, infotexts, output_images)

    if not p.disable_extra_networks and p.extra_network_data:
        extra_networks.deactivate(p, p.extra_network_data)
    result = Processed(p, output_images, p.all_seeds[0], infotexts[0], p.all_subseeds[0], infotexts=infotexts)
    result.index_of_first_image = index_of_first_image
    if p.scripts is not None:
        p.scripts.postprocess(p, result)
    return result


def _run_batch(p, n, infotexts, output_images):
    """False when a script has taken all prompts away."""
    p.sd_model.forget_patches()
    part = slice(n * p.batch_size, (n + 1) * p.batch_size)
    p.prompts, p.negative_prompts = p.all_prompts[part], p.all_negative_prompts[part]
    p.seeds, p.subseeds = p.all_seeds[part], p.all_subseeds[part]
    p.rng = rng.ImageRNG(
        (4, p.height // 8, p.width // 8),
        p.seeds,
        subseeds=p.subseeds,
        subseed_strength=p.subseed_strength,
        seed_resize_from_h=p.seed_resize_from_h,
        seed_resize_from_w=p.seed_resize_from_w,
    )
    batch = {"batch_number": n, "prompts": p.prompts, "seeds": p.seeds, "subseeds": p.subseeds}
    if p.scripts is not None:
        p.scripts.before_process_batch(p, **batch)
    if len(p.prompts) == 0:
        return False
    p.parse_extra_network_prompts()
    if not p.disable_extra_networks:
        extra_networks.activate(p, p.extra_network_data)
    p.sd_model.forget_patches()
    if p.scripts is not None:
        p.scripts.process_batch(p, batch_number=n, prompts=p.prompts, seeds=p.seeds, subseeds=p.subseeds)
    p.setup_conds()
    for comment in model_hijack.comments:
        p.comment(comment)
    if p.n_iter > 1:
        state.job = f"Batch {n + 1} out of {p.n_iter}"

    with _model_for_sampling(p):
        samples = p.sample(
            conditioning=p.c,
            unconditional_conditioning=p.uc,
            seeds=p.seeds,
            subseeds=p.subseeds,
            subseed_strength=p.subseed_strength,
            prompts=p.prompts,
        )
    if p.scripts is not None:
        args = scripts.PostSampleArgs(samples)
        p.scripts.post_sample(p, args)
        samples = args.samples
    shared.sd_model.host.keep_latents(p, samples)
    devices.test_for_nans(samples, "unet")
    pixels = torch.stack(decode_latent_batch(p.sd_model, samples)).float()
    pixels = ((pixels + 1.0) / 2.0).clamp(0.0, 1.0)
    state.nextjob()
    if p.scripts is not None:
        p.scripts.postprocess_batch(p, pixels, batch_number=n)
        p.prompts, p.negative_prompts = p.all_prompts[part], p.all_negative_prompts[part]
        args = scripts.PostprocessBatchListArgs(list(pixels))
        p.scripts.postprocess_batch_list(p, args, batch_number=n)
        pixels = args.images
    for i, picture in enumerate(pixels):
        p.batch_index = i
        picture = (255.0 * np.moveaxis(picture.cpu().numpy(), 0, 2)).astype(np.uint8)
        image = _finish_picture(p, i, Image.fromarray(picture))
        text = create_infotext(p, p.prompts, p.seeds, p.subseeds, index=i, all_negative_prompts=p.negative_prompts)
        if opts.enable_pnginfo:
            image.info["parameters"] = text
        infotexts.append(text)
        output_images.append(image)
    return True


@contextlib.contextmanager
def _model_for_sampling(p):
    """The noise schedule that the sampling runs with."""
    if not flavours.active.is_forge:
        sd_models.apply_alpha_schedule_override(p.sd_model, p)
        yield
        return
    p.sd_model.alphas_cumprod = p.sd_model.alphas_cumprod_original
    # The samplers were made in `p.init`: those of k-diffusion keep the levels from before the modifiers.
    modifiers = p.sd_model.forge_objects.unet.model_options.get("alphas_cumprod_modifiers", [])
    if not (modifiers and flavours.active.applies_alphas_modifiers):
        yield
        return
    before, levels = p.sd_model.alphas_cumprod, p.sd_model.forge_objects.unet.model.model_sampling
    for modifier in modifiers:
        p.sd_model.alphas_cumprod = modifier(p.sd_model.alphas_cumprod)
    levels.set_sigmas(sd_models.sigmas_of(p.sd_model.alphas_cumprod))
    yield
    # Not in a `finally`: as in the host, a job that raises leaves the changed schedule behind.
    p.sd_model.alphas_cumprod = before
    levels.set_sigmas(sd_models.sigmas_of(before))


def _finish_picture(p, i, image):
    if p.scripts is not None:
        args = scripts.PostprocessImageArgs(image)
        p.scripts.postprocess_image(p, args)
        image = args.image
    mask = getattr(p, "mask_for_overlay", None)
    overlays = p.overlay_images or []
    overlay = overlays[i] if opts.overlay_inpaint and i < len(overlays) else None
    if p.scripts is not None:
        args = scripts.PostProcessMaskOverlayArgs(i, mask, overlay)
        p.scripts.postprocess_maskoverlay(p, args)
        overlay = args.overlay_image
    if overlay is not None:
        image = Image.alpha_composite(image.convert("RGBA"), overlay).convert("RGB")
    if p.scripts is not None:
        args = scripts.PostprocessImageArgs(image)
        p.scripts.postprocess_image_after_composite(p, args)
        image = args.image
    return image


def _add_grid(p, infotexts, output_images):
    """The number of pictures before the first single one."""
    if not opts.return_grid or p.do_not_save_grid or (len(output_images) < 2 and opts.grid_only_if_multiple):
        return 0
    output_images.insert(0, images.image_grid(output_images, p.batch_size))
    infotexts.insert(0, create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds, use_main_prompt=True))
    return 1
