"""The command `animate`, with the built-in model: what it writes, and that bad input ends with one line and code 2."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lib_noiserect.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs/pictures/sample.png"
PROMPT = ["--prompt", "an orange beetle moving up over a green ground"]
SHORT = ["--steps", "2", "--frames", "4"]


def refused(capsys, *given):
    assert main(["animate", *map(str, given)]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1 and not printed.out
    return printed.err


@pytest.mark.parametrize("follows, other", [(True, "the paper's rule"), (False, "following the motion")])
def test_the_readmes_command_makes_a_clip_and_a_sheet(follows, other, tmp_path, capsys, monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^python dev.py (animate .*)$", readme, re.MULTILINE)[1]
    given = [word for word in shlex.split(command) if follows or word != "--follow-motion"]
    given[1] = str(ROOT / given[1])
    monkeypatch.chdir(tmp_path)
    assert main([*given, *SHORT]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.gif", "clip-compared.png"}
    with Image.open(tmp_path / "out" / "clip.gif") as made:
        assert made.n_frames == 4 and made.size == (256, 256)
    with Image.open(tmp_path / "out" / "clip-compared.png") as sheet:
        assert sheet.width > 4 * 64 and sheet.height > 3 * 64
    printed = capsys.readouterr()
    assert "steps 1–2 of 2 rectified" in printed.out and "clip.gif" in printed.out
    for title in ("rectified", "plain noising", other):
        assert f"{title}: 100%" in printed.err


def test_json_says_what_was_done(tmp_path, capsys):
    arguments = [
        "animate",
        str(SAMPLE),
        *PROMPT,
        "-o",
        str(tmp_path / "frames"),
        "--steps",
        "3",
        "--frames",
        "3",
        "--json",
    ]
    changed = ["--tau-end", "0.4", "--omega", "1,0.5,0", "--sampler", "Euler a", "--seed", "3", "--guidance", "1"]
    assert main([*arguments, *changed, "--compare"]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert said["rectified"]["steps"] == 3 and said["rectified"]["rectified"] == 2
    assert said["settings"]["omega"] == [1.0, 0.5, 0.0] and said["seed"] == 3 and said["sampler"] == "Euler a"
    assert len({said[way]["measures"]["ssim"] for way in ("rectified", "noising", "other_rule")}) == 3
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"frame_000{i}.png" for i in range(3)]
    assert "%|" not in printed.err


def test_key_frames(tmp_path, capsys):
    """Frame 3 is the other picture as frame 0 is the first, as far as the VAE keeps them; the others are neither."""
    other = tmp_path / "other.png"
    with Image.open(SAMPLE) as image:
        image.rotate(180).resize((300, 300)).save(other)
    command = ["animate", str(SAMPLE), *PROMPT, "-o", str(tmp_path / "frames"), *SHORT, "--scale", "1", "--json"]
    assert main([*command, "--tau-end", "1", "--keyframe", f"3={other}"]) == 0
    assert json.loads(capsys.readouterr().out)["key_frames"] == {"3": str(other)}
    made = [np.asarray(Image.open(tmp_path / "frames" / f"frame_{i:04d}.png")).astype(float) for i in range(4)]
    first, last = (
        np.asarray(Image.open(path).convert("RGB").resize((64, 64))).astype(float) for path in (SAMPLE, other)
    )
    for frame, wanted in ((0, first), (3, last)):
        far = [np.abs(one - wanted).mean() for one in made]
        assert far[frame] < 12 and far[frame] < 0.8 * min(far[:frame] + far[frame + 1 :]), far


def masks(folder):
    """The left half, the right half, nothing, and one of another shape; the first transparent where nothing moves."""
    with Image.open(SAMPLE) as image:
        width, height = image.size
    half = Image.new("L", (width, height))
    half.paste(255, (0, 0, width // 2, height))
    clear = Image.new("LA", (width, height), (255, 0))
    clear.putalpha(half)
    made = {"left": clear, "right": half.point(lambda value: 255 - value), "black": Image.new("L", (width, height))}
    for name, image in {**made, "wide": Image.new("L", (64, 32), 255)}.items():
        image.save(folder / f"{name}.png")
    return folder


def test_a_mask(tmp_path, capsys):
    """Outside is what it is in a clip in which nothing moves; two masks by frames are each where they are."""
    masks(tmp_path)
    command = [
        "animate",
        str(SAMPLE),
        *PROMPT,
        *SHORT,
        "--scale",
        "1",
        "--json",
        "--tau-end",
        "1",
        "--mask-feather",
        "0",
    ]
    given = {
        "still": ["--omega", "frozen"],
        "left": ["--mask", str(tmp_path / "left.png")],
        "both": ["--mask", str(tmp_path / "left.png"), "--mask-frame", f"3={tmp_path / 'right.png'}"],
    }
    clips = {}
    for name, options in given.items():
        assert main([*command, "-o", str(tmp_path / name), *options]) == 0
        said = json.loads(capsys.readouterr().out)
        clips[name] = np.stack([np.asarray(Image.open(path), int) for path in sorted((tmp_path / name).iterdir())])
    assert said["masks"] == {"0": str(tmp_path / "left.png"), "3": str(tmp_path / "right.png")}
    changed = {name: np.abs(clips[name] - clips["still"]).mean((1, 3)) for name in ("left", "both")}
    # The decoder's own reach blurs the border of the mask.
    assert changed["left"][:, 48:].max() <= 1 and changed["left"][1:, :24].mean() > 2
    assert changed["both"][3, :16].max() <= 1 and changed["both"][3, 40:].mean() > 2


def test_a_target_similarity(tmp_path, capsys):
    command = ["animate", str(SAMPLE), *PROMPT, "--steps", "2", "--frames", "2", "--tau-end", "1", "--guidance", "1"]
    assert main([*command, "-o", str(tmp_path / "a.gif"), "--target-ssim", "0.965"]) == 0
    printed = capsys.readouterr()
    found = re.search(r"^motion ([\d.]+) found by SSIM in (\d) short runs \(0: ", printed.out, re.MULTILINE)
    assert 0 < float(found[1]) < 1 and "auto-tuning motion" in printed.err
    reached = float(re.search(r"^SSIM of the video: ([\d.]+) \(target: 0.965\)", printed.out, re.MULTILINE)[1])
    assert 0.96 < reached < 0.97
    assert main([*command, "-o", str(tmp_path / "b.gif"), "--target-ssim", "0.965", "--json"]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)["target"]
    assert not printed.err.count("auto-tuning") and said["wanted"] == 0.965 and len(said["tried"]) == int(found[2])
    assert said["motion"] == pytest.approx(float(found[1]), abs=0.01)
    assert said["ssim"] == pytest.approx(reached, abs=1e-3)
    assert said["in_all_steps"]["ssim"] == pytest.approx(said["ssim"], abs=5e-3)
    message = refused_after(capsys, *command[1:], "-o", tmp_path / "c.gif", "--target-ssim", "1", "--json")
    assert "--target-ssim = 1 cannot be reached: a still video has 0.9" in message
    little = ["--omega", "motion", "--motion", "0.01", "--steps", "4", "--tau-end", "0.25", "--json"]
    assert "--motion = 0.01 is below the minimum" in refused_after(
        capsys, *command[1:], "-o", tmp_path / "c.gif", *little
    )
    assert not (tmp_path / "c.gif").exists()


def refused_after(capsys, *given):
    """Refused with what can be known only once the model has run."""
    assert main(["animate", *map(str, given)]) == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")][0]


def test_what_is_cut_off_is_said(tmp_path, capsys):
    wide = tmp_path / "wide.png"
    Image.new("RGB", (100, 60), "red").save(wide)
    command = ["animate", str(wide), *PROMPT, "-o", str(tmp_path / "c.gif"), "--steps", "1", "--frames", "2", "--json"]
    assert main([*command, "--key-frame", f"1={SAMPLE}"]) == 0, "the older name of --keyframe"
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert notes == [f"note: {wide} is 100x60 and the video 64x64: it is cropped around its center"]


def test_a_loop_by_noise_level(tmp_path, capsys):
    command = ["animate", str(SAMPLE), *PROMPT, "-o", str(tmp_path / "c.gif"), "--steps", "3", "--frames", "4"]
    controls = ["--loop", "--tau-unit", "noise-level", "--hold-colour", "--release", "0.2", "--omega", "motion"]
    assert main([*command, *controls, "--motion", "0.9", "--sampler", "dpm++ 2m karras"]) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"\d of 3 steps rectified, then fade-out over 20 %, color preserved", said)


def test_the_same_seed_makes_the_same_clip(tmp_path):
    clips = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        command = ["animate", str(SAMPLE), *PROMPT, "-o", str(tmp_path / name), "--steps", "1", "--frames", "2"]
        assert main([*command, "--seed", str(seed), "--json"]) == 0
        clips.append(np.stack([np.asarray(Image.open(path)) for path in sorted((tmp_path / name).iterdir())]))
    assert np.array_equal(clips[0], clips[1]) and not np.array_equal(clips[0], clips[2])


def test_another_size(tmp_path):
    command = ["animate", str(SAMPLE), *PROMPT, "-o", str(tmp_path / "f"), "--steps", "1", "--frames", "2"]
    assert main([*command, "--width", "80", "--height", "48", "--scale", "1"]) == 0
    with Image.open(tmp_path / "f" / "frame_0000.png") as frame:
        assert frame.size == (80, 48)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--steps", "0"], "--steps = 0 is out of range: use 1 to 1000"),
        (["--frames", "33"], "--frames = 33 is more than the motion modules support"),
        (["--width", "60"], "--width = 60 is not a multiple of 8: use 56 or 64"),
        (["--tau-end", "1.5"], "--tau-end = '1.5' is out of range"),
        (["--omega", "1,0.5"], "--omega has 2 entries and the video has 4 frames"),
        (["--sampler", "magic"], "--sampler = 'magic' is unknown: use one of ddim"),
        (["--motion-adapter", "x"], "--motion-adapter needs --model"),
        (
            ["--key-frame", "last.png"],
            "--keyframe = 'last.png' is not a number and an image: use for example 15=last.png",
        ),
        (
            ["--keyframe", "4=a.png"],
            "--keyframe 4=a.png is not in the video of 4 frames: use 1 to 3; frame 0 is the image itself",
        ),
        (["--key-frame", "2=a.png", "--key-frame", "2=b.png"], "--keyframe 2 is given twice"),
        (["--key-frame", "2=nothing.png"], "nothing.png does not exist"),
        (["--compare", "sheet.gif"], "--compare sheet.gif is not a PNG file: use a name that ends in .png"),
        (["--compare", str(SAMPLE)], "would replace a file that the command reads: use another name"),
        (["--compare", "--frames", "1"], "--compare needs motion and --frames = 1: use 2 frames or more"),
        (["--target-ssim", "0.5", "--frames", "1"], "--target-ssim needs motion and --frames = 1"),
        (["--frames", "1", "--keyframe", "1=a.png"], "is not in the video of 1 frames: use 2 frames or more"),
        (["--sampler", "lcm", "--steps", "60"], "--steps = 60 is not possible with this sampler: "),
        (["--fps", "60"], "--fps = 60 is out of range for clip.gif: use 0.1 to 50"),
        (["--fps", "nan"], "--fps = nan is out of range"),
        (["--scale", "65"], "--scale = 65 is out of range: use 1 to 64"),
        (["--guidance", "nan"], "--guidance = nan is out of range"),
        (["--seed", "-1"], "--seed = -1 is out of range"),
        (["--mask", "nothing.png"], "nothing.png does not exist"),
        (["--mask-frame", "9=a.png"], "--mask-frame 9=a.png is not in the video of 4 frames: use 0 to 3"),
        (["--mask-frame", "1=a.png", "--mask-frame", "1=b.png"], "--mask-frame 1 is given twice"),
        (["--mask", "a.png", "--mask-frame", "0=b.png"], "use 1 to 3; frame 0 is set by --mask"),
        (["--motion", "2"], "--motion = '2' is out of range"),
        (["--tau-unit", "minutes"], "--tau-unit = 'minutes' is not allowed"),
    ],
)
def test_wrong_options(tmp_path, capsys, changed, message):
    assert message in refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "clip.gif", *SHORT, *changed)
    assert not list(tmp_path.iterdir())


def test_wrong_masks(tmp_path, capsys):
    masks(tmp_path)
    output = ["-o", tmp_path / "clip.gif"]
    assert "is all black and allows no motion" in refused(
        capsys, SAMPLE, *PROMPT, *output, "--mask", tmp_path / "black.png"
    )
    message = refused(capsys, SAMPLE, *PROMPT, *output, "--mask", tmp_path / "wide.png")
    assert "wide.png is 64x32 and the image" in message and "use a mask of the image's proportions" in message
    feather = ["--mask", tmp_path / "left.png", "--mask-feather", "16", *SHORT]
    assert "--mask-feather = 16 is too wide for" in refused(capsys, SAMPLE, *PROMPT, *output, *feather)


def test_wrong_pictures_and_places(tmp_path, capsys):
    output = ["-o", tmp_path / "clip.gif"]
    assert "does not exist" in refused(capsys, tmp_path / "no.png", *PROMPT, *output)
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    assert "is not an image" in refused(capsys, tmp_path / "text.png", *PROMPT, *output)
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert "has 2 frames" in refused(capsys, tmp_path / "two.gif", *PROMPT, *output)
    assert "unknown ending '.avi'" in refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "clip.avi")
    model = ["--model", tmp_path / "nowhere"]
    assert "failed to load" in refused(capsys, SAMPLE, *PROMPT, *output, *model)
    assert not (tmp_path / "clip.gif").exists()


def test_models_that_make_single_pictures_want_a_motion_adapter(tmp_path, capsys):
    import shutil

    from lib_noiserect.pipelines.loading import BUILT_IN

    model = tmp_path / "model"
    shutil.copytree(BUILT_IN, model)
    index = json.loads((model / "model_index.json").read_text(encoding="utf-8"))
    adapter = index.pop("motion_adapter")
    assert adapter == ["diffusers", "MotionAdapter"]
    index |= {
        "_class_name": "StableDiffusionPipeline",
        "safety_checker": [None, None],
        "requires_safety_checker": False,
    }
    (model / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    (model / "motion_adapter").rename(tmp_path / "adapter")
    wanted = [SAMPLE, *PROMPT, "-o", tmp_path / "clip.gif", "--steps", "1", "--frames", "2", "--model", model]
    assert "give --motion-adapter with it" in refused(capsys, *wanted)
    assert main(["animate", *map(str, wanted), "--motion-adapter", str(tmp_path / "adapter"), "--json"]) == 0
    assert (tmp_path / "clip.gif").exists()


def test_pickled_weights_are_not_read(tmp_path, capsys):
    import shutil

    from lib_noiserect.pipelines.loading import BUILT_IN

    model = tmp_path / "model"
    shutil.copytree(BUILT_IN, model)
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    message = refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "clip.gif", "--model", model)
    assert "failed to load" in message and "safetensors" in message


@pytest.mark.parametrize(
    ("module", "package", "purpose"),
    [("diffusers", "diffusers", "making videos"), ("cv2", "scikit-image opencv-python-headless scipy", "--compare")],
)
def test_a_missing_package_is_named(tmp_path, capsys, monkeypatch, module, package, purpose):
    monkeypatch.setitem(sys.modules, module, None)
    message = refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "a.gif", "--compare")
    assert f"{purpose} needs {package}" in message and f"pip install {package}" in message


@pytest.mark.parametrize("option", ["image", "mask"])
def test_images_are_read_by_the_one_reader(tmp_path, capsys, option):
    """A format that Pillow would open and the reader does not, as the image and as a mask."""
    Image.new("RGB", (64, 64), "white").save(tmp_path / "closed.tga")
    given = [tmp_path / "closed.tga"] if option == "image" else [SAMPLE, "--mask", tmp_path / "closed.tga"]
    message = refused(capsys, *given, *PROMPT, "-o", tmp_path / "a.gif")
    assert "closed.tga is not an image that can be read: use PNG, JPEG, WebP, BMP, GIF or TIFF" in message


def test_what_cannot_be_written_is_kept(tmp_path, capsys, monkeypatch):
    def fail(image, path, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lib_noiserect.media.videos._write_gif", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = [SAMPLE, *PROMPT, "-o", tmp_path / "a.gif", "--steps", "1", "--frames", "2", "--json"]
    message = refused_after(capsys, *command)
    folder = Path(re.search(r"; the frames are in (.*)$", message)[1])
    assert sorted(path.name for path in folder.iterdir()) == ["frame_0000.png", "frame_0001.png"]
