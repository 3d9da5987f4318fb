"""Stand-in of the pictures' handling: fitted, put in a grid, and saved under the names that the host gives."""

import os

from modules.shared import opts
from PIL import Image, ImageFont, PngImagePlugin


def get_font(fontsize):
    """The host reads a file of its own or of the user's."""
    return ImageFont.load_default(fontsize)


def resize_image(resize_mode, im, width, height, upscaler_name=None):
    """Stretch (0), or fit by cropping (1) or by filling with black (2)."""
    if resize_mode == 0:
        return im.resize((width, height), resample=Image.Resampling.LANCZOS)
    ratios = width / im.width, height / im.height
    scale = max(ratios) if resize_mode == 1 else min(ratios)
    scaled = im.resize((round(im.width * scale), round(im.height * scale)), resample=Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (width, height))
    canvas.paste(scaled, ((width - scaled.width) // 2, (height - scaled.height) // 2))
    return canvas


def flatten(img, bgcolor):
    if img.mode != "RGBA":
        return img.convert("RGB")
    flat = Image.new("RGB", img.size, bgcolor)
    flat.paste(img.convert("RGB"), mask=img.getchannel("A"))
    return flat


def image_grid(imgs, batch_size=1, rows=None):
    grid = Image.new("RGB", (sum(image.width for image in imgs), max(image.height for image in imgs)))
    left = 0
    for image in imgs:
        grid.paste(image, (left, 0))
        left += image.width
    return grid


def get_next_sequence_number(path, basename):
    prefix = f"{basename}-" if basename else ""
    first_parts = [
        name.removeprefix(prefix).split("-")[0].split(".")[0] for name in os.listdir(path) if name.startswith(prefix)
    ]
    return max((int(part) for part in first_parts if part.isdigit()), default=-1) + 1


def save_image(
    image,
    path,
    basename,
    seed=None,
    prompt=None,
    extension="png",
    info=None,
    short_filename=False,
    no_prompt=False,
    grid=False,
    pnginfo_section_name="parameters",
    p=None,
    existing_info=None,
    forced_filename=None,
    suffix="",
    save_to_dirs=None,
):
    """As PNG, named `[number]-[seed]`; the patterns of names and of folders are not played."""
    os.makedirs(path, exist_ok=True)
    name = forced_filename
    if name is None:
        name = f"{get_next_sequence_number(path, basename):05}{'' if seed is None else f'-{seed}'}{suffix}"
    written = PngImagePlugin.PngInfo()
    if info is not None and opts.enable_pnginfo:
        written.add_text(pnginfo_section_name, info)
    file = os.path.join(path, f"{name}.{extension}")
    image.save(file, pnginfo=written)
    image.already_saved_as = file
    return file, None
