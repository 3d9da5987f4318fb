"""What differs between the hosts that the stand-in plays: one frozen record for each."""

from dataclasses import dataclass

# One line a sampler: label | function | alias | options. An option without a value is True.
_K_1_10 = """
DPM++ 2M          | sample_dpmpp_2m           | k_dpmpp_2m          | scheduler=karras
DPM++ SDE         | sample_dpmpp_sde          | k_dpmpp_sde         | scheduler=karras second_order brownian_noise
DPM++ 2M SDE      | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde      | scheduler=exponential brownian_noise
DPM++ 2M SDE Heun | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde_heun | scheduler=exponential brownian_noise solver_type=heun
DPM++ 2S a        | sample_dpmpp_2s_ancestral | k_dpmpp_2s_a        | scheduler=karras uses_ensd second_order
DPM++ 3M SDE      | sample_dpmpp_3m_sde       | k_dpmpp_3m_sde      | scheduler=exponential discard_next_to_last_sigma brownian_noise
Euler a           | sample_euler_ancestral    | k_euler_a           | uses_ensd
Euler             | sample_euler              | k_euler             |
LMS               | sample_lms                | k_lms               |
Heun              | sample_heun               | k_heun              | second_order
DPM2              | sample_dpm_2              | k_dpm_2             | scheduler=karras discard_next_to_last_sigma second_order
DPM2 a            | sample_dpm_2_ancestral    | k_dpm_2_a           | scheduler=karras discard_next_to_last_sigma uses_ensd second_order
DPM fast          | sample_dpm_fast           | k_dpm_fast          | uses_ensd
DPM adaptive      | sample_dpm_adaptive       | k_dpm_ad            | uses_ensd
Restart           | restart_sampler           | restart             | scheduler=karras second_order
"""  # noqa: E501

# Before 1.9 the schedule was part of the sampler's name, and the plain name meant the model's own spacing.
_K_1_8 = """
DPM++ 2M Karras          | sample_dpmpp_2m           | k_dpmpp_2m_ka      | scheduler=karras
DPM++ SDE Karras         | sample_dpmpp_sde          | k_dpmpp_sde_ka     | scheduler=karras second_order brownian_noise
DPM++ 2M SDE Exponential | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde_exp | scheduler=exponential brownian_noise
DPM++ 2M SDE Karras      | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde_ka  | scheduler=karras brownian_noise
Euler a                  | sample_euler_ancestral    | k_euler_a          | uses_ensd
Euler                    | sample_euler              | k_euler            |
LMS                      | sample_lms                | k_lms              |
Heun                     | sample_heun               | k_heun             | second_order
DPM2                     | sample_dpm_2              | k_dpm_2            | discard_next_to_last_sigma second_order
DPM2 a                   | sample_dpm_2_ancestral    | k_dpm_2_a          | discard_next_to_last_sigma uses_ensd second_order
DPM++ 2S a               | sample_dpmpp_2s_ancestral | k_dpmpp_2s_a       | uses_ensd second_order
DPM++ 2M                 | sample_dpmpp_2m           | k_dpmpp_2m         |
DPM++ SDE                | sample_dpmpp_sde          | k_dpmpp_sde        | second_order brownian_noise
DPM++ 2M SDE             | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde_ka  | brownian_noise
DPM++ 2M SDE Heun        | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde_heun | brownian_noise solver_type=heun
DPM++ 2M SDE Heun Karras | sample_dpmpp_2m_sde       | k_dpmpp_2m_sde_heun_ka | scheduler=karras brownian_noise solver_type=heun
DPM++ 2M SDE Heun Exponential | sample_dpmpp_2m_sde  | k_dpmpp_2m_sde_heun_exp | scheduler=exponential brownian_noise solver_type=heun
DPM++ 3M SDE             | sample_dpmpp_3m_sde       | k_dpmpp_3m_sde     | discard_next_to_last_sigma brownian_noise
DPM++ 3M SDE Karras      | sample_dpmpp_3m_sde       | k_dpmpp_3m_sde_ka  | scheduler=karras discard_next_to_last_sigma brownian_noise
DPM++ 3M SDE Exponential | sample_dpmpp_3m_sde       | k_dpmpp_3m_sde_exp | scheduler=exponential discard_next_to_last_sigma brownian_noise
DPM fast                 | sample_dpm_fast           | k_dpm_fast         | uses_ensd
DPM adaptive             | sample_dpm_adaptive       | k_dpm_ad           | uses_ensd
LMS Karras               | sample_lms                | k_lms_ka           | scheduler=karras
DPM2 Karras              | sample_dpm_2              | k_dpm_2_ka         | scheduler=karras discard_next_to_last_sigma uses_ensd second_order
DPM2 a Karras            | sample_dpm_2_ancestral    | k_dpm_2_a_ka       | scheduler=karras discard_next_to_last_sigma uses_ensd second_order
DPM++ 2S a Karras        | sample_dpmpp_2s_ancestral | k_dpmpp_2s_a_ka    | scheduler=karras uses_ensd second_order
Restart                  | restart_sampler           | restart            | scheduler=karras second_order
"""  # noqa: E501


