"""The axes of the X/Y/Z plot: their table, their values, and that each cell is the same job run alone."""

import json
from pathlib import Path

import pytest
import torch
from standin import used_host
from test_extension import payload

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "noise_rectification.py"
PREFIX = "[Noise Rectification] "
LABELS = [
    "Starting Step (τ)",
    "Ending Step (τ)",
    "τ",
    "ω preset",
    "First frame ω",
    "Last frame ω",
    "Constant ω",
    "Motion amount",
    "Target similarity (SSIM)",
    "Window unit",
    "Window fade-out",
    "Preserve color",
    "Lock first frame",
    "Seamless loop",
    "Keyframe interpolation",
    "Repeat noise (FreeNoise)",
    "Mask blur (latent px)",
    "Start noise level (M)",
    "Initial noise statistics",
    "Enabled",
    "Text → image → video (I4VGen)",
    "Candidates",
    "Select by",
    "Candidate",
    "Animation steps (fraction)",
    "Animation strength",
    "Final denoising strength",
    "Follow motion",
]
BOOLEANS = ["True", "False"]


@pytest.fixture(params=["a1111", "a1111-1.8"])
def host(request):
    with used_host(request.param, script=SCRIPT) as host:
        _encode_reproducibly()
        yield host
        assert not [log for log in host.logs if "noise_rectification" in str(log[0])], "a hook of ours failed"


def _encode_reproducibly():
    """The host encodes pictures with unseeded noise: here each job's is the same, in a grid and alone."""
    from modules import processing

    init = processing.StableDiffusionProcessingImg2Img.init

    def seeded(p, *args, **kwargs):
        torch.manual_seed(5)
        return init(p, *args, **kwargs)

    processing.StableDiffusionProcessingImg2Img.init = seeded  # this host's own module, which goes with it


def options(host):
    module = type(host.script("X/Y/Z plot")).run.__globals__
    return {option.label: option for option in module["axis_options"] if option.label.startswith(PREFIX)}


def grid_args(host, *axes, lone=True, csv_mode=True):
    """The plot's 18 arguments for up to three (label, values as text)."""
    plot = host.script("X/Y/Z plot")
    labels = [option.label for option in plot.current_axis_options]
    args = []
    for label, values in [*axes, ("Nothing", ""), ("Nothing", "")][:3]:
        label = PREFIX + label if label in LABELS else label
        args += [labels.index(label), values if csv_mode else "", [] if csv_mode else values]
    return [*args, True, lone, False, False, False, False, False, 0, csv_mode]


def grid(host, picture, *axes, settings=None, csv_mode=True, **job):
    """[(job, result)] of the cells, x fastest, of a grid made in the tab."""
    plot = host.script("X/Y/Z plot")
    plot.standin_cells = []
    settings = {"enabled": True} if settings is None else settings
    return host.img2img(
        picture,
        script_args={"Noise Rectification": [settings], "X/Y/Z plot": grid_args(host, *axes, csv_mode=csv_mode)},
        **job,
    )


def cells(host, picture, *axes, **job):
    grid(host, picture, *axes, **job)
    plot = host.script("X/Y/Z plot")
    return plot.standin_cells, plot.standin_legends


def alone(host, picture, settings, **job):
    return host.img2img(picture, script_args={"Noise Rectification": [settings]}, **job)


def same(cell, expected):
    """AnimateDiff leaves a cell one of its pictures; the latents are there of all frames."""
    p, processed = cell
    assert processed.infotexts[0] == expected.infotexts[0]
    assert processed.images[0].tobytes() == expected.images[0].tobytes()
    assert [latents.tobytes() for latents in _arrays(p.standin_latents)] == [
        latents.tobytes() for latents in _arrays(expected.latents)
    ]


def _arrays(latents):
    return [batch.numpy() for batch in latents]


