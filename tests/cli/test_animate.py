"""The command `animate`, with the built-in model: what it writes, and that bad input ends with one line and code 2."""

import json
import re
import shlex
import subprocess
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


def test_a_clip_and_a_sheet(tmp_path, capsys):
    clip = tmp_path / "new" / "clip.gif"
    assert main(["animate", str(SAMPLE), *PROMPT, "-o", str(clip), *SHORT, "--compare"]) == 0
    with Image.open(clip) as made:
        assert made.n_frames == 4 and made.size == (256, 256)
    with Image.open(tmp_path / "new" / "clip-compared.png") as sheet:
        assert sheet.width > 4 * 64 and sheet.height > 2 * 64
    printed = capsys.readouterr()
    assert "steps 1–2 of 2 rectified" in printed.out and str(clip) in printed.out
    assert "rectified: 100%" in printed.err and "noising alone: 100%" in printed.err


def test_the_readmes_command(tmp_path, monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^python dev.py (animate .*)$", readme, re.MULTILINE)[1]
    given = shlex.split(command)
    given[1] = str(ROOT / given[1])
    monkeypatch.chdir(tmp_path)
    assert main([*given, "--steps", "1"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip.gif", "clip-compared.png"}


def test_json_says_what_was_done(tmp_path, capsys):
    arguments = [
        "animate",
        str(SAMPLE),
        *PROMPT,
        "-o",
        str(tmp_path / "frames"),
        "--steps",
        "5",
        "--frames",
        "3",
        "--json",
    ]
    changed = ["--tau-end", "0.4", "--omega", "1,0.5,0", "--sampler", "Euler a", "--seed", "3", "--compare"]
    assert main([*arguments, *changed]) == 0
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert said["rectified"]["steps"] == 5 and said["rectified"]["rectified"] == 2
    assert said["settings"]["omega"] == [1.0, 0.5, 0.0] and said["seed"] == 3 and said["sampler"] == "Euler a"
    assert said["rectified"]["measures"]["ssim"] != said["noising"]["measures"]["ssim"]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"frame_000{i}.png" for i in range(3)]
    assert "%|" not in printed.err


def test_key_frames(tmp_path, capsys):
    """Frame 3 is the other picture as frame 0 is the first, as far as the VAE keeps them; the others are neither."""
    other = tmp_path / "other.png"
    with Image.open(SAMPLE) as image:
        image.rotate(180).resize((300, 300)).save(other)
    command = ["animate", str(SAMPLE), *PROMPT, "-o", str(tmp_path / "frames"), *SHORT, "--scale", "1", "--json"]
    assert main([*command, "--tau-end", "1", "--key-frame", f"3={other}"]) == 0
    assert json.loads(capsys.readouterr().out)["key_frames"] == {"3": str(other)}
    made = [np.asarray(Image.open(tmp_path / "frames" / f"frame_{i:04d}.png")).astype(float) for i in range(4)]
    first, last = (
        np.asarray(Image.open(path).convert("RGB").resize((64, 64))).astype(float) for path in (SAMPLE, other)
    )
    for frame, wanted in ((0, first), (3, last)):
        far = [np.abs(one - wanted).mean() for one in made]
        assert far[frame] < 12 and far[frame] < 0.8 * min(far[:frame] + far[frame + 1 :]), far


def test_the_same_seed_makes_the_same_clip(tmp_path):
    clips = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert (
            main(["animate", str(SAMPLE), *PROMPT, "-o", str(tmp_path / name), *SHORT, "--seed", str(seed), "--json"])
            == 0
        )
        clips.append(np.stack([np.asarray(Image.open(path)) for path in sorted((tmp_path / name).iterdir())]))
    assert np.array_equal(clips[0], clips[1]) and not np.array_equal(clips[0], clips[2])


def test_a_size_of_ones_own(tmp_path):
    assert (
        main(
            [
                "animate",
                str(SAMPLE),
                *PROMPT,
                "-o",
                str(tmp_path / "f"),
                *SHORT,
                "--width",
                "80",
                "--height",
                "48",
                "--scale",
                "1",
            ]
        )
        == 0
    )
    assert Image.open(tmp_path / "f" / "frame_0000.png").size == (80, 48)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--steps", "0"], "--steps = 0 is out of range: use 1 to 1000"),
        (["--frames", "33"], "frames = 33 is more than the 32"),
        (["--width", "60"], "--width = 60 is no multiple of 8: use 56 or 64"),
        (["--tau-end", "1.5"], "--tau-end = '1.5' is out of range"),
        (["--omega", "1,0.5"], "--omega has 2 entries and the clip has 4 frames"),
        (["--sampler", "magic"], "sampler = 'magic' is not known: use one of ddim"),
        (["--motion-adapter", "x"], "--motion-adapter is given without --model"),
        (["--key-frame", "last.png"], "--key-frame = 'last.png' is not understood"),
        (["--key-frame", "4=last.png"], "--key-frame 4=last.png is not in the clip: use 1 to 3"),
        (["--key-frame", "2=a.png", "--key-frame", "2=b.png"], "--key-frame 2 is given twice"),
        (["--key-frame", "2=nothing.png"], "nothing.png does not exist"),
        (["--compare", "sheet.gif"], "use one that ends in .png"),
    ],
)
def test_wrong_options(tmp_path, capsys, changed, message):
    assert message in refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "clip.gif", *SHORT, *changed)
    assert not list(tmp_path.iterdir())


