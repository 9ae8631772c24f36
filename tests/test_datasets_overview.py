"""Tables and figures about datasets, against small facts counted by hand."""

import numpy as np
import pytest

from fer_core.charts import dataset as charts
from fer_core.datasets import overview
from fer_core.datasets.split import Split

FACTS = {
    "name": "tiny",
    "drawn": False,
    "n": 10,
    "class_names": ["happy", "sad"],
    "image_shape": [48, 32],
    "totals": {"train": 8, "test": 2},
    "counts": {"train": {"happy": 6, "sad": 2}, "test": {"happy": 1, "sad": 1}},
    "imbalance_ratio": {"train": 3.0, "test": 1.0, "all": 2.3333},
    "duplicates": {
        "distinct": 8,
        "extra_copies": 2,
        "conflicting_groups": 1,
        "conflicts": {"happy / sad": 1},
        "across": {"train": {"test": 2}, "test": {"train": 1}},
    },
    "test_not_clean": ["b"],
    "constant": {"train": ["a"], "test": []},
}
EMPTY_SPLIT = FACTS | {"n": 8, "totals": {"train": 8}, "counts": {"train": {"happy": 8, "sad": 0}}}


def test_balance_counts_and_shares():
    frame = overview.balance(FACTS).set_index(["split", "class"])
    assert frame["count"].tolist() == [6, 2, 1, 1]
    assert frame.loc[("train", "sad"), "share"] == 0.25
    assert frame.groupby("split")["share"].sum().tolist() == [1.0, 1.0]


def test_balance_table_ends_with_the_sum():
    table = overview.balance_table(FACTS).set_index("class")
    assert list(table.index) == ["happy", "sad", "all"]
    assert table.loc["all"].tolist() == [8, 1.0, 2, 1.0]
    assert table.loc["happy", "test share"] == 0.5


def test_shares_are_over_all_splits():
    frame = overview.shares([FACTS, EMPTY_SPLIT | {"name": "other"}])
    assert frame["dataset"].tolist() == ["tiny", "tiny", "other", "other"]
    assert frame["count"].tolist() == [7, 3, 8, 0]
    assert frame["share"].tolist() == pytest.approx([0.7, 0.3, 1.0, 0.0])


def test_compare_has_one_row_per_dataset():
    row = overview.compare([FACTS]).iloc[0]
    assert row["size"] == "32 x 48"  # width first, as people say it
    assert row[["pictures", "train", "test", "extra_copies", "test_seen", "constant"]].tolist() == [10, 8, 2, 2, 1, 1]
    assert row["val"] is None


def test_leaks_are_shares_of_the_split_that_holds_them():
    frame = overview.leaks(FACTS)
    assert frame.to_dict("records") == [
        {"split": "train", "also_in": "test", "pictures": 2, "share": 0.25},
        {"split": "test", "also_in": "train", "pictures": 1, "share": 0.5},
    ]


def test_conflicts_and_left_out_tables_keep_their_columns_when_empty():
    assert overview.conflicts(FACTS)["groups"].tolist() == [1]
    assert list(overview.left_out_table([]).columns) == ["where", "reason"]
    assert overview.left_out_table([("row 3", "3 pixels")])["reason"].tolist() == ["3 pixels"]


def test_positions_of_class():
    pictures = np.zeros((5, 4, 4), np.uint8)
    split = Split(np.array(list("abcde")), pictures, np.array([0, 1, 0, 1, 1]), ("happy", "sad"))
    assert overview.positions_of_class(split, "sad").tolist() == [1, 3, 4]
    assert overview.positions_of_class(split, None).tolist() == [0, 1, 2, 3, 4]
    shuffled = overview.positions_of_class(split, "sad", seed=1)
    assert sorted(shuffled.tolist()) == [1, 3, 4]
    assert shuffled.tolist() == overview.positions_of_class(split, "sad", seed=1).tolist()


@pytest.mark.parametrize("measure", ["share", "count"])
def test_balance_figure_has_a_bar_per_split_and_class(measure):
    figure = charts.class_balance(overview.balance(FACTS), measure)
    assert [bar.name for bar in figure.data] == ["train", "test"]
    assert list(figure.data[0].y) == ([0.75, 0.25] if measure == "share" else [6, 2])
    assert len({bar.marker.color for bar in figure.data}) == 2


def test_dataset_figure_has_a_colour_per_dataset():
    figure = charts.dataset_shares(overview.shares([FACTS, FACTS | {"name": "other"}]))
    assert [bar.name for bar in figure.data] == ["tiny", "other"]
    assert list(figure.data[0].y) == pytest.approx([0.7, 0.3])
