"""Stand-in of the settings' defaults: those that an img2img job or an extension reads."""

from modules.options import OptionInfo

SAMPLING = {
    "hide_samplers": [],
    "eta_ddim": 0.0,
    "eta_ancestral": 1.0,
    "ddim_discretize": "uniform",
    "s_churn": 0.0,
    "s_tmin": 0.0,
    "s_tmax": 0.0,
    "s_noise": 1.0,
    "sigma_min": 0.0,
    "sigma_max": 0.0,
    "rho": 0.0,
    "eta_noise_seed_delta": 0,
    "always_discard_next_to_last_sigma": False,
    "sgm_noise_multiplier": False,
    "uni_pc_variant": "bh1",
    "uni_pc_skip_type": "time_uniform",
    "uni_pc_order": 3,
    "uni_pc_lower_order_final": True,
    "sd_noise_schedule": "Default",
    "s_min_uncond": 0.0,
    "pad_cond_uncond": False,
    "pad_cond_uncond_v0": False,
    "batch_cond_uncond": True,
    "persistent_cond_cache": True,
    "enable_quantization": False,
    "use_old_karras_scheduler_sigmas": False,
    "no_dpmpp_sde_batch_determinism": False,
    "use_old_scheduling": False,
    "use_downcasted_alpha_bar": False,
    "randn_source": "GPU",
    "hires_fix_refiner_pass": "second pass",
}

IMG2IMG = {
    "inpainting_mask_weight": 1.0,
    "initial_noise_multiplier": 1.0,
    "img2img_extra_noise": 0.0,
    "img2img_color_correction": False,
    "img2img_fix_steps": False,
    "img2img_background_color": "#ffffff",
    "return_mask": False,
    "return_mask_composite": False,
    "overlay_inpaint": True,
    "sd_vae_encode_method": "Full",
    "sd_vae_decode_method": "Full",
    "sd_vae": "Automatic",
    "CLIP_stop_at_last_layers": 1,
    "tiling": False,
    "face_restoration": False,
    "face_restoration_model": "CodeFormer",
    "token_merging_ratio": 0.0,
    "token_merging_ratio_img2img": 0.0,
    "token_merging_ratio_hr": 0.0,
    "emphasis": "Original",
    "fp8_storage": "Disable",
    "sd_model_checkpoint": None,
}

INTERFACE = {
    "outdir_img2img_samples": "",
    "samples_save": True,
    "samples_format": "png",
    "save_incomplete_images": False,
    "grid_save": True,
    "grid_format": "png",
    "grid_only_if_multiple": True,
    "return_grid": True,
    "n_rows": -1,
    "do_not_show_images": False,
    "enable_pnginfo": True,
    "add_model_name_to_info": True,
    "add_model_hash_to_info": True,
    "add_version_to_infotext": True,
    "add_user_name_to_info": False,
    "infotext_skip_pasting": [],
    "infotext_styles": "Apply if any",
    "disable_weights_auto_swap": True,
    "live_previews_enable": True,
    "live_preview_content": "Prompt",
    "show_progress_every_n_steps": 10,
    "show_progress_type": "Approx NN",
    "multiple_tqdm": True,
    "ui_reorder_list": [],
    "disabled_extensions": [],
    "disable_all_extensions": "none",
    "img_max_size_mp": 200,
}

SINCE_1_9 = {
    "skip_early_cond": 0.0,
    "beta_dist_alpha": 0.6,
    "beta_dist_beta": 0.6,
    "s_min_uncond_all": False,
    "refiner_switch_by_sample_steps": False,
}

# From 1.9 on the schedule is the job's own field.
UNTIL_1_8 = {"k_sched_type": "Automatic"}

INFOTEXT = {
    "eta_ddim": "Eta DDIM",
    "eta_ancestral": "Eta",
    "s_churn": "Sigma churn",
    "s_tmin": "Sigma tmin",
    "s_tmax": "Sigma tmax",
    "s_noise": "Sigma noise",
    "sigma_min": "Schedule min sigma",
    "sigma_max": "Schedule max sigma",
    "rho": "Schedule rho",
    "eta_noise_seed_delta": "ENSD",
    "initial_noise_multiplier": "Noise multiplier",
    "img2img_extra_noise": "Extra noise",
    "s_min_uncond": "NGMS",
    "pad_cond_uncond": "Pad conds",
    "skip_early_cond": "Skip Early CFG",
    "CLIP_stop_at_last_layers": "Clip skip",
    "randn_source": "RNG",
    "sd_noise_schedule": "Noise Schedule",
}


def labels(has_schedulers):
    defaults = {**SAMPLING, **IMG2IMG, **INTERFACE, **(SINCE_1_9 if has_schedulers else UNTIL_1_8)}
    return {
        key: OptionInfo(list(value) if isinstance(value, list) else value, key, infotext=INFOTEXT.get(key))
        for key, value in defaults.items()
    }
