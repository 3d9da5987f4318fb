"""Noise Rectification for AnimateDiff: the script that the web UI loads; all work is in `lib_noiserect`."""

from modules import script_callbacks, scripts

from lib_noiserect.webui import api, settings_page, ui, xyz
from lib_noiserect.webui.session import Session, refusing


class NoiseRectificationScript(scripts.Script):
    def title(self):
        return "Noise Rectification"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def elem_id(self, item_id):
        # The host names the tab in both ids as soon as there are two tabs.
        return f"script_{'' if self.is_img2img else 'txt2img_'}noise_rectification_{item_id}"

    def ui(self, is_img2img):
        # Not by callbacks: to register one, the host walks through all loaded modules for 50 ms.
        settings_page.add_options()
        xyz.add_axes()
        _when("app_started", api.add_routes)
        _when("app_started", xyz.list_in_script_info)
        _when("infotext_pasted", xyz.rename_pasted)
        controls = ui.build(self.elem_id) if is_img2img else ui.build_txt2img(self.elem_id)
        self.infotext_fields = ui.infotext_fields(controls, is_img2img=is_img2img)
        return controls

    @refusing("init")
    def process(self, p, *args):
        Session(p).begin(args)

    @refusing("sample")
    def process_batch(self, p, *args, **kwargs):
        if session := Session.of(p):
            session.begin_batch()

    def postprocess(self, p, processed, *args):
        if session := Session.of(p):
            session.end()


def _when(event, function):
    """As `script_callbacks.on_app_started` and the like, without their search for the calling file, which takes 50 ms."""
    entries = script_callbacks.callback_map[f"callbacks_{event}"]
    if all(entry.callback is not function for entry in entries):  # the host calls `ui()` more than once
        entry = script_callbacks.ScriptCallback(__file__, function)
        if hasattr(entry, "name"):  # not before 1.10
            entry.name = f"noise-rectification/noise_rectification.py/{event}"
        entries.append(entry)
