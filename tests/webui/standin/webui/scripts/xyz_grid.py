"""Stand-in of the X/Y/Z plot: the axes' table that extensions add to, and one copy of the job for each cell.

`ui`, `run` and the parsing of values are those of A1111 1.10.1's scripts/xyz_grid.py (`Script.ui`, `Script.run`,
`process_axis`), without the drawing: the grid is the cells' first pictures in a row, and the legends are kept as text.
"""

import csv
import re
from copy import copy
from io import StringIO
from itertools import chain

import gradio as gr
import modules.scripts as scripts
import numpy as np
from modules import errors
from modules.processing import Processed, fix_seed, process_images
from modules.shared import state
from PIL import Image
from standin.arguments import keep


def apply_field(field):
    return lambda p, x, xs: setattr(p, field, x)


def do_nothing(p, x, xs):
    pass


def format_value_add_label(p, opt, x):
    return f"{opt.label}: {round(x, 8) if type(x) is float else x}"


def csv_string_to_list_strip(data_str):
    return [cell.strip() for cell in chain.from_iterable(csv.reader(StringIO(data_str), skipinitialspace=True))]


_NUMBER = r"([+-]?\s*\d+(?:.\d*)?)"
re_range_float = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}(?:\s*\(([+-]\d+(?:.\d*)?)\s*\))?\s*")
re_range_count_float = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}(?:\s*\[(\d+(?:.\d*)?)\s*])?\s*")


def _expanded(values):
    for text in values:
        stepped, counted = re_range_float.fullmatch(text), re_range_count_float.fullmatch(text)
        if stepped is not None:
            start, end, step = float(stepped[1]), float(stepped[2]), float(stepped[3] or 1)
            yield from np.arange(start, end + step, step).tolist()
        elif counted is not None:
            yield from np.linspace(float(counted[1]), float(counted[2]), int(counted[3] or 1)).tolist()
        elif text.strip():
            yield text


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
        labels = [option.label for option in self.current_axis_options]
        controls, self.infotext_fields = [], []
        for name, first in (("X", 1), ("Y", 0), ("Z", 0)):
            controls.append(gr.Dropdown(label=f"{name} type", choices=labels, value=labels[first], type="index"))
            self.infotext_fields.append((controls[-1], f"{name} Type"))
            controls.append(gr.Textbox(label=f"{name} values", lines=1))
            controls.append(gr.Dropdown(label=f"{name} values", visible=False, multiselect=True, interactive=True))
        controls.append(gr.Checkbox(label="Draw legend", value=True))
        for label in ("Include Sub Images", "Include Sub Grids", "Keep -1 for seeds"):
            controls.append(gr.Checkbox(label=label, value=False))
        for name in "XYZ":
            controls.append(gr.Checkbox(label=f"Vary seeds for {name}", value=False))
        controls.append(gr.Slider(label="Grid margins (px)", minimum=0, maximum=500, value=0, step=2))
        controls.append(gr.Checkbox(label="Use text inputs instead of dropdowns", value=False))
        return controls

    def title(self):
        return "X/Y/Z plot"

    def run(
        self,
        p,
        x_type,
        x_values,
        x_values_dropdown,
        y_type,
        y_values,
        y_values_dropdown,
        z_type,
        z_values,
        z_values_dropdown,
        draw_legend,
        include_lone_images,
        include_sub_grids,
        no_fixed_seeds,
        vary_seeds_x,
        vary_seeds_y,
        vary_seeds_z,
        margin_size,
        csv_mode,
    ):
        if not no_fixed_seeds:
            fix_seed(p)
        axes = []
        for place, text, chosen in (
            (x_type, x_values, x_values_dropdown),
            (y_type, y_values, y_values_dropdown),
            (z_type, z_values, z_values_dropdown),
        ):
            option = self.current_axis_options[place or 0]
            axes.append((option, self._values(p, option, text, chosen, csv_mode)))
        (x_option, xs), (y_option, ys), (z_option, zs) = axes
        self.standin_legends = [[option.format_value(p, option, value) for value in values] for option, values in axes]
        self.standin_cells = []
        result = None
        for z in zs:
            for y in ys:
                for x in xs:
                    pc = copy(p)
                    pc.styles = pc.styles[:]
                    x_option.apply(pc, x, xs)
                    y_option.apply(pc, y, ys)
                    z_option.apply(pc, z, zs)
                    try:
                        cell = process_images(pc)
                    except Exception as e:
                        errors.display(e, "generating image for xyz plot")
                        cell = Processed(p, [], p.seed, "")
                    self.standin_cells.append((pc, cell))
                    if result is None:
                        result = copy(cell)
                        result.images, result.infotexts, result.index_of_first_image = [], [], 1
                    result.images.append(cell.images[0] if cell.images else Image.new("RGB", (p.width, p.height)))
                    result.infotexts.append(cell.infotexts[0] if cell.infotexts else None)
        if not any(cell.images for _, cell in self.standin_cells):
            return Processed(p, [])
        grid = Image.new("RGB", (p.width * len(result.images), p.height))
        for place, picture in enumerate(result.images):
            grid.paste(picture, (p.width * place, 0))
        lone = result.images if include_lone_images else []
        result.images, result.infotexts = [grid, *lone], [result.infotexts[0], *result.infotexts]
        return result

    def _values(self, p, option, text, chosen, csv_mode):
        if option.label == "Nothing":
            return [0]
        if option.choices is not None and not csv_mode:
            values = chosen
        elif option.prepare is not None:
            values = option.prepare(text)
        else:
            values = csv_string_to_list_strip(text)
        values = [option.type(value) for value in (_expanded(values) if option.type is float else values)]
        if option.confirm:
            option.confirm(p, values)
        return values

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
