"""Labels that axes of the X/Y/Z plot had in earlier versions: infotexts and API requests still find the axes by them.

The plot's dropdowns offer the present labels alone. A request gives an axis by its place in the choices of
`/sdapi/v1/script-info`, so the former labels follow the last axis there, and the plot has the axes at these places.
"""

from __future__ import annotations

import functools
from typing import Any

from modules import scripts

from ..core.settings import FIELDS

PREFIX = "[Noise Rectification]"
_FORMER = {
    "τ start": "tau_start",
    "τ end": "tau_end",
    "ω start": "omega_start",
    "ω end": "omega_end",
    "Motion": "motion",
    "Wanted SSIM": "target_ssim",
    "τ in": "tau_unit",
    "Soft release": "release",
    "Hold colour": "hold_colour",
    "Keep first frame": "pin_first_frame",
    "Loop": "loop",
    "Between key frames": "interpolation",
    "Repeat noise": "repeat_noise",
    "Mask feather": "mask_feather",
    "Start time": "start_time",
    "Start statistics": "statistics",
    "Create through a picture": "create",
    "Scorer": "scorer",
    "Pick": "pick",
    "Animation share": "animation_share",
    "Regeneration": "regeneration",
}
# From the former to the present label, with the prefix.
LABELS = {f"{PREFIX} {former}": f"{PREFIX} {FIELDS[name].label}" for former, name in _FORMER.items()}


def accept_in_requests(plot: Any) -> None:
    """Let the plot, a script class of the host, have the axes behind its last one too, in the order of `LABELS`."""
    make_ui = plot.ui

    @functools.wraps(make_ui)
    def ui(self: Any, is_img2img: bool) -> Any:
        controls = make_ui(self, is_img2img)
        axes = {option.label: option for option in self.current_axis_options}
        self.current_axis_options = [*self.current_axis_options, *(axes[label] for label in LABELS.values())]
        return controls

    plot.ui = ui


def list_in_script_info(*_: Any) -> None:
    """Add the former labels to the plot's choices in `/sdapi/v1/script-info`; to be called when the page is built."""
    present = set(LABELS.values())
    for script in (*scripts.scripts_txt2img.selectable_scripts, *scripts.scripts_img2img.selectable_scripts):
        for argument in getattr(script.api_info, "args", ()):
            if present.issubset(argument.choices or ()) and not set(LABELS) & set(argument.choices):
                argument.choices = [*argument.choices, *LABELS]


def rename_pasted(_infotext: str, params: dict[str, Any]) -> None:
    """Replace former labels in a pasted infotext of a grid: the dropdowns know the present ones alone."""
    for key in ("X Type", "Y Type", "Z Type"):
        if key in params:
            params[key] = LABELS.get(params[key], params[key])
