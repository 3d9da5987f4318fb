"""The analytic start: its formula, by hand and by its moments; what it is checked against; the files of statistics."""

import json
import math
import pickle
import struct
from dataclasses import replace

import pytest
import torch

from lib_noiserect.core.keyframes import Keyframes
from lib_noiserect.core.noise_levels import Level, ve
from lib_noiserect.core.settings import SettingsError
from lib_noiserect.methods import statistics_file
from lib_noiserect.methods.analytic_init import Statistics, bands, lags, spread
from lib_noiserect.methods.statistics_file import load, load_published, named, save
from lib_noiserect.methods.video_statistics import BANDS, radial_power

PICTURE = Keyframes((0,), 3)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mean(frames=3, size=4):
    return Statistics(
        "mean", {"mean": draw(frames, 2, size, size).float(), "variance": torch.tensor(0.5)}, frames=frames
    )


def conditional(frames=3, size=4):
    later = (torch.arange(frames) > 0).float()
    values = {"mean": draw(frames, 2, size, size).float() * later.view(-1, 1, 1, 1), "variance": 0.4 * later}
    return Statistics("conditional", values, frames=frames)


def spectral(frames=3):
    power = torch.linspace(2.0, 0.1, BANDS).repeat(frames, 2, 1)
    power[0] = 0
    return Statistics("spectral", {"power": power}, frames=frames)


def test_the_papers_start_by_hand():
    """x = a·E + √(s² + a²·v)·ε, with a = 0.6, s = 0.8, v = 0.5: √0.82·ε; n is what is left of it when a·z is taken off."""
    clean, noise, level = draw(3, 2, 4, 4, seed=1), draw(3, 2, 4, 4, seed=2), Level(0.6, 0.8)
    n = mean().noise(clean, noise, level, PICTURE)
    start = 0.6 * clean + 0.8 * n
    assert torch.allclose(start, 0.6 * mean().values["mean"].double() + math.sqrt(0.82) * noise, atol=1e-12)


def test_a_ve_start_by_hand():
    """x = E + √(σ² + v)·ε, as the authors' pipeline for SVD has it."""
    clean, noise = draw(1, 2, 4, 4, seed=1), draw(3, 2, 4, 4, seed=2)
    start = clean + 10 * mean().noise(clean, noise, ve(10.0), PICTURE)
    assert torch.allclose(start, mean().values["mean"].double() + math.sqrt(100.5) * noise, atol=1e-10)


def test_the_conditional_start_by_hand():
    clean, noise, level = draw(3, 2, 4, 4, seed=1), draw(3, 2, 4, 4, seed=2), Level(0.6, 0.8)
    given = conditional()
    start = 0.6 * clean + 0.8 * given.noise(clean, noise, level, PICTURE)
    assert torch.allclose(start[0], 0.6 * clean[0] + 0.8 * noise[0], atol=1e-12)
    shifted = 0.6 * (clean + given.values["mean"].double()) + math.sqrt(0.64 + 0.36 * 0.4) * noise
    assert torch.allclose(start[1:], shifted[1:], atol=1e-7)


def test_before_a_key_frame_the_mean_changes_its_sign():
    given, keys = conditional(3), Keyframes((0, 4), 5)
    assert lags(keys) == [0, 1, 2, -1, 0]
    n = given.noise(torch.zeros(5, 2, 4, 4), torch.zeros(5, 2, 4, 4), ve(2.0), keys)
    means = given.values["mean"]
    assert torch.equal(n * 2, torch.stack([means[0], means[1], means[2], -means[1], means[0]]))


def test_distances_in_a_loop_go_round():
    assert lags(Keyframes((0,), 6, loop=True)) == [0, 1, 2, 3, -2, -1]
    assert lags(Keyframes((1, 4), 6, loop=True)) == [-1, 0, 1, -1, 0, 1]
    assert lags(Keyframes((0,), 4)) == [0, 1, 2, 3] and lags(Keyframes((2,), 4)) == [-2, -1, 0, 1]


