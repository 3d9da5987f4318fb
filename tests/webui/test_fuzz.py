"""Seeded random settings and request bodies: each is accepted or refused by name, in an answer that can be sent."""

import base64
import io
import json
import random
from collections import Counter

import pytest
from faults import Trial, encoded, picture, quiet
from standin import Host
from test_extension import SCRIPT, payload
from test_hostile import previewed

from lib_noiserect.core.errors import UserError
from lib_noiserect.core.settings import FIELDS, OMEGA_PRESETS
from lib_noiserect.webui.image_inputs import INPUTS

TITLE = "Noise Rectification"
KEY = encoded(picture().resize((16, 16)))
STRANGE = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        0.5,
        1e400,
        -1e-320,
        float("nan"),
        10**400,
        10**5000,
        2**63,
        "",
        " ",
        "0.5",
        "1e-1",
        "0x1",
    ),
    *("٣", "1_0", "nan", "true", "FALSE", "none", "\ud800", "\x00", "a" * 100_000, "../../etc/passwd", "C:\\x.safetensors"),
    *("http://127.0.0.1/x.png", "data:image/png;base64,", "con.safetensors", KEY, KEY[:-9], "[1, 0.5]", "{{7*7}}", "%s%n"),
    *(
        [],
        {},
        [[]],
        [None],
        {"": ""},
        [0.5] * 5000,
        {"3": KEY},
        {"3": KEY, "03": KEY},
        {"-1": KEY},
        {"999999": KEY},
        {"1": 5},
    ),
]


@pytest.fixture(scope="module")
def host():
    with Host("a1111") as host, quiet():
        host.load_script(SCRIPT)
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"


@pytest.fixture
def rounds(request):
    """How often the default tests try, or many times more often on demand."""
    return 40 if request.config.getoption("--slow") else 1


def near(chance, name):
    """A value that is good for a setting, or nearly."""
    row = FIELDS.get(name)
    if row is None or chance.random() < 0.4:
        return chance.choice(STRANGE)
    if row.kind in ("number", "whole"):
        low, high = row.minimum, row.maximum
        return chance.choice([low, high, low - 1e-9, high + 1, chance.uniform(low, high), int(high), str(high), f" {low}"])
    choices = {"bool": [True, False, "True", 1], "omega": [*OMEGA_PRESETS, [1, 0], [chance.random()] * chance.randrange(9)]}
    return chance.choice(choices.get(row.kind, [*(row.choices or ["none"]), str(row.default).upper(), 7]))


def settings_of(chance):
    names = chance.sample([*FIELDS, *INPUTS, "unknown", "\udfff", ""], chance.randrange(8))
    settings = {name: near(chance, name) for name in names}
    return {"enabled": True, **settings} if chance.random() < 0.8 else settings


def check_message(text):
    text.encode()
    assert 0 < len(text) <= 4000 and "Traceback" not in text


def test_settings(host, rounds, capsys):
    from lib_noiserect.webui.arguments import by_name, settings_from_args
    from lib_noiserect.webui.image_inputs import images_of

    chance, counts = random.Random(1), Counter()
    for _ in range(500 * rounds):
        args = [settings_of(chance), *(near(chance, name) for name in list(FIELDS)[1 : chance.choice([1, 1, 1, 4])])]
        if chance.random() < 0.2:  # of a tab
            args = [near(chance, name) for name in (*FIELDS, *INPUTS)][: chance.choice([len(FIELDS), len(FIELDS) + 3, 7])]
        try:
            settings = settings_from_args(args, {}, is_img2img=chance.random() < 0.8)
            images_of(by_name(args))
            counts["plain" if settings is None else "accepted"] += 1
        except UserError as error:
            counts["refused"] += 1
            check_message(str(error).encode("utf-8", "backslashreplace").decode())
    with capsys.disabled():
        print(f"\n{sum(counts.values())} settings: {dict(counts)}" if rounds > 1 else "", end="")
    assert min(counts[kind] for kind in ("plain", "accepted", "refused")) > 10


def test_previews(host, rounds, capsys):
    chance, counts = random.Random(2), Counter()
    good = {"frames": [1, 16, 4096], "steps": [1, 25], "sampler": ["Euler", "DDIM", "UniPC", "DPM adaptive"]}
    good |= {"scheduler": ["Automatic", "Karras"], "denoising_strength": [0.5, 1], "picture": [True, False]}
    for _ in range(150 * rounds):
        request = {name: chance.choice(values) for name, values in good.items() if chance.random() < 0.5}
        request["settings"] = settings_of(chance)
        if chance.random() < 0.3:
            request[chance.choice([*good, "settings", "\ud800"])] = chance.choice(STRANGE)
        status, answer = previewed(host, request)
        counts[status] += 1
        json.loads(answer)
    with capsys.disabled():
        print(f"\n{sum(counts.values())} previews: {dict(counts)}" if rounds > 1 else "", end="")
    assert set(counts) == {200, 422}


def test_jobs(host, rounds, capsys):
    trial, chance, counts = Trial(host, {}), random.Random(3), Counter()
    plain = trial.plain()
    for number in range(12 * rounds):
        request = payload(picture(), settings_of(chance), steps=2, infotext=chance.choice(["", "a"]))
        request["alwayson_scripts"]["AnimateDiff"]["args"][0].update(video_length=2, batch_size=2)
        try:
            json.dumps(request)
        except ValueError:  # more digits than Python writes
            continue
        status, body = host.api_img2img(request)
        if status == 500 and "surrogates" in body["errors"]:  # a plain job, whose request the host's own answer repeats
            status, body = 200, {"info": ""}
        counts[status] += 1
        if status == 200:
            asked = request["alwayson_scripts"][TITLE]["args"][0]
            wanted = str(asked.get("enabled", asked.get("create", False))).lower() == "true"
            assert (f"{TITLE} steps: " in body["info"]) == wanted
        else:
            check_message(body["detail"])
        if number % 10 == 0:
            assert trial.plain() == plain
    assert trial.plain() == plain
    with capsys.disabled():
        print(f"\n{sum(counts.values())} jobs: {dict(counts)}" if rounds > 1 else "", end="")
    assert set(counts) == {200, 422}


def test_mutated_pictures(host, rounds, capsys):
    from lib_noiserect.webui.image_inputs import images_of

    chance, counts = random.Random(4), Counter()
    exif = picture().getexif()
    exif[0x0112] = 6
    originals = []
    for ending, options in (("PNG", {}), ("JPEG", {"exif": exif}), ("WEBP", {}), ("BMP", {}), ("GIF", {}), ("TIFF", {})):
        stream = io.BytesIO()
        picture().resize((16, 12)).save(stream, ending, **options)
        originals.append(stream.getvalue())
    for _ in range(250 * rounds):
        content = bytearray(chance.choice(originals))
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        content = content[: chance.choice([len(content), chance.randrange(len(content))])]
        try:
            images = images_of({"key_frames": {"1": base64.b64encode(content).decode()}})
            image = images.key_frames[1].read(64, 64)
            assert image.mode in ("RGB", "RGBA")
            counts["read"] += 1
        except UserError as error:
            counts["refused"] += 1
            check_message(str(error))
    with capsys.disabled():
        print(f"\n{sum(counts.values())} images: {dict(counts)}" if rounds > 1 else "", end="")
    assert set(counts) == {"read", "refused"}
