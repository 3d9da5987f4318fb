"""Wrong input of every command: one line and exit code 2, before the model is loaded; and files that nobody may lose."""

import json
import threading
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lib_noiserect.__main__ import main
from lib_noiserect.cli.options import message_of
from lib_noiserect.core.finite import NotFiniteError, check_finite
from lib_noiserect.evaluation.captioned_images import images_in
from lib_noiserect.evaluation.model import Model, model_facts
from lib_noiserect.evaluation.report import checked
from lib_noiserect.media.files import replacing
from lib_noiserect.media.images import MediaError, read_image
from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import Statistics
from lib_noiserect.pipelines import loading

BINARY = b"\x80\xff\x00"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image, which is the current one; a model that is loaded fails the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "load", lambda *a, **k: pytest.fail("the model was loaded"))
    Image.new("RGB", (64, 64), "white").save("a.png")
    Image.new("RGB", (64, 64), "red").save("a.gif")
    (tmp_path / "binary.md").write_bytes(BINARY)
    (tmp_path / "captions.json").write_text("{}", encoding="utf-8")
    return tmp_path


def refused(capsys, *words):
    try:
        code = main(list(words))
    except SystemExit as end:  # an option that argparse itself refuses
        code = end.code
    said = capsys.readouterr()
    assert code == 2 and said.err.startswith("error: ") and said.err.count("\n") == 1 and len(said.err) < 1200, said.err
    assert "Traceback" not in said.err and not said.out
    return said.err


ANIMATE = ["animate", "a.png", "--prompt", "a cat", "-o", "out.gif"]
EVALUATE = ["evaluate", "-o", "out"]


