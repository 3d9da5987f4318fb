"""Write docs/settings.md from the tables of the code: `python tests/docs/settings_page.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lib_noiserect.core.settings import CREATION_PRESETS, FIELDS, OMEGA_PRESETS, PRESETS  # noqa: E402
from lib_noiserect.webui.arguments import INPUTS  # noqa: E402

PATH = ROOT / "docs" / "settings.md"

_PAGE = """\
# Settings

Every setting has one label in the web UI and one name in the API. On the command line, `tau_end` is `--tau-end`.
[In the web UI](webui.md) explains the controls, [recipes](recipes.md) combine them, and
[the measurements](measured/control.md) show their effect.

{settings}

## Presets

{presets}

## Motion per frame (ω)

ω is a list of numbers from 0 to 1, one per frame, or one of these presets:

{omega}

## Window unit

{tau_unit}

## Keyframe interpolation

{interpolation}

## Select by

{scorer}

## Presets of I4VGen

{creation_presets}

## Image inputs

Image inputs belong to one generation; they are not saved and not written to the infotext.

{inputs}
"""


def table(*rows):
    first, *others = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([first, "|" + "---|" * len(rows[0]), *others])


def shown(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"


def values_of(row):
    if row.choices:
        return ", ".join(f"`{name}`" for name in row.choices)
    by_kind = {"bool": "on or off", "omega": "a preset, or a list", "file": "a `.safetensors` file name, or `none`"}
    return by_kind.get(row.kind) or f"{row.minimum:g} to {row.maximum:g}"


def settings_table():
    rows = ((row.label, f"`{row.name}`", values_of(row), shown(row.default), row.help) for row in FIELDS.values())
    return table(("setting", "API", "values", "default", "effect"), *rows)


def choices_table(choices):
    return table(("value", "meaning"), *((f"`{name}`", text) for name, text in choices.items()))


def presets_table(presets):
    names = list(dict.fromkeys(name for preset in presets.values() for name in preset.values))
    rows = ((name, *(shown(preset.values[field]) for field in names), preset.help) for name, preset in presets.items())
    return table(("preset", *(FIELDS[name].label for name in names), "effect"), *rows)


def page():
    return _PAGE.format(
        settings=settings_table(),
        presets=presets_table(PRESETS),
        omega=choices_table(OMEGA_PRESETS),
        creation_presets=presets_table(CREATION_PRESETS),
        inputs=table(("input", "API", "effect"), *((row.label, f"`{name}`", row.help) for name, row in INPUTS.items())),
        **{name: choices_table(FIELDS[name].choices) for name in ("tau_unit", "interpolation", "scorer")},
    )


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8", newline="\n")