def test_the_table(host):
    assert list(options(host)) == [PREFIX + label for label in LABELS]
    with_choices = {label: option.choices() for label, option in options(host).items() if option.choices}
    assert with_choices == {
        PREFIX + "ω preset": ["authors", "linear", "constant", "frozen", "motion"],
        PREFIX + "Window unit": ["steps", "noise level"],
        PREFIX + "Keyframe interpolation": ["slerp", "hold"],
        PREFIX + "Initial noise statistics": ["none"],
        PREFIX + "Select by": ["model", "imagereward", "clip", "pickscore", "hpsv2", "pick"],
        **{
            PREFIX + label: BOOLEANS
            for label in (
                "Preserve color",
                "Lock first frame",
                "Follow motion",
                "Seamless loop",
                "Repeat noise (FreeNoise)",
                "Enabled",
                "Text → image → video (I4VGen)",
            )
        },
    }
    for is_img2img in (True, False):
        offered = host.script("X/Y/Z plot", is_img2img=is_img2img).controls[0].choices
        assert [label for label in offered if label.startswith(PREFIX)] == [PREFIX + label for label in LABELS]


def former_labels():
    from lib_noiserect.webui.xyz import FORMER_LABELS as former

    assert len(former) == len(set(former.values())) == 21
    return former


def test_requests_find_the_axes_by_their_former_labels(host, picture):
    """A request looks the place of an axis up in the script info; the grid is the one of the present label."""
    [plot] = [info for info in host._api.get_script_info() if info["name"] == "x/y/z plot" and info["is_img2img"]]
    places = plot["args"][0]["choices"]
    payload = grid_payload(host, picture, ("Ending Step (τ)", "0.5, 1"), ("Constant ω", "0, 1"))
    status, expected = host.api_img2img(payload)
    payload["script_args"][0] = places.index(PREFIX + "τ end")
    assert payload["script_args"][0] >= len(_all_options(host)) - 1
    again, body = host.api_img2img(payload)
    assert status == again == 200 and json.loads(body["info"])["infotexts"] == json.loads(expected["info"])["infotexts"]


def test_each_former_label_is_the_axis_of_its_setting(host):
    for tab in (True, False):
        plot = host.script("X/Y/Z plot", is_img2img=tab)
        places = plot.api_info.args[0].choices
        for former, present in former_labels().items():
            assert plot.current_axis_options[places.index(former)].label == present
        assert not set(former_labels()) & set(plot.controls[0].choices)  # what the page offers


def test_a_pasted_infotext_with_a_former_label(host):
    pasted = dict(host.paste("a boat\nSteps: 4, X Type: [Noise Rectification] Hold colour, Y Type: Seed"))
    names = {control.label: value for control, value in pasted.items() if control.label.endswith("type")}
    assert names == {"X type": "[Noise Rectification] Preserve color", "Y type": "Seed", "Z type": None}


def test_registered_once_also_after_reload_ui(host):
    before = options(host)
    for _ in range(3):
        host.load_script(SCRIPT)
        assert list(options(host)) == list(before)
    assert options(host)[PREFIX + "τ"] is not before[PREFIX + "τ"]  # of the plot that is loaded now
    host.script("Noise Rectification").ui(True)  # as the API does for its defaults
    assert [option.label for option in _all_options(host)].count(PREFIX + "τ") == 1


def _all_options(host):
    return type(host.script("X/Y/Z plot")).run.__globals__["axis_options"]


def test_a_host_without_the_plot(host, monkeypatch):
    from modules import scripts

    from lib_noiserect.webui import xyz

    kept = [data for data in scripts.scripts_data if data.script_class.__module__ != "xyz_grid.py"]
    assert len(kept) == len(scripts.scripts_data) - 1
    monkeypatch.setattr(scripts, "scripts_data", kept)
    xyz.add_axes()


