"""A gradio for tests without gradio: components remember what they were made with, and nothing is drawn."""

import types


class Block:
    def __init__(self, *args, **kwargs):
        self.elem_id = kwargs.get("elem_id")
        self.label = kwargs.get("label")
        self.visible = kwargs.get("visible", True)
        self.elem_classes = list(kwargs.get("elem_classes") or [])
        self.kwargs = kwargs
        self.events = []
        from modules import script_callbacks

        script_callbacks.after_component_callback(self, **kwargs)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return None

    def _listen(self, event, fn, inputs, outputs, kwargs):
        self.events.append((event, fn, inputs, outputs))
        return self


def _add_events():
    for name in (
        "change",
        "click",
        "input",
        "release",
        "select",
        "submit",
        "upload",
        "clear",
        "load",
        "then",
        "success",
        "blur",
    ):

        def listen(self, fn=None, inputs=None, outputs=None, _event=name, **kwargs):
            return self._listen(_event, fn, inputs, outputs, kwargs)

        setattr(Block, name, listen)


_add_events()


class Component(Block):
    """`value` is the first argument, or the second after `choices` or the range."""

    first = ("value",)

    def __init__(self, *args, **kwargs):
        kwargs = {**dict(zip(self.first, args)), **kwargs}
        super().__init__(**kwargs)
        value = kwargs.get("value")
        self.value = value() if callable(value) else value
        for name in ("minimum", "maximum", "step", "choices", "info", "interactive", "type"):
            setattr(self, name, kwargs.get(name))

    @classmethod
    def update(cls, **kwargs):
        return update(**kwargs)


class _Ranged(Component):
    first = ("minimum", "maximum", "value", "step")


class _Chosen(Component):
    first = ("choices", "value")


def update(**kwargs):
    return {"__type__": "update", **kwargs}


_COMPONENTS = (
    "Textbox",
    "Checkbox",
    "Number",
    "Button",
    "UploadButton",
    "HTML",
    "Markdown",
    "Image",
    "State",
    "File",
    "Plot",
    "JSON",
    "ColorPicker",
    "Gallery",
    "Label",
)
for _name in _COMPONENTS:
    globals()[_name] = type(_name, (Component,), {})
Slider = type("Slider", (_Ranged,), {})
for _name in ("Dropdown", "Radio", "CheckboxGroup"):
    globals()[_name] = type(_name, (_Chosen,), {})
for _name in ("Row", "Column", "Group", "Accordion", "Tab", "Tabs", "Blocks", "Box"):
    globals()[_name] = type(_name, (Block,), {})
TabItem = Tab  # noqa: F821  (made above)

components = types.SimpleNamespace(Component=Component, IOComponent=Component, FormComponent=Component)
blocks = types.SimpleNamespace(Block=Block, Blocks=Blocks)  # noqa: F821
__version__ = "3.41.2"


class Error(Exception):
    pass


class Request:
    username = None


def Warning(message=""):
    pass


def Info(message=""):
    pass
