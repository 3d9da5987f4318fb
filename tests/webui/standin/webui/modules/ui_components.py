"""Stand-in of the host's own components."""

import gradio as gr


class FormComponent:
    def get_expected_parent(self):
        return None


class ToolButton(FormComponent, gr.Button):
    pass


class FormRow(FormComponent, gr.Row):
    pass


class FormColumn(FormComponent, gr.Column):
    pass


class FormGroup(FormComponent, gr.Group):
    pass


class FormHTML(FormComponent, gr.HTML):
    pass


class InputAccordion(gr.Checkbox):
    """A checkbox that is also the box around what it switches on."""

    def __init__(self, value, **kwargs):
        self._box = gr.Accordion(kwargs.get("label"), open=value)
        super().__init__(value=value, **kwargs)

    def __enter__(self):
        self._box.__enter__()
        return self

    def __exit__(self, *args):
        return self._box.__exit__(*args)
