"""One-line errors, each with the tests that have to catch it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """`line` occurs once in `file` of `lib_noiserect`; `tests` are arguments of pytest, relative to `tests`."""

    file: str
    line: str
    replacement: str
    tests: str


MUTANTS = (
    # The core.
    Mutant(
        "core/rectify.py",
        "pinned, gap = [0], reference[:1] - prediction[:1]",
        "pinned, gap = [0], prediction[:1] - reference[:1]",
        "core/test_rectify.py",
    ),
    Mutant("core/rectify.py", "rectified[frame] = reference[frame]", "pass", "core/test_rectify.py"),
    Mutant(
        "core/rectify.py",
        "torch.lerp(reference, rectified, weights, out=rectified)",
        "torch.lerp(rectified.clone(), reference, weights, out=rectified)",
        "core/test_rectify.py",
    ),
    Mutant(
        "core/rectify.py",
        "gaps = iter(reference[pinned] - prediction[pinned])",
        "gaps = iter(prediction[pinned] - reference[pinned])",
        "core/test_keyframes.py",
    ),
    Mutant(
        "core/schedule.py",
        "< num_steps * tau_end - TOLERANCE",
        "< num_steps * tau_end",
        "core/test_settings.py -k windows",
    ),
    Mutant(
        "core/schedule.py",
        "falling = num_frames // 2 if",
        "falling = (num_frames + 1) // 2 if",
        "core/test_settings.py",
    ),
    Mutant("core/schedule.py", "index / max(falling - 1, 1) for", "index / max(falling, 1) for", "core/test_settings.py"),
    Mutant(
        "core/schedule.py",
        "settings.motion * (distance if is_between else 1.0)",
        "settings.motion",
        "core/test_dial.py -k distance",
    ),
    Mutant(
        "core/correction.py",
        "if not begun or position < num_steps * settings.tau_start:",
        "if position < num_steps * settings.tau_start:",
        "core/test_pivot.py core/test_noise_level.py core/test_keyframes.py",
    ),
    Mutant(
        "core/correction.py",
        "[self.settings.release * (1 - distance) for",
        "[self.settings.release * distance for",
        "core/test_keyframes.py -k let_go",
    ),
    Mutant(
        "core/correction.py",
        "return pin_keyframes(result, reference, self.keyframes) if settings.pin_first_frame else result",
        "return result",
        "core/test_pivot.py -k stays_pinned",
    ),
    Mutant("core/noise_levels.py", "math.sqrt(1.0 - alpha_bar)", "1.0 - alpha_bar", "webui/test_timestep_samplers.py"),
    Mutant("core/noise_levels.py", "return 1.0 / s, -(a + s) / s", "return 1.0 / s, -a / s", "core/test_rectify.py"),
    Mutant(
        "core/noise_levels.py",
        "c_d / level.a if level.a > _NO_SIGNAL else 0.0",
        "c_d / max(level.a, 1e-30)",
        "core/test_rectify.py",
    ),
    Mutant(
        "core/noise_levels.py",
        "return vp(math.exp(math.log(below) + (math.log(above) - math.log(below)) * (position - left)))",
        "return vp(below + (above - below) * (position - left))",
        "core/test_rectify.py",
    ),
    Mutant(
        "core/noise_levels.py",
        "(min(max(timestep, 0.0), len(self) - 1.0) + 1.0) / len(self)",
        "min(max(timestep, 0.0), len(self) - 1.0) / len(self)",
        "core/test_noise_level.py",
    ),
    Mutant(
        "core/pivot.py",
        'value = torch.cat(self._step(value, x, x_pivot, level, "eps", position))',
        "value = torch.cat([value, value])",
        "webui/test_extension.py -k cfgpp",
    ),
    Mutant(
        "core/pivot.py",
        'kwargs["noise_sampler"] = twin.noise_sampler(kwargs["noise_sampler"])',
        "pass",
        "core/test_pivot.py -k given_noise_sampler",
    ),
    Mutant(
        "core/pivot.py",
        "callback({name: twin.first_half(value) for name, value in info.items()})",
        "callback(info)",
        "core/test_pivot.py -k callback",
    ),
    Mutant(
        "core/noise.py",
        "return norm * 2**0.5 if self.is_pair(x) else norm",
        "return norm",
        "core/test_pivot.py -k adaptive",
    ),
    Mutant("core/noise.py", "> 1e-3 * there", "> 1e9 * there", "core/test_pivot.py -k twin"),
    Mutant(
        "core/sampler_steps.py",
        "return [count - 1 for count in calls_before]",
        "return list(calls_before)",
        "core/test_pivot.py -k told_apart",
    ),
    Mutant(
        "core/sampler_steps.py",
        "all(self.levels[one] > self.levels[following] for one, following in itertools.pairwise(self.starts))",
        "True",
        "core/test_pivot.py -k back_up",
    ),
    Mutant(
        "core/motion_mask.py",
        "(2 * _blurred(small, feather) - 1).clamp(min=0.0)",
        "_blurred(small, feather)",
        "core/test_masks.py",
    ),
    Mutant(
        "core/motion_mask.py",
        "Keyframes(tuple(masks), num_frames, loop)",
        "Keyframes(tuple(masks), num_frames)",
        "core/test_masks.py",
    ),
    Mutant(
        "core/loop.py",
        "torch.roll(frames, -self._turned_by, 0)",
        "torch.roll(frames, self._turned_by, 0)",
        "core/test_turned.py",
    ),
    Mutant("core/loop.py", "int(call * num_frames * _SECTION)", "int(call * _SECTION)", "core/test_turned.py"),
    Mutant(
        "core/keyframes.py",
        "farthest = max(*nearest, 1)",
        "farthest = max(self.num_frames - 1, 1)",
        "core/test_keyframes.py",
    ),
    Mutant(
        "core/keyframes.py",
        "((frame - start) % self.num_frames) / length",
        "abs(frame - start) / length",
        "core/test_keyframes.py",
    ),
    Mutant(
        "core/reference.py",
        "stills[before if fraction < 0.5 else after, frame]",
        "stills[before, frame]",
        "core/test_keyframes.py",
    ),
    Mutant(
        "core/reference.py",
        "(lengths[0] + fraction * (lengths[1] - lengths[0])) / math.sin(angle)",
        "lengths[0] / math.sin(angle)",
        "core/test_keyframes.py",
    ),
    Mutant(
        "core/motion_dial.py",
        "omega * (free - seen) if inside else free",
        "omega * (free - seen)",
        "core/test_dial.py",
    ),
    Mutant("core/motion_dial.py", "if share < least - _SLACK:", "if share < 0:", "core/test_dial.py"),
    Mutant("core/motion_search.py", "if checked.ssim < target:", "if False:", "core/test_target.py"),
    Mutant("core/settings.py", 'return word == "true"', "return bool(word)", "core/test_settings.py"),
    Mutant(
        "core/settings.py",
        "if not self.minimum <= number <= self.maximum:",
        "if number > self.maximum:",
        "core/test_settings.py",
    ),
    Mutant(
        "core/settings.py",
        "re.fullmatch(_FILE_NAME, name) is not None",
        "re.match(_FILE_NAME, name) is not None",
        "core/test_settings.py",
    ),
    Mutant(
        "core/correction.py",
        "dial.check(settings.motion)",
        "pass",
        "webui/test_controlled_jobs.py -k window_does_not_allow",
    ),
    Mutant(
        "core/motion_search.py",
        "low, high = (middle, high) if ssim_of(middle) >= target else (low, middle)",
        "low, high = (low, middle) if ssim_of(middle) >= target else (middle, high)",
        "core/test_target.py",
    ),
    Mutant("core/settings.py", "len(name) <= MAX_FILE_NAME and", "", "core/test_settings.py"),
    Mutant(
        "core/noise.py",
        "frames = noise if self.order is None else noise[self.order]",
        "frames = noise",
        "core/test_pivot.py -k fresh_noise_in_order",
    ),
    Mutant("core/noise.py", "        shuffle(block)", "        pass", "core/test_pivot.py -k fresh_noise_in_order"),
    Mutant(
        "core/pivot.py",
        "prediction = prediction.to(torch.promote_types(prediction.dtype, x.dtype))",
        "pass",
        "core/test_pivot.py -k half_precision",
    ),
    # Other papers' methods.
    Mutant("methods/i4vgen.py", "update = update - update[:1]", "pass", "methods/test_i4vgen.py"),
    Mutant("methods/i4vgen.py", "int(num_steps * share + 1e-9) + 1", "int(num_steps * share)", "methods/test_i4vgen.py"),
    Mutant(
        "methods/start_time.py",
        "max(round(start_time * num_timesteps), 1) - 1",
        "round(start_time * num_timesteps)",
        "methods/test_start_time.py",
    ),
    Mutant("methods/analytic_init.py", "result[pinned] = epsilon[pinned]", "pass", "methods/test_analytic.py"),
    # The web UI.
    Mutant(
        "webui/session.py",
        "self._undo.enter_context(restored_after_error(p))",
        "pass",
        "webui/test_extension.py -k models_error",
    ),
    Mutant(
        "webui/session.py",
        "self._undo.enter_context(host.levels_restored_after_error(p.sd_model))",
        "pass",
        "webui/test_other_hosts.py webui/test_creation.py -k way_out",
    ),
    Mutant(
        "webui/session.py",
        "if vars(of).get(name) is value:",
        "if False:",
        "webui/test_extension.py -k copy_of_the_job",
    ),
    Mutant(
        "webui/compatibility.py",
        'if getattr(p, "enable_hr", False):',
        "if False:",
        "webui/test_extension.py -k 'refusals and hires'",
    ),
    Mutant("webui/api.py", "return given == {}", "return True", "webui/test_hostile.py -k drop"),
    Mutant(
        "webui/compatibility.py",
        "if len(lengths) > 1:",
        "if False:",
        "webui/test_extension.py -k 'refusals and differ'",
    ),
    Mutant(
        "webui/compatibility.py",
        "switch_at is not None and switch_at < 1",
        "switch_at is not None",
        "webui/test_extension.py -k refiner",
    ),
    Mutant(
        "webui/compatibility.py",
        "if any(len(parts) > 1 for parts in prompts.batch):",
        "if False:",
        "webui/test_extension.py -k 'refusals and AND'",
    ),
    Mutant(
        "webui/rectified_sampling.py",
        "if not self._is_vp:",
        "if False:",
        "webui/test_extension.py -k soft_inpainting",
    ),
    Mutant(
        "webui/rectified_sampling.py",
        "shared.state.current_latent = sampler.last_latent",
        "pass",
        "webui/test_extension.py -k previews",
    ),
    Mutant(
        "webui/rectified_sampling.py",
        "        if not was_reached:",
        "        if False:",
        "webui/test_host_neighbours.py",
    ),
    Mutant(
        "webui/reference.py",
        "by_frame[length - 1] = StoredImage",
        "by_frame[length - 2] = StoredImage",
        "webui/test_controlled_jobs.py -k last_frame",
    ),
    Mutant(
        "webui/reference.py",
        "p.mask = p.nmask = p.mask_for_overlay = p.overlay_images = None",
        "pass",
        "webui/test_controlled_jobs.py -k inpaint_mask_says",
    ),
    Mutant(
        "webui/reference.py",
        "first = p.init_latent[:1].clone()",
        "first = p.init_latent[1:2].clone()",
        "webui/test_extension.py -k 'frozen_frames and Euler'",
    ),
    Mutant(
        "webui/planned_steps.py",
        "count = count // 3 + 1",
        "count = count // 3",
        "webui/test_api.py -k steps_are_those",
    ),
    Mutant(
        "webui/planned_steps.py",
        'if config.name == "UniPC":',
        "if False:",
        "webui/test_api.py -k steps_are_those",
    ),
    Mutant(
        "webui/motion_search.py",
        "stack.enter_context(replaced(module, torch=_SeparateNoise(module.torch)))",
        "pass",
        "webui/test_controlled_jobs.py -k 'wanted_similarity and Euler'",
    ),
    Mutant(
        "webui/arguments.py",
        'switches = {"enabled": read("create"), "create": read("create")}',
        'switches = {"create": read("create")}',
        "webui/test_creation.py -k create_alone",
    ),
    Mutant(
        "webui/image_inputs.py",
        "        if not isinstance(path, str):",
        "        if False:",
        "webui/test_controlled_jobs.py -k 'refusals and contains'",
    ),
    Mutant("webui/infotext.py", "return FIRST_DEFAULTS[field_name]", "return None", "webui/test_infotext.py"),
    Mutant(
        "webui/infotext.py",
        "if not str(name).startswith(PREFIX)",
        "if True",
        "webui/test_infotext.py -k names_nothing_of_its_rectified_run",
    ),
    # The pipelines of diffusers.
    Mutant(
        "pipelines/schedulers.py",
        "return (a / sigma, -1 / (a * sigma))",
        "return (a / sigma, -1 / sigma)",
        "pipelines/test_rectified.py -k stands_for",
    ),
    Mutant(
        "pipelines/rectification.py",
        'prepared / float(getattr(self.scheduler, "init_noise_sigma", 1.0))',
        "prepared",
        "pipelines/test_rectified.py -k given_latents",
    ),
    Mutant(
        "pipelines/rectification.py",
        'result[0].to(values["sample"].dtype), result[-1]',
        'result[0].to(values["sample"].dtype), None',
        "pipelines/test_rectified.py -k cogvideox_dpm",
    ),
    Mutant(
        "pipelines/schedulers.py",
        "warm_up // 4 + max(call - first, 0)",
        "warm_up // 4 + call",
        "pipelines/test_rectified.py -k 'freezes and PNDM'",
    ),
    Mutant(
        "pipelines/latents.py",
        'float(vae.config.get("shift_factor") or 0.0)',
        "0.0",
        "pipelines/test_rectified.py -k shift_and_statistics",
    ),
    Mutant(
        "pipelines/start_time.py",
        "kept = start_timestep(start_time, length) + 1",
        "kept = start_timestep(start_time, length)",
        "pipelines/test_start_pipelines.py -k begins_at_m",
    ),
    Mutant(
        "pipelines/rectification.py",
        "            rewind(before)",
        "            pass",
        "pipelines/test_rectified.py -k 'freezes and (LCM or DDPM)'",
    ),
    Mutant(
        "core/stand_in.py",
        "delattr(owner, name)",
        "pass",
        "pipelines/test_rectified.py -k 'same_bits and AnimateDiff'",
    ),
    Mutant(
        "pipelines/rectification.py",
        "torch.roll(prediction, -self._turned_by, 0)",
        "prediction",
        "pipelines/test_control.py -k 'turned_back and SDXL'",
    ),
    Mutant(
        "pipelines/schedulers.py",
        'behind = 1 if "Ancestral" in type(scheduler).__name__ else 0',
        "behind = 0",
        "pipelines/test_rectified.py -k 'freezes and KDPM2'",
    ),
    Mutant(
        "pipelines/schedulers.py",
        'order = 2 if getattr(scheduler, "order", 1) == 2 else 1',
        "order = 1",
        "pipelines/test_rectified.py -k 'freezes and Heun'",
    ),
    Mutant(
        "pipelines/compatibility.py",
        "if compresses_time(pipe.vae):",
        "if False:",
        "pipelines/test_control.py -k 'cannot_be_a_loop'",
    ),
    Mutant(
        "pipelines/i4vgen.py",
        "chosen = int(np.argmax(scores))",
        "chosen = int(np.argmin(scores))",
        "pipelines/test_create_pipelines.py",
    ),
    Mutant(
        "pipelines/i4vgen.py",
        "generator, pin_first_frame=settings.enabled",
        "generator, pin_first_frame=False",
        "pipelines/test_create_pipelines.py",
    ),
    Mutant(
        "pipelines/schedulers.py",
        "if not (abs(share - 1) <= _FLOOR and left <= _FLOOR):",
        "if False:",
        "pipelines/test_rectified.py -k name_what_is_wrong",
    ),
)
