"""Stand-in of the Extras tab's scripts, which an img2img job does not run."""


class ScriptPostprocessing:
    name = filename = None
    group = controls = args_from = args_to = None
    order = 1000

    def ui(self):
        pass

    def process(self, pp, **args):
        pass
