"""Options of saliency methods from text, without defaults, and in words; and that each has a widget on the page."""

import pytest

from fer_core.errors import ConfigError
from fer_core.explain import options
from fer_core.explain.saliency import METHODS


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("occlusion", [], {}),
        ("occlusion", ["fill=zero", "patch=0.25"], {"patch": 0.25, "fill": "zero"}),
        ("occlusion", ["fill=zero", "fill=mean", "stride=0.5"], {}),  # the last counts, and defaults are left out
        ("smoothgrad", ["signed=True", "samples=50", "noise=1"], {"samples": 50, "noise": 1.0, "signed": True}),
        ("smoothgrad", ["signed=false", "seed=0"], {}),
        ("kernel_shap", ["segments=slic"], {"segments": "slic"}),
    ],
)
def test_options_are_read_as_what_their_defaults_are(method, given, expected):
    found = options.parse(method, given)
    assert list(found.items()) == list(expected.items())
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]
    assert options.parse(method, [f"{name}={value}" for name, value in found.items()]) == found


@pytest.mark.parametrize(
    ("method", "given", "told"),
    [
        ("occlusion", "samples=3", "It takes patch=0.1666"),
        ("occlusion", "patch", "no option 'patch'"),
        ("grad_cam", "samples=3", "It takes none"),
        ("smoothgrad", "samples=many", "must be a whole number. Received 'many'"),
        ("smoothgrad", "samples=2.5", "must be a whole number"),
        ("smoothgrad", "noise=", "must be a number"),
        ("smoothgrad", "signed=1", "must be true or false"),
        ("rise", "samples=3", "Unknown method 'rise'"),
    ],
)
def test_what_is_no_option_is_refused_and_says_what_is(method, given, told):
    with pytest.raises(ConfigError) as caught:
        options.parse(method, [given])
    assert told in str(caught.value)


def test_words_and_file_names():
    given = {"patch": 1 / 3, "signed": True, "fill": "zero"}
    assert options.words(given) == "patch 0.333, signed true, fill zero"
    assert options.slug(given) == "patch-0.333-signed-true-fill-zero"
    assert options.words({}) == options.slug({}) == ""


@pytest.mark.parametrize("method", list(METHODS))
def test_every_option_has_a_widget_that_can_show_its_default(method):
    from pages.ui import saliency_options

    for name, default in METHODS[method].options.items():
        asked = saliency_options.setting(method, name)
        if asked.titles:
            assert default in asked.titles
        elif not isinstance(default, bool):
            low, high = asked.ends
            assert low <= default <= high and type(low) is type(high) is type(default)
