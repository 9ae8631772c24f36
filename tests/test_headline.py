"""What several studies of hidden parts say together, in words and on the page."""

import pytest
from streamlit.testing.v1 import AppTest

from fer_core.explain.headline import headline


@pytest.mark.parametrize(
    ("costliest", "beyond", "said"),
    [
        (["mouth"] * 2, None, "What costs most accuracy when hidden: mouth for all 2 models."),
        (
            ["eyes", "mouth", "mouth"],
            ["undecided", "eyes", "undecided"],
            "What costs most accuracy when hidden: mouth for 2 of 3 models, eyes for 1 of 3 models. "
            "Beyond what random masks as large cost: undecided for 2 of 3 models, eyes for 1 of 3 models.",
        ),
        (["nothing"] * 2, None, "What costs most accuracy when hidden: nothing for all 2 models."),
    ],
)
def test_parts_are_counted_the_most_frequent_first(costliest, beyond, said):
    assert headline(costliest, beyond) == said


def _page(told, leaders):
    from pages.ui import mask_study

    mask_study.show_headline(told, leaders)
    mask_study.show_each(told)


@pytest.mark.parametrize("n", [1, 2])
def test_one_model_speaks_for_itself_and_several_together_first(n):
    told = {f"run{at}": [f"First of {at}.", f"More of {at}."] for at in range(n)}
    app = AppTest.from_function(_page, args=(told, [("mouth", "undecided")] * n), default_timeout=60).run()
    assert not app.exception
    lines = [markdown.value for markdown in app.markdown]
    own = [f"**run{at}**: **First of {at}.** More of {at}." for at in range(n)]
    together = ["**" + headline(["mouth"] * 2, ["undecided"] * 2) + "**"]
    assert lines == (own if n == 1 else together + own)
    assert [expander.label for expander in app.expander] == (["Model by model"] if n > 1 else [])
