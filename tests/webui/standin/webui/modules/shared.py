"""Stand-in of the web UI's global state."""

import sys
import types

from modules import devices, options, shared_options
from standin import flavours

cmd_opts = types.SimpleNamespace(
    no_half=True,
    no_half_vae=True,
    api=True,
    api_auth=None,
    lowvram=False,
    medvram=False,
    freeze_settings=False,
    ui_debug_mode=False,
    hide_ui_dir_config=False,
    no_prompt_history=True,
    embeddings_dir="",
    use_textbox_seed=False,
    no_gradio_queue=False,
    disable_console_progressbars=True,
    data_dir="",
    ckpt_dir=None,
)
parallel_processing_allowed = True
progress_print_out = sys.stdout

device = devices.device
state = None
sd_model = None
sd_upscalers = []
face_restorers = []
tab_names = []
settings_components = None
demo = None
hypernetworks = {}
xformers_available = False

options_section = options.options_section
OptionInfo = options.OptionInfo
OptionHTML = options.OptionHTML

options_templates = shared_options.labels(flavours.active.has_schedulers)
restricted_opts = set()
opts = options.Options(options_templates, restricted_opts)


class _TotalTqdm:
    def update(self):
        pass

    def updateTotal(self, new_total):
        pass

    def clear(self):
        pass


class _PromptStyles:
    styles = {}

    def apply_styles_to_prompt(self, prompt, styles):
        return prompt

    def apply_negative_styles_to_prompt(self, prompt, styles):
        return prompt

    def extract_styles_from_prompt(self, prompt, negative_prompt):
        return [], prompt, negative_prompt


total_tqdm = _TotalTqdm()
prompt_styles = _PromptStyles()


def listfiles(dirname):
    return []


from modules import shared_state  # noqa: E402, F401  (it sets `state`)