@pytest.mark.parametrize("size", [(8, 8), (6, 9), (16, 5)])
def test_the_spectral_start_has_the_variance_of_its_spectrum(size):
    """Over many draws, by frequency: s² + a²·P(r); and whatever the size."""
    given, level, count = spectral(2), Level(0.6, 0.8), 3000
    noise = draw(2, count, 2, *size, seed=3)
    start = level.s * given.noise(torch.zeros_like(noise), noise, level, Keyframes((0,), 2))
    assert torch.equal(start[0], level.s * noise[0])
    found = torch.fft.rfft2(start[1], norm="ortho").abs().square().mean((0, 1))
    wanted = 0.64 + 0.36 * spread(given.values["power"], *size)[1, 0]
    assert (found / wanted - 1).abs().max() < 0.15 and abs(float((found / wanted).mean()) - 1) < 0.01


def test_flat_power_is_plain_variance():
    flat = Statistics("spectral", {"power": torch.full((2, 2, BANDS), 0.7)}, frames=2)
    noise = draw(2, 2, 8, 8)
    n = flat.noise(torch.zeros_like(noise), noise, Level(0.6, 0.8), Keyframes((0,), 2))
    assert torch.allclose(n[1] * 0.8, math.sqrt(0.64 + 0.36 * 0.7) * noise[1], atol=1e-12)


def test_the_power_of_white_noise_is_its_variance():
    power = radial_power(3 * draw(2, 300, 12, 16).float())
    known = power[0, 0] > 0
    assert int(known.sum()) >= 15 and (power[..., known].mean((0, 1)) / 9 - 1).abs().max() < 0.1