def test_two_by_three_cells_are_the_same_jobs_alone(host, picture):
    """τ end × constant ω: pictures byte for byte, and infotexts."""
    found, legends = cells(
        host, picture, ("Ending Step (τ)", "0.3, 1"), ("Constant ω", "0-1 [3]"), sampler="Euler a", steps=4
    )
    taus, omegas = (0.3, 1.0), (0.0, 0.5, 1.0)
    assert legends[0] == [f"[Noise Rectification] Ending Step (τ): {tau}" for tau in taus]
    assert legends[1] == [f"[Noise Rectification] Constant ω: {omega}" for omega in omegas]
    expected = [
        alone(
            host,
            picture,
            {"enabled": True, "tau_end": tau, "omega": "constant", "omega_start": omega},
            sampler="Euler a",
            steps=4,
        )
        for omega in omegas
        for tau in taus
    ]
    for cell, job in zip(found, expected):
        same(cell, job)
    assert len({p.standin_latents[0].numpy().tobytes() for p, _ in found}) == 6


@pytest.mark.parametrize("host", ["a1111"], indirect=True)
@pytest.mark.parametrize(
    "label, values, settings",
    [
        ("Starting Step (τ)", "0, 0.5", [{"tau_start": 0.0}, {"tau_start": 0.5}]),
        ("τ", "0-0.6, 0.2 – 1", [{"tau_end": 0.6}, {"tau_start": 0.2, "tau_end": 1.0}]),
        ("ω preset", "Linear, frozen", [{"omega": "linear"}, {"omega": "frozen"}]),
        ("First frame ω", "0.9, 0.1", [{"omega_start": 0.9}, {"omega_start": 0.1}]),
        ("Last frame ω", "0-0.3(+0.1)", [{"omega_end": end} for end in (0.0, 0.1, 0.2, 0.3)]),
        ("Lock first frame", "true, False", [{"pin_first_frame": True}, {}]),
        ("Follow motion", "true, False", [{"follow_motion": True}, {}]),
        ("Window fade-out", "0, 0.3", [{}, {"release": 0.3}]),
        ("Seamless loop", "True, false", [{"loop": True}, {}]),
        ("Enabled", "True, FALSE", [{}, {"enabled": False}]),
    ],
)
def test_every_axis(host, picture, label, values, settings):
    found, _ = cells(host, picture, (label, values), steps=4)
    assert len(found) >= len(settings)
    for cell, own in zip(found, settings):
        same(cell, alone(host, picture, {"enabled": True, **own}, steps=4))


def test_a_number_is_what_its_legend_says(host):
    """The host's ranges are sums: 0.1 + 0.2 is 0.30000000000000004 and the legend says 0.3."""
    from types import SimpleNamespace

    from lib_noiserect.webui import xyz

    p = SimpleNamespace()
    options(host)[PREFIX + "Last frame ω"].apply(p, 0.1 + 0.2, [0.1 + 0.2])
    options(host)[PREFIX + "Constant ω"].apply(p, 0.1 + 0.2, [0.1 + 0.2])
    assert dict(xyz.changes_of(p)) == {"omega_end": 0.3, "omega": "constant", "omega_start": 0.3}


@pytest.mark.parametrize(
    "label, value, changes",
    [
        ("Motion amount", 0.1 + 0.2, {"motion": 0.3, "omega": "motion"}),  # which it would otherwise not count for
        ("Target similarity (SSIM)", 0.8, {"target_ssim": 0.8}),
        ("Window unit", "Noise level", {"tau_unit": "noise level"}),
        ("Preserve color", "True", {"hold_colour": True}),
        ("Keyframe interpolation", "hold", {"interpolation": "hold"}),
        ("Repeat noise (FreeNoise)", "False", {"repeat_noise": False}),
        ("Mask blur (latent px)", 2.5, {"mask_feather": 2.5}),
        ("Candidates", 4.0, {"candidates": 4}),
        ("Select by", "pick", {"scorer": "pick"}),
    ],
)
def test_what_an_axis_changes(host, label, value, changes):
    from types import SimpleNamespace

    from lib_noiserect.webui import xyz

    p = SimpleNamespace()
    options(host)[PREFIX + label].apply(p, value, [value])
    assert dict(xyz.changes_of(p)) == changes