def _rows(table):
    for line in table.strip().splitlines():
        label, function, alias, options = (cell.strip() for cell in line.split("|"))
        pairs = (word.partition("=") for word in options.split())
        yield label, function, [alias], {key: value or True for key, _, value in pairs}


@dataclass(frozen=True)
class Flavour:
    """`overlays`: folders whose `modules` come before the common ones. `extension`: AnimateDiff's folder."""

    name: str
    version: str
    k_samplers: tuple
    timestep_samplers: tuple
    has_schedulers: bool
    has_sampling_hook: bool
    has_named_callbacks: bool
    is_forge: bool
    overlays: tuple
    extension: str
    applies_alphas_modifiers: bool = True
    calls_block_modifiers: bool = True

    @property
    def has_cfgpp(self):
        return "DDIM CFG++" in self.timestep_samplers


_A1111 = {"is_forge": False, "overlays": (), "extension": "sd-webui-animatediff"}
_FORGE = {"is_forge": True, "extension": "sd-forge-animatediff", "has_sampling_hook": True}
_REFORGE = {
    **_FORGE,
    "k_samplers": tuple(_rows(_K_1_10)),
    "timestep_samplers": ("DDIM", "PLMS", "UniPC"),
    "has_schedulers": True,
    "has_named_callbacks": True,
    "overlays": ("reforge", "forge"),
    "applies_alphas_modifiers": False,
}

FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour(
            "a1111",
            "v1.10.1",
            tuple(_rows(_K_1_10)),
            ("DDIM", "DDIM CFG++", "PLMS", "UniPC"),
            has_schedulers=True,
            has_sampling_hook=True,
            has_named_callbacks=True,
            **_A1111,
        ),
        Flavour(
            "a1111-1.8",
            "v1.8.0",
            tuple(_rows(_K_1_8)),
            ("DDIM", "PLMS", "UniPC"),
            has_schedulers=False,
            has_sampling_hook=False,
            has_named_callbacks=False,
            **_A1111,
        ),
        Flavour(
            "forge",
            "f0.0.17v1.8.0rc",
            tuple(_rows(_K_1_8)),
            ("DDIM", "PLMS", "UniPC"),
            has_schedulers=False,
            has_named_callbacks=False,
            overlays=("forge",),
            **_FORGE,
        ),
        Flavour("reforge", "f1.0.0v1.10.1 main-old", **_REFORGE),
        Flavour("reforge-main", "f2.0.0v1.10.1 main", **_REFORGE, calls_block_modifiers=False),
    )
}

active: Flavour | None = None
"""Set while a Host is entered; the fake modules read it when they are imported."""