def test_frequencies_are_in_cycles_a_pixel():
    """A wave of 4 pixels is in the same band in pictures of 16 and of 40 pixels."""
    for width in (16, 40):
        assert bands(8, width, BANDS)[0, width // 4] == pytest.approx(0.25 / (0.5 * 2**0.5) * BANDS - 0.5)


def test_half_precision_is_computed_in_single():
    assert mean().noise(draw(1, 2, 4, 4).half(), draw(3, 2, 4, 4).half(), ve(1.0), PICTURE).dtype == torch.float32


def test_batches_of_clips():
    clean, noise = draw(3, 5, 2, 4, 4, seed=1), draw(3, 5, 2, 4, 4, seed=2)
    for given in (mean(), conditional(), spectral()):
        both = given.noise(clean, noise, Level(0.6, 0.8), PICTURE)
        assert torch.equal(both[:, 3], given.noise(clean[:, 3], noise[:, 3], Level(0.6, 0.8), PICTURE))


@pytest.mark.parametrize(
    ("given", "shape", "frames", "scale", "message"),
    [
        (mean(), (2, 4, 4), 4, 0, "videos of 3 frames, and this one has 4: use 3 frames"),
        (mean(), (2, 4, 4), 2, 0, "videos of 3 frames, and this one has 2"),
        (conditional(), (2, 4, 4), 4, 0, "use at most 3 frames"),
        (spectral(), (2, 40, 4), 4, 0, "use at most 3 frames"),
        (mean(), (2, 4, 6), 3, 0, "latents of 4x4, and this job's are 6x4"),
        (replace(conditional(), width=32, height=32), (2, 8, 4), 3, 0, r"4x4 \(32x32 pixels\), and this job's are 4x8"),
        (spectral(), (4, 4, 4), 3, 0, "2 channels, and this model's have 4"),
        (replace(spectral(), vae_scale=0.13025), (2, 4, 4), 3, 0.18215, "factor 0.13025, and this model's has 0.18215"),
    ],
)
def test_what_does_not_fit_is_refused(given, shape, frames, scale, message):
    with pytest.raises(SettingsError, match=message):
        given.check(shape, Keyframes((0,), frames), scale)


def test_what_fits_is_not():
    mean().check((2, 4, 4), PICTURE, 0.18215)
    conditional().check((2, 4, 4), Keyframes((0,), 2), 0.18215)
    conditional().check((2, 4, 4), Keyframes((0, 4), 5), 0.18215)  # no frame is farther than 2 from a picture
    replace(spectral(), vae_scale=0.18215).check((2, 40, 64), PICTURE, 0.18215)


@pytest.mark.parametrize("make", [mean, conditional, spectral])
def test_a_file_is_read_as_it_was_written(make, tmp_path):
    given = replace(make(), model="toy", vae_scale=0.5, width=32, height=24, clips=7)
    save(given, tmp_path / "s.safetensors")
    read = load(tmp_path / "s.safetensors")
    assert replace(read, values={}, name="") == replace(given, values={}, name="") and read.name == "s.safetensors"
    assert all(torch.equal(read.values[name], value) for name, value in given.values.items())
    assert list(tmp_path.iterdir()) == [tmp_path / "s.safetensors"]


def test_the_header_is_as_documented(tmp_path):
    save(replace(mean(), model="toy", vae_scale=0.5, width=32, height=24, clips=7), tmp_path / "s.safetensors")
    content = (tmp_path / "s.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    assert header["__metadata__"] == {
        "format": "noise-rectification-statistics-1",
        "kind": "mean",
        "model": "toy",
        "vae_scale": "0.5",
        "width": "32",
        "height": "24",
        "frames": "3",
        "clips": "7",
    }


def written(path, tensors, **header):
    from safetensors.torch import save_file

    save_file(tensors, path, metadata={"format": statistics_file.FORMAT, "kind": "mean", **header})
    return path


GOOD = {"mean": torch.zeros(3, 2, 4, 4), "variance": torch.tensor(0.5)}


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        (GOOD, {"format": "other"}, "does not say format"),
        (GOOD, {"kind": "median"}, "its kind is 'median'"),
        (GOOD, {"kind": "spectral"}, "does not hold power"),
        ({**GOOD, "more": torch.zeros(1)}, {}, "does not hold mean and variance"),
        ({**GOOD, "mean": torch.zeros(3, 4, 4)}, {}, r"mean is float32 \[3, 4, 4\]"),
        ({**GOOD, "mean": torch.zeros(3, 2, 4, 4, dtype=torch.int64)}, {}, "mean is int64"),
        ({**GOOD, "mean": torch.full((3, 2, 4, 4), math.nan)}, {}, "mean holds values that are not finite"),
        ({**GOOD, "variance": torch.tensor(-1.0)}, {}, "variance is below 0"),
        ({**GOOD, "mean": torch.zeros(3, 2, 0, 4)}, {}, r"mean is \[3, 2, 0, 4\]"),
        ({**GOOD, "mean": torch.zeros(5000, 1, 1, 1)}, {}, "is of 5000 frames"),
        (GOOD, {"vae_scale": "nan"}, "its header has vae_scale = 'nan'"),
        (GOOD, {"frames": "3", "clips": "many"}, "its header has clips = 'many'"),
        (
            {"mean": torch.zeros(3, 2, 4, 4), "variance": torch.ones(3)},
            {"kind": "conditional"},
            "not 0 for the image",
        ),
        ({"mean": torch.zeros(3, 2, 4, 4), "variance": torch.zeros(2)}, {"kind": "conditional"}, "2 variances for 3"),
    ],
)
def test_a_wrong_file_is_refused(tensors, header, message, tmp_path):
    path = written(tmp_path / "s.safetensors", tensors, **header)
    with pytest.raises(SettingsError, match=f"statistics = 's.safetensors' cannot be used: .*{message}"):
        load(path)