def test_every_setting_has_an_axis(host):
    from lib_noiserect.core.settings import FIELDS
    from lib_noiserect.webui import xyz

    # A list of ω has none, and what to do with it neither.
    assert {axis.name for axis in xyz.AXES} == {*FIELDS, "tau", "constant omega"} - {"omega_resample"}


def test_choices_from_the_dropdown(host, picture):
    found, legends = cells(host, picture, ("Enabled", ["False", "True"]), csv_mode=False, settings={"enabled": False})
    assert legends[0] == ["[Noise Rectification] Enabled: False", "[Noise Rectification] Enabled: True"]
    assert ["Noise Rectification" in cell.infotexts[0] for _, cell in found] == [False, True]


def test_an_axis_works_on_the_tabs_own_list_of_values(host, picture):
    """The tab sends one value a control and no dict."""
    from lib_noiserect.core.settings import FIELDS

    own_values = {name: row.default for name, row in FIELDS.items()}
    own_values |= {"enabled": True, "tau_end": 0.5, "omega": "constant"}
    script_args = {
        "Noise Rectification": [*own_values.values(), None, None, False],
        "X/Y/Z plot": grid_args(host, ("Ending Step (τ)", "0.5, 1")),
    }
    host.img2img(picture, script_args=script_args)
    [first, second] = host.script("X/Y/Z plot").standin_cells
    own = {"enabled": True, "omega": "constant"}
    same(first, alone(host, picture, {**own, "tau_end": 0.5}))
    same(second, alone(host, picture, {**own, "tau_end": 1.0}))


def test_a_cell_leaves_nothing_to_the_next_job(host, picture):
    before = alone(host, picture, {"enabled": True})
    grid(host, picture, ("Ending Step (τ)", "0.1, 1"), ("ω preset", "frozen"))
    after = alone(host, picture, {"enabled": True})
    assert after.infotexts == before.infotexts
    assert [image.tobytes() for image in after.images] == [image.tobytes() for image in before.images]


def test_a_dict_without_enabled_is_enabled_by_its_axis(host, picture):
    found, _ = cells(host, picture, ("Enabled", "True"), settings={"tau_end": 1.0})
    same(found[0], alone(host, picture, {"enabled": True, "tau_end": 1.0}))


WRONG = [
    ("Ending Step (τ)", "0.6, 1.5", "tau_end = 1.5 is out of range: use a number from 0 to 1"),
    ("Ending Step (τ)", "late", "tau_end = 'late' is not a number: use a number from 0 to 1"),
    ("Starting Step (τ)", "nan", "tau_start = nan is not a finite number: use a number from 0 to 1"),
    ("Starting Step (τ)", "0.7", "tau_start = 0.7 is after tau_end = 0.6: set tau_start to tau_end or lower"),
    ("Starting Step (τ)", "", "tau_start has no values: use a number from 0 to 1"),
    ("τ", "0.6", "tau = '0.6' is not a pair: use two numbers from 0 to 1, such as 0-0.6"),
    ("τ", "0-x", "tau_end = 'x' is not a number: use a number from 0 to 1"),
    ("τ", "0.8-0.2", "tau = '0.8-0.2' ends before it starts: use two numbers from 0 to 1, such as 0-0.6"),
    ("ω preset", "authors, author", "omega = 'author' is not allowed: use authors or linear or constant or frozen or motion"),
    ("Motion amount", "1.5", "motion = 1.5 is out of range: use a number from 0 to 1"),
    ("Mask blur (latent px)", "20", "mask_feather = 20.0 is out of range: use a number from 0 to 16"),
    ("Window unit", "seconds", "tau_unit = 'seconds' is not allowed: use steps or noise level"),
    ("First frame ω", "2", "omega_start = 2.0 is out of range: use a number from 0 to 1"),
    ("Last frame ω", "half", "omega_end = 'half' is not a number"),
    ("Constant ω", "-0.5", "constant omega = -0.5 is out of range: use a number from 0 to 1"),
    ("Constant ω", "x", "constant omega = 'x' is not a number: use a number from 0 to 1"),
    ("Lock first frame", "True, maybe", "pin_first_frame = 'maybe' is not a boolean: use true or false"),
    ("Candidates", "2.5", "candidates = 2.5 is not a whole number: use a whole number from 0 to 64"),
    ("Enabled", "1", "enabled = '1' is not a boolean: use true or false"),
]


