"""Noise Rectification for AnimateDiff: the script that the web UI loads; all work is in `lib_noiserect`."""

from modules import scripts

from lib_noiserect.webui import job, options, ui, xyz


class NoiseRectificationScript(scripts.Script):
    def title(self):
        return "Noise Rectification"

    def show(self, is_img2img):
        return scripts.AlwaysVisible if is_img2img else False

    def ui(self, is_img2img):
        # Not by a callback: to register one, the host walks through all loaded modules, which takes it 50 ms.
        options.add_options()
        xyz.add_axes()
        controls = ui.build(self.elem_id)
        self.infotext_fields = ui.infotext_fields(controls)
        self.paste_field_names = [key for _, key in self.infotext_fields]
        return controls

    def process(self, p, *args):
        job.begin(p, args)

    def postprocess(self, p, processed, *args):
        job.end(p)