def test_a_damaged_or_large_file_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "s.safetensors", GOOD)
    whole = path.read_bytes()
    for content in (whole[:-4], whole[:20], b"", b"\xff" * 100, struct.pack("<Q", 2**60) + whole[8:]):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match="it is no safetensors file"):
            load(path)
    path.write_bytes(whole)
    monkeypatch.setattr(statistics_file, "MAX_BYTES", 100)
    with pytest.raises(SettingsError, match="MB, and 0 are allowed"):
        load(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(SettingsError, match="it is no file"):
        load(tmp_path)


def test_a_name_is_looked_up_in_one_folder_only(tmp_path, monkeypatch):
    folder = tmp_path / "statistics"
    monkeypatch.setattr(statistics_file, "FOLDER", folder)
    assert statistics_file.names() == []
    folder.mkdir()
    written(folder / "b.safetensors", GOOD)
    written(folder / "a.safetensors", GOOD)
    written(tmp_path / "outside.safetensors", GOOD)
    (folder / "notes.txt").touch()
    assert statistics_file.names() == ["a.safetensors", "b.safetensors"]
    assert named("a.safetensors").kind == "mean"
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "notes.txt", "c.safetensors"):
        with pytest.raises(SettingsError, match=r"is not in the extension's folder .*\(a.safetensors, b.safetensors\)"):
            named(name)


@pytest.mark.parametrize(
    "published",
    [
        {"Expectation_X0": draw(1, 2, 3, 4, 4), "Tr_Cov_d": torch.tensor(0.5)},
        {"Expectation_x_0": draw(1, 2, 3, 4, 4)[0].transpose(0, 1), "trCov_d": torch.tensor([0.5])},
        {"Expectation_x_0": draw(1, 2, 3, 4, 4).transpose(1, 2).half(), "trCov_d": 0.5},
    ],
)
def test_the_authors_files_are_read(published, tmp_path):
    torch.save(published, tmp_path / "init.pt")
    read = load_published(tmp_path / "init.pt")
    assert read.kind == "mean" and read.frames == 3 and float(read.values["variance"]) == 0.5
    assert torch.allclose(read.values["mean"], draw(1, 2, 3, 4, 4)[0].transpose(0, 1).float(), atol=2e-3)
    read.check((2, 4, 4), PICTURE, 0.18215)


class Bomb:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_nothing_in_a_pickle_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"Expectation_X0": torch.zeros(1, 2, 3, 4, 4), "Tr_Cov_d": torch.tensor(0.5)}
    torch.save({**good, "more": Bomb()}, "bomb.pt")
    with pytest.raises(SettingsError, match="holds more than tensors"):
        load_published("bomb.pt")
    with open("plain.pt", "wb") as file:
        pickle.dump(Bomb(), file)
    with pytest.raises(SettingsError, match=r"not what torch\.save writes"):
        load_published("plain.pt")
    torch.save({"Expectation_X0": torch.zeros(1).expand(2**20, 2**10, 4, 4), "Tr_Cov_d": torch.tensor(0.5)}, "wide.pt")
    with pytest.raises(SettingsError, match="mean is"):
        load_published("wide.pt")
    torch.save({"other": torch.zeros(3)}, "other.pt")
    with pytest.raises(SettingsError, match="does not hold Expectation_X0 and Tr_Cov_d or"):
        load_published("other.pt")
    torch.save({**good, "Tr_Cov_d": torch.zeros(2)}, "two.pt")
    with pytest.raises(SettingsError, match="Tr_Cov_d is not one number"):
        load_published("two.pt")
    assert not (tmp_path / "executed").exists()


def test_a_packed_bomb_is_not_unpacked(tmp_path):
    import zipfile

    torch.save({"Expectation_X0": torch.zeros(1), "Tr_Cov_d": torch.tensor(0.5)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/9", bytes(65 * 2**20))
    assert (tmp_path / "a.pt").stat().st_size < 2**20
    with pytest.raises(SettingsError, match="holds more than 64 MB"):
        load_published(tmp_path / "a.pt")
