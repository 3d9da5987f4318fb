"""Every example of docs/api.md against the web UI, word by word but for its address and a smaller size."""

import json
import re

import pytest
from api_examples import EXAMPLES, finished
from client import draw_picture

# From the examples' own values to those of a small job.
SMALL = {
    r"http://127\.0\.0\.1:7860": "URL",
    r"host=\"127\.0\.0\.1\", port=7860": 'baseurl="URL/sdapi/v1"',
    r'"steps": 25,(?= *\n +"(denoising|seed))': '"steps": 4, "width": 64, "height": 64,',
    r'"infotext": infotext,': '"infotext": infotext, "steps": 4, "width": 64, "height": 64,',
    r"(?<!\w)steps=25,": "steps=4, width=64, height=64,",
    r'"video_length": 16': '"video_length": 8, "batch_size": 8',
    r"video_length=16": "video_length=8, batch_size=8",
    r'"candidates": 8': '"candidates": 2',
}
RUNNABLE = [(heading, language, code) for heading, language, code in EXAMPLES if language in ("sh", "python")]


@pytest.mark.parametrize(
    "heading, language, code", RUNNABLE, ids=[f"{heading}-{number}" for number, (heading, *_) in enumerate(RUNNABLE)]
)
def test_an_example(webui, heading, language, code, tmp_path):
    if "webuiapi" in code:
        pytest.importorskip("webuiapi")
    if heading == "From an infotext" and webui.patches:
        pytest.skip("A1111's API has the field since 1.9, and Forge 0.0.17 has not")
    draw_picture().save(tmp_path / "picture.png")
    for pattern, small in SMALL.items():
        code = re.sub(pattern, small.replace("URL", webui.url), code)
    assert "7860" not in code.replace(webui.url, "")
    process = finished(code, language, tmp_path, timeout=900)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr
    if heading == "A job" and language == "sh":
        answer = json.loads(process.stdout)
        assert "Noise Rectification steps: " in json.loads(answer["info"])["infotexts"][0]
    elif "webuiapi" in code:
        assert re.findall(r"Noise Rectification tau end: ([0-9.]+)", process.stdout) == ["0.4", "0.8"]
    elif heading == "X/Y/Z plot":
        assert (tmp_path / "grid.png").stat().st_size > 1000
    elif heading == "Text → image → video":
        assert process.stdout.split() == ["8"] or webui.patches  # Forge adds a grid
    else:
        assert re.search(r"Noise Rectification|tau_end|rectified", process.stdout)