@pytest.mark.parametrize(
    "words, message",
    [
        ([*ANIMATE, "--device", "cpu:99"], "--device = 'cpu:99' is not on this machine: use "),
        ([*ANIMATE, "--device", "abacus"], "--device = 'abacus' is not on this machine"),
        ([*ANIMATE, "--precision", "fp8"], "argument --precision: invalid choice: 'fp8'"),
        ([*ANIMATE, "--steps", "9" * 5000], "argument --steps: invalid int value: '9999"),
        ([*ANIMATE, "--steps", "9" * 4000], "--steps = 9999"),
        ([*ANIMATE, "--prompt", "a \udcff"], r"--prompt = 'a \udcff' is not UTF-8"),
        ([*ANIMATE, "--negative-prompt", "\udcff"], r"--negative-prompt = '\udcff' is not UTF-8"),
        ([*ANIMATE, "--width", "4096", "--height", "64", "--scale", "8"], "--scale = 8 is out of range for 16 frames"),
        (
            [*ANIMATE, "--scale", "64", "--frames", "1024"],
            "--scale = 64 is out of range for 1024 frames of 16x16, 1074 megapixels in all: use 1 to 22",
        ),
        ([*ANIMATE, "-o", "x" * 252 + ".gif"], "File name too long"),
        ([*ANIMATE, "-o", "a\nb/" + "x" * 300], "File name too long"),
        ([*ANIMATE, "-o", "/"], "is not empty"),
        ([*ANIMATE, "-o", "/proc/a.gif"], "/proc/a.gif cannot be written"),
        ([*ANIMATE, "-o", "a.png/out.gif"], "the folder a.png cannot be made"),
        (["animate", "a.gif", "--prompt", "a cat", "-o", "a.gif"], "a.gif would replace a file that the command reads"),
        ([*ANIMATE, "--keyframe", "1=a.gif", "-o", "./a.gif"], "a.gif would replace a file that the command reads"),
        ([*ANIMATE, "--mask", "a.png", "--compare", "a.png"], "a.png would replace a file that the command reads"),
        (["animate", "a.eps", "--prompt", "a", "-o", "o.gif"], "a.eps does not exist"),
        (["create", "\udcff", "-o", "out.gif"], r"--prompt = '\udcff' is not UTF-8"),
        ([*EVALUATE, "--processes", "-1"], "--processes = -1 is out of range: use 0 to 256"),
        ([*EVALUATE, "--pictures", "1" + "0" * 18], "--pictures = 1000000000000000000 is out of range: use 2 to 100000"),
        ([*EVALUATE, "--keep-clips", "-5"], "--keep-clips = -5 is out of range"),
        ([*EVALUATE, "--guidance", "nan"], "--guidance = nan is out of range"),
        ([*EVALUATE, "--seed", "-1"], "--seed = -1 is out of range"),
        ([*EVALUATE, "--width", "7"], "--width = 7 is out of range"),
        ([*EVALUATE, "--device", "cuda:77"], "--device = 'cuda:77' is not on this machine"),
        ([*EVALUATE, "--markdown", "."], ". is a folder: use the name of a file"),
        ([*EVALUATE, "--markdown", "binary.md"], "binary.md is not a text in UTF-8"),
        ([*EVALUATE, ".", "--markdown", "captions.json"], "captions.json has no sections to replace: give a new file"),
        ([*EVALUATE, "--dask", "x", "--processes", "2"], "--dask = x and --processes = 2: use one of them"),
        ([*EVALUATE, "a.png"], "a.png is not a folder: use a folder of images"),
        (["statistics", "--world", "1", "-o", "s.safetensors", "--save-every", "nan"], "--save-every = nan is out of range"),
        ([*EVALUATE, "--markdown", "/proc/a.md"], "/proc/a.md cannot be written"),
        (["evaluate", "-o", "/proc/out"], "the folder /proc/out cannot be made"),
        (["statistics", ".", "-o", "/proc/s.safetensors"], "/proc/s.safetensors cannot be written"),
        (["schedule", "--steps", "x" * 3000], "argument --steps: invalid int value"),
        (["schedule", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["dance"], "invalid choice: 'dance'"),
    ],
)
def test_one_line_before_the_model_is_loaded(folder, capsys, words, message):
    before = sorted(path.name for path in folder.iterdir())
    assert message in refused(capsys, *words)
    assert {path.name for path in folder.iterdir()} <= {*before, "out", "a\nb"}, "nothing is left behind"


def test_a_pixel_format_that_breaks_off(folder, capsys):
    """Headers cut at every length that could matter."""
    whole = (folder / "a.png").read_bytes()
    for length in (0, 1, 8, 20, 33, 40):
        (folder / "cut.png").write_bytes(whole[:length])
        assert "cut.png" in refused(capsys, "animate", "cut.png", "--prompt", "a cat", "-o", "out.gif")
        with pytest.raises(MediaError):
            read_image("cut.png")


def test_models_that_cannot_be_read(tmp_path, capsys, monkeypatch):
    """A damaged checkpoint, motion modules that are none, pickles, and an image model in a file: all by name."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("a.png")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    adapter = ["--model", str(loading.BUILT_IN), "--motion-adapter"]
    for words, message in (
        (["--model", "cut.safetensors"], "cut.safetensors is an image model: give --motion-adapter with it"),
        ([*adapter, "cut.safetensors"], "failed to load: "),
        ([*adapter, str(loading.BUILT_IN / "vae/diffusion_pytorch_model.safetensors")], "holds no motion modules"),
        ([*adapter, "mm.ckpt"], "mm.ckpt may hold code: use a .safetensors file"),
        (["--model", "model.ckpt"], "model.ckpt may hold code: use a .safetensors file"),
    ):
        assert message in refused(capsys, *ANIMATE, *words)


def test_motion_modules_in_one_file(tmp_path):
    """As web UIs have them: AnimateDiff's own names; length, widths and the middle block follow from the shapes."""
    import diffusers

    torch.manual_seed(0)
    for middle in (True, False):
        adapter = diffusers.MotionAdapter(
            block_out_channels=(32, 64), motion_max_seq_length=24, use_motion_mid_block=middle, motion_layers_per_block=1
        )
        own = {}
        for name, value in adapter.state_dict().items():
            for ours, theirs in (
                ("motion_modules.0.", "motion_modules.0.temporal_transformer."),
                ("motion_modules.1.", "motion_modules.1.temporal_transformer."),
                ("attn1", "attention_blocks.0"), ("attn2", "attention_blocks.1"),
                ("norm1", "norms.0"), ("norm2", "norms.1"), ("norm3", "ff_norm"),
                ("blocks.0.pos_embed", "blocks.0.attention_blocks.0.pos_encoder"),
            ):  # fmt: skip
                name = name.replace(ours, theirs)
            own[name] = value.clone()
        own.setdefault(
            "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe",
            torch.zeros(1, 24, 32),
        )
        save_file(own, tmp_path / "mm.safetensors")
        read = loading._adapter(str(tmp_path / "mm.safetensors"), {"torch_dtype": torch.float32})
        assert read.config.motion_max_seq_length == 24 and read.config.use_motion_mid_block is middle
        before, after = adapter.state_dict(), read.state_dict()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_full_precision_is_an_option():
    with pytest.raises(NotFiniteError) as caught:
        check_finite(torch.tensor(float("nan")), "the latent of the image")
    assert message_of(caught.value).endswith("use --precision fp32, or another checkpoint, motion module or VAE")


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "7", BINARY])
def test_a_damaged_model_json(tmp_path, content):
    (tmp_path / "model.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (Model().check_folder, model_facts):
        with pytest.raises(ValueError, match=r"model.json is damaged \(.*delete it, or use a new folder"):
            read(tmp_path)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("captions.json", "[" * 100_000, "captions.json is not JSON"),
        ("captions.json", '{"a": {"b": {}}}', "captions.json is not an object of texts"),
        ("captions.json", json.dumps({"a": "\udcff"}), "the caption of image a is no plain text of up to 2000 characters"),
        ("captions.csv", "file,caption\na," + "x" * 200_000, "captions.csv is not CSV"),
        ("captions.csv", BINARY, "captions.csv is not a text in UTF-8"),
        ("a.txt", "x" * 2001, "the caption of image a is no plain text"),
        ("a.txt", BINARY, "a.txt is not a text in UTF-8"),
    ],
)
def test_captions_that_cannot_be_used(tmp_path, name, content, message):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        images_in(tmp_path, lambda path: np.zeros((8, 8, 3), np.uint8))


