"""Stand-in of the infotext: the text under a picture, read back into fields and settings."""

import json
import re
import sys
from collections import namedtuple

from modules import shared

sys.modules["modules.generation_parameters_copypaste"] = sys.modules[__name__]

_QUOTED = r'"(?:[^"\\]|\\.)+"'
_ENTRY = re.compile(rf"(?P<label>\w[\w /-]+): *(?P<text>{_QUOTED}|[^,]*)(?:, *|$)")
_SIZE = re.compile(r"(\d+)x(\d+)")

paste_fields = {}
infotext_to_setting_name_mapping = []


class PasteField(namedtuple("_Target", ["component", "target"])):
    """A pair that knows more: from which entry, or by which function, the component is filled."""

    def __init__(self, component, target, *, api=None):
        self.label, self.function = (None, target) if callable(target) else (target, None)
        self.api = api

    def __new__(cls, component, target, **_):
        return super().__new__(cls, component, target)


def quote(text):
    if not any(mark in str(text) for mark in ",\n:"):
        return text
    return json.dumps(text, ensure_ascii=False)


def unquote(text):
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def add_paste_fields(tabname, init_img, fields, override_settings_component=None):
    fields = [field if isinstance(field, PasteField) else PasteField(*field) for field in fields]
    paste_fields[tabname] = {
        "init_img": init_img,
        "fields": fields,
        "override_settings_component": override_settings_component,
    }


def parse_generation_parameters(x: str, skip_fields: list[str] | None = None):
    """Infotext → {label: text}. The last line holds the parameters when it has at least three of them."""
    *lines, last = x.strip().split("\n")
    if len(_ENTRY.findall(last)) < 3:
        lines.append(last)
        last = ""
    texts = {"Prompt": [], "Negative prompt": []}
    part = "Prompt"
    for line in lines:
        line = line.strip()
        if line.startswith("Negative prompt:"):
            part = "Negative prompt"
            line = line[len("Negative prompt:") :].strip()
        texts[part].append(line)
    result = {}
    for key, value in _ENTRY.findall(last):
        value = unquote(value)
        size = _SIZE.fullmatch(value)
        if size:
            result[f"{key}-1"], result[f"{key}-2"] = size.groups()
        else:
            result[key] = value
    result.update({key: "\n".join(text) for key, text in texts.items()})
    result.setdefault("Clip skip", "1")
    result.setdefault("Schedule type", "Automatic")
    result.setdefault("RNG", "GPU")
    for key in shared.opts.infotext_skip_pasting if skip_fields is None else skip_fields:
        result.pop(key, None)
    return result


def get_override_settings(params, *, skip_fields=None):
    """[(label, setting, value)] for the settings in the infotext that differ from now."""
    known = [(info.infotext, key) for key, info in shared.opts.data_labels.items() if info.infotext]
    found = []
    for label, key in [*known, *infotext_to_setting_name_mapping]:
        if label in (skip_fields or {}) or params.get(label) is None:
            continue
        value = shared.opts.cast_value(key, params[label])
        if value != getattr(shared.opts, key, None):
            found.append((label, key, value))
    return found
