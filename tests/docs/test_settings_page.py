"""docs/settings.md is the page that the code's tables make, and its labels and help texts keep to their rules."""

import pytest
import settings_page

from lib_noiserect.core.settings import CREATION_PRESETS, FIELDS, PRESETS
from lib_noiserect.webui.arguments import INPUTS

TEXTS = {**FIELDS, **INPUTS, **PRESETS, **CREATION_PRESETS}


def test_the_page_is_the_codes():
    assert settings_page.PATH.read_text(encoding="utf-8") == settings_page.page(), "run: python tests/docs/settings_page.py"


@pytest.mark.parametrize("name", TEXTS)
def test_help_is_short(name):
    """Measurements and background belong to the docs."""
    assert 0 < len(TEXTS[name].help) <= 120
    assert TEXTS[name].help.endswith(".") and TEXTS[name].help[0].isupper()


def test_labels_are_unique():
    labels = [row.label for row in (*FIELDS.values(), *INPUTS.values())]
    assert len(set(labels)) == len(labels)