@pytest.mark.parametrize("host", ["a1111-1.8"], indirect=True)
@pytest.mark.parametrize("label, values, message", WRONG)
def test_a_wrong_value_ends_the_grid_before_its_first_cell(host, picture, label, values, message):
    from lib_noiserect.webui.errors import in_labels

    with pytest.raises(Exception) as caught:
        grid(host, picture, ("Steps", "4"), (label, values))
    assert str(caught.value).startswith(in_labels(message))
    assert host.model_calls == 0 and not host.script("X/Y/Z plot").standin_cells


def test_messages_of_the_tab_have_its_labels(host):
    from lib_noiserect.webui.errors import in_labels

    labels = {
        "tau_start = 0.7 is after tau_end = 0.6: set tau_start to tau_end or lower": (
            "Starting Step (τ) = 0.7 is after Ending Step (τ) = 0.6: set Starting Step (τ) to Ending Step (τ) or lower"
        ),
        "loop is on and a unit has an image: turn loop off": (
            "Seamless loop is on and a unit has an image: turn Seamless loop off"
        ),
        "no motion mask is here, and a loop with statistics = 'x.safetensors'": (
            "no motion mask is here, and a loop with Initial noise statistics = 'x.safetensors'"
        ),
        "key_frames has 3 images": "Keyframes has 3 images",
    }
    assert {message: in_labels(message) for message in labels} == labels


def test_values_that_do_not_go_together_end_the_grid_before_its_first_cell(host, picture):
    with pytest.raises(Exception, match=r"Starting Step \(τ\) = 0.8 is after Ending Step \(τ\) = 0.5"):
        grid(host, picture, ("Starting Step (τ)", "0, 0.8"), ("Ending Step (τ)", "1, 0.5"))
    assert host.model_calls == 0 and not host.script("X/Y/Z plot").standin_cells
    found, _ = cells(
        host, picture, ("Starting Step (τ)", "0, 0.8"), ("Ending Step (τ)", "0.9, 1")
    )  # with the job's own 0.6, 0.8 is wrong
    assert len(found) == 4


def grid_payload(host, picture, *axes, **keywords):
    request = payload(picture, {"enabled": True})
    return {**request, "script_name": "x/y/z plot", "script_args": grid_args(host, *axes, **keywords)}


def test_a_grid_by_the_api(host, picture):
    status, body = host.api_img2img(grid_payload(host, picture, ("Ending Step (τ)", "0.5, 1"), ("Constant ω", "0, 1")))
    assert status == 200, body
    pictures = body["images"]
    assert len(pictures) == 5  # the grid and its cells
    expected = []
    for omega in (0.0, 1.0):
        for tau in (0.5, 1.0):
            settings = {"enabled": True, "tau_end": tau, "omega": "constant", "omega_start": omega}
            status, body = host.api_img2img(payload(picture, settings))
            assert status == 200
            expected.append(body["images"][0])
    assert pictures[1:] == expected


@pytest.mark.parametrize("host", ["a1111"], indirect=True)
@pytest.mark.parametrize("label, values, message", WRONG)
def test_a_wrong_value_by_the_api_gets_422(host, picture, label, values, message):
    status, body = host.api_img2img(grid_payload(host, picture, (label, values)))
    assert status == 422
    assert body["detail"].startswith(f"Noise Rectification: {message}")
    assert host.model_calls == 0
