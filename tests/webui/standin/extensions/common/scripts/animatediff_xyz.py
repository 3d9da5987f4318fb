"""Stand-in of AnimateDiff's axes: values go through a module-wide dict that the next job empties."""

from modules import scripts

xyz_attrs = {}


def patch_xyz():
    module = next((data.module for data in scripts.scripts_data if data.script_class.__module__ == "xyz_grid.py"), None)
    if module is None:
        return
    module.axis_options.extend(
        module.AxisOption(label=f"[AnimateDiff] {label}", type=kind, apply=_apply_state(name))
        for label, kind, name in (
            ("Enabled", _str_to_bool, "enable"),
            ("Video length", int, "video_length"),
            ("Latent power", float, "latent_power"),
            ("Latent scale", float, "latent_scale"),
        )
    )


def _apply_state(name):
    def callback(p, value, values):
        xyz_attrs[name] = value

    return callback


def _str_to_bool(text):
    return str(text).lower() in ("true", "1")
