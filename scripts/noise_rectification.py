"""Noise Rectification for AnimateDiff: the script that the web UI loads; all work is in `lib_noiserect`."""

from modules import script_callbacks, scripts

from lib_noiserect.webui import api, session, settings_page, ui, xyz


class NoiseRectificationScript(scripts.Script):
    def title(self):
        return "Noise Rectification"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def elem_id(self, item_id):
        # The host would name the tab in both as soon as there are two.
        return f"script_{'' if self.is_img2img else 'txt2img_'}noise_rectification_{item_id}"

    def ui(self, is_img2img):
        # Not by callbacks: to register one, the host walks through all loaded modules, which takes it 50 ms.
        settings_page.add_options()
        xyz.add_axes()
        _when_started(api.add_routes)
        build = ui.build if is_img2img else ui.build_txt2img
        controls = build(self.elem_id)
        self.infotext_fields = ui.infotext_fields(controls, is_img2img=is_img2img)
        return controls

    def process(self, p, *args):
        session.begin(p, args)

    def process_batch(self, p, *args, **kwargs):
        session.begin_batch(p)

    def postprocess(self, p, processed, *args):
        session.end(p)


def _when_started(function):
    """As `script_callbacks.on_app_started`, without its search for the file that calls, which is what takes 50 ms."""
    entries = script_callbacks.callback_map["callbacks_app_started"]
    if all(entry.callback is not function for entry in entries):  # the host calls `ui()` more than once
        entry = script_callbacks.ScriptCallback(__file__, function)
        if hasattr(entry, "name"):  # not before 1.10
            entry.name = "noise-rectification/noise_rectification.py/app_started"
        entries.append(entry)
