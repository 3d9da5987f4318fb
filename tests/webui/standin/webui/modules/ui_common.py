"""Stand-in of the button that has a control look for its choices again."""

import gradio as gr
from modules.ui_components import ToolButton

refresh_symbol = "\U0001f504"  # 🔄


def create_refresh_button(refresh_component, refresh_method, refreshed_args, elem_id):
    def refresh():
        refresh_method()
        found = refreshed_args() if callable(refreshed_args) else refreshed_args
        for name, value in found.items():
            setattr(refresh_component, name, value)
        return gr.update(**found)

    button = ToolButton(value=refresh_symbol, elem_id=elem_id)
    button.click(fn=refresh, inputs=[], outputs=[refresh_component])
    return button