def test_a_summary_that_cannot_be_written(tmp_path):
    (tmp_path / "binary.md").write_bytes(BINARY)
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "binary.md", "is not a text in UTF-8")):
        with pytest.raises(ValueError, match=message):
            checked(path)
    assert checked(tmp_path / "new.md") == ""


def test_two_writers_of_one_name_have_two_unfinished_files(tmp_path):
    path = tmp_path / ("é" * 125 + ".png")  # 254 bytes
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("one", encoding="utf-8")
        other.write_text("other", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "one" and list(tmp_path.iterdir()) == [path]


def test_of_two_runs_that_write_one_statistics_file_the_last_one_wins(tmp_path):
    """A reader meets one of the two files at any time, and whole."""
    path, together = tmp_path / "s.safetensors", threading.Barrier(3)
    means = [torch.full((2, 4, 32, 32), float(number)) for number in range(2)]
    both = [Statistics("mean", {"mean": mean, "variance": torch.ones(())}, "", 0.0, 0, 0, 2, 0, "") for mean in means]
    statistics_file.save(both[0], path)

    def write(statistics):
        together.wait()
        for _ in range(20):
            statistics_file.save(statistics, path)

    threads = [threading.Thread(target=write, args=[statistics]) for statistics in both]
    for thread in threads:
        thread.start()
    together.wait()
    while any(thread.is_alive() for thread in threads):
        mean = statistics_file.load(path).values["mean"]
        assert torch.equal(mean, means[int(mean[0, 0, 0, 0])])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["damaged archive", "sparse", "meta", "complex", "text", "empty", "nested", "huge"])
def test_published_files_of_every_kind(folder, capsys, kind):
    path, scalar = folder / "s.pt", torch.tensor(0.25)
    mean = torch.rand(1, 4, 3, 2, 2)
    strange = {
        "sparse": mean.to_sparse(),
        "meta": mean.to("meta"),
        "complex": mean.to(torch.complex64),
        "huge": torch.zeros(1).expand(1, 4, 4096, 512, 512),
    }
    torch.save({"Expectation_X0": strange.get(kind, mean), "Tr_Cov_d": scalar}, path)
    if kind == "damaged archive":
        content = bytearray(path.read_bytes())
        for index in range(content.rfind(b"PK\x05\x06") - 30, content.rfind(b"PK\x05\x06")):
            content[index] = 0xFF
        path.write_bytes(content)
        assert zipfile.is_zipfile(path)
    if kind in ("text", "empty"):
        path.write_text("text" if kind == "text" else "", encoding="utf-8")
    if kind == "nested":
        torch.save([[{"Expectation_X0": mean}]], path)
    assert "s.pt' cannot be used: " in refused(capsys, "statistics", "s.pt", "-o", "out.safetensors")
    assert not list(folder.glob("*.safetensors"))


def test_a_full_disk(folder, capsys, monkeypatch):
    """The converter's file, which is not left in parts."""
    torch.save({"Expectation_X0": torch.rand(1, 4, 3, 2, 2), "Tr_Cov_d": torch.tensor(0.25)}, folder / "s.pt")

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    message = refused(capsys, "statistics", "s.pt", "-o", "out.safetensors")
    assert "out.safetensors cannot be written (No space left on device): use another place" in message
    assert sorted(path.name for path in folder.iterdir()) == ["a.gif", "a.png", "binary.md", "captions.json", "s.pt"]
