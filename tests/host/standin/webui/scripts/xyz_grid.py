"""Stand-in of the X/Y/Z plot: the axes' table that extensions add to, and one copy of the job for each cell."""

from copy import copy

import modules.scripts as scripts
from modules import errors
from modules.processing import Processed, fix_seed, process_images
from modules.shared import state
from standin.arguments import keep


def apply_field(field):
    return lambda p, x, xs: setattr(p, field, x)


def do_nothing(p, x, xs):
    pass


def format_value_add_label(p, opt, x):
    return f"{opt.label}: {x}"


class AxisOption:
    def __init__(
        self,
        label,
        type,
        apply,
        format_value=format_value_add_label,
        confirm=None,
        cost=0.0,
        choices=None,
        prepare=None,
    ):
        keep(locals())

    def offered_by(self, is_img2img):
        """Whether the tab has this axis; those of one tab only know which one."""
        return getattr(self, "is_img2img", is_img2img) == is_img2img


def _of_one_tab(name, is_img2img):
    def __init__(self, *args, **kwargs):
        AxisOption.__init__(self, *args, **kwargs)
        self.is_img2img = is_img2img

    return type(name, (AxisOption,), {"__init__": __init__, "__module__": __name__})


AxisOptionTxt2Img = _of_one_tab("AxisOptionTxt2Img", is_img2img=False)
AxisOptionImg2Img = _of_one_tab("AxisOptionImg2Img", is_img2img=True)

axis_options = [
    AxisOption("Nothing", str, do_nothing),
    AxisOption("Seed", int, apply_field("seed")),
    AxisOption("Steps", int, apply_field("steps")),
    AxisOption("CFG Scale", float, apply_field("cfg_scale")),
    AxisOptionImg2Img("Sampler", str, apply_field("sampler_name")),
    AxisOption("Denoising", float, apply_field("denoising_strength")),
]


class Script(scripts.Script):
    def ui(self, is_img2img):
        self.current_axis_options = [option for option in axis_options if option.offered_by(is_img2img)]
        return []

    def title(self):
        return "X/Y/Z plot"

    def run_cells(self, p, cells):
        """[(the cell's job, its result)] for cells that are functions of the job or lists of (label, value as text)."""
        fix_seed(p)
        options = {option.label: option for option in axis_options if option.offered_by(self.is_img2img)}
        return [self._cell(p, cell, options) for cell in cells]

    def _cell(self, p, cell, options):
        if state.interrupted or state.stopping_generation:
            return p, Processed(p, [], p.seed, "")
        # A shallow copy: what hangs on the job, such as extra_generation_params, is shared by all cells.
        pc = copy(p)
        pc.styles = pc.styles[:]
        if callable(cell):
            cell(pc)
        else:
            for label, text in cell:
                option = options[label]
                values = [option.type(text)]
                if option.confirm:
                    option.confirm(pc, values)
                option.apply(pc, values[0], values)
        try:
            return pc, process_images(pc)
        except Exception as e:
            errors.display(e, "generating image for xyz plot")
            return pc, Processed(p, [], p.seed, "")