def test_wrong_pictures_and_places(tmp_path, capsys):
    output = ["-o", tmp_path / "clip.gif"]
    assert "does not exist" in refused(capsys, tmp_path / "no.png", *PROMPT, *output)
    (tmp_path / "text.png").write_text("hello")
    assert "is not a picture" in refused(capsys, tmp_path / "text.png", *PROMPT, *output)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert "has 2 frames" in refused(capsys, tmp_path / "two.gif", *PROMPT, *output)
    assert "unknown ending '.avi'" in refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "clip.avi")
    model = ["--model", tmp_path / "nowhere"]
    assert "could not be loaded" in refused(capsys, SAMPLE, *PROMPT, *output, *model)
    assert not (tmp_path / "clip.gif").exists()


def test_models_that_make_single_pictures_want_a_motion_adapter(tmp_path, capsys):
    import shutil

    from lib_noiserect.pipelines.animate import BUILT_IN

    model = tmp_path / "model"
    shutil.copytree(BUILT_IN, model)
    index = json.loads((model / "model_index.json").read_text())
    adapter = index.pop("motion_adapter")
    assert adapter == ["diffusers", "MotionAdapter"]
    index |= {
        "_class_name": "StableDiffusionPipeline",
        "safety_checker": [None, None],
        "requires_safety_checker": False,
    }
    (model / "model_index.json").write_text(json.dumps(index))
    (model / "motion_adapter").rename(tmp_path / "adapter")
    wanted = [SAMPLE, *PROMPT, "-o", tmp_path / "clip.gif", *SHORT, "--model", model]
    assert "give --motion-adapter with it" in refused(capsys, *wanted)
    assert main(["animate", *map(str, wanted), "--motion-adapter", str(tmp_path / "adapter"), "--json"]) == 0
    assert (tmp_path / "clip.gif").exists()


def test_pickled_weights_are_not_read(tmp_path, capsys):
    import shutil

    from lib_noiserect.pipelines.animate import BUILT_IN

    model = tmp_path / "model"
    shutil.copytree(BUILT_IN, model)
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    message = refused(capsys, SAMPLE, *PROMPT, "-o", tmp_path / "clip.gif", "--model", model)
    assert "could not be loaded" in message and "safetensors" in message


def test_a_missing_package_is_named(tmp_path):
    program = (
        "import sys; sys.modules['diffusers'] = None\n"
        "from lib_noiserect.__main__ import main\n"
        f"sys.exit(main(['animate', {str(SAMPLE)!r}, '--prompt', 'x', '-o', {str(tmp_path / 'c.gif')!r}]))"
    )
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 2
    assert "making clips needs diffusers" in finished.stderr and "pip install diffusers" in finished.stderr
