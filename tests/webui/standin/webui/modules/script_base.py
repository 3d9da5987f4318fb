"""The base class of scripts; `modules.scripts` hands it on."""

import string

from standin import flavours

_ID_LETTERS = string.ascii_lowercase + string.digits + "_"


class Script:
    # The loader's and the runner's
    filename = name = tabname = None
    alwayson = is_img2img = is_txt2img = False
    args_from = args_to = None
    # The page's
    group = controls = api_info = section = None
    create_group = True
    on_after_component_elem_id = on_before_component_elem_id = None
    # The script's
    infotext_fields = paste_field_names = None
    setup_for_ui_only = False

    # The page

    def show(self, is_img2img):
        return True

    def title(self):
        raise NotImplementedError(f"{type(self).__name__} has no title")

    def ui(self, is_img2img):
        """Its controls."""

    def after_component(self, component, **kwargs):
        """A control of the page was made."""

    def before_component(self, component, **kwargs):
        """A control of the page is about to be made."""

    # A job

    def setup(self, p, *args):
        """The job knows its scripts and their arguments."""

    def run(self, p, *args):
        """Chosen in the dropdown: may take the whole job over."""

    def before_process(self, p, *args):
        """Nothing is done yet; settings may still be overridden."""

    def process(self, p, *args):
        """Prompts and seeds of all pictures are known."""

    def postprocess(self, p, processed, *args):
        """The job is over."""

    # Each batch of it

    def before_process_batch(self, p, *args, **kwargs):
        """Its prompts and seeds are known, and not yet looked into."""

    def after_extra_networks_activate(self, p, *args, **kwargs):
        """What the prompts ask for in <> is loaded."""

    def process_batch(self, p, *args, **kwargs):
        """Its prompts are final."""

    if flavours.active.has_sampling_hook:

        def process_before_every_sampling(self, p, *args, **kwargs):
            """The noise is drawn."""

    def before_hr(self, p, *args):
        """Between the two passes of a txt2img job."""

    def on_mask_blend(self, p, mba, *args):
        """The picture was put around the mask."""

    def post_sample(self, p, ps, *args):
        """The latents are final."""

    def postprocess_batch(self, p, *args, **kwargs):
        """The latents are decoded, to a tensor,"""

    def postprocess_batch_list(self, p, pp, *args, **kwargs):
        """and the same as a list, which may become shorter or longer."""

    # Each picture of it

    def postprocess_image(self, p, pp, *args):
        """As it came from the network."""

    def postprocess_maskoverlay(self, p, ppmo, *args):
        """The part of the original that will be laid over it is known."""

    def postprocess_image_after_composite(self, p, pp, *args):
        """As it will be handed out."""

    def on_before_component(self, callback, *, elem_id):
        self.on_before_component_elem_id = [*(self.on_before_component_elem_id or []), (elem_id, callback)]

    def on_after_component(self, callback, *, elem_id):
        self.on_after_component_elem_id = [*(self.on_after_component_elem_id or []), (elem_id, callback)]

    def describe(self):
        return ""

    def elem_id(self, item_id):
        spaced = ("_" if letter.isspace() else letter for letter in self.title().lower())
        title = "".join(letter for letter in spaced if letter in _ID_LETTERS)
        tab = ("img2img_" if self.is_img2img else "txt2img_") if self.show(True) == self.show(False) else ""
        return f"script_{tab}{title}_{item_id}"
