"""Numbers of the checks beside their verdicts: what is in the table is what the strip says."""

import numpy as np
import pytest

from fer_core.explain import faithfulness
from fer_core.explain.across_trainings import Trainings
from fer_core.explain.check_rows import COLUMNS, check_rows
from fer_core.explain.faithfulness import Curves, Randomisation, Trust

OTHERS = Trainings(("s1", "s2"), np.array([0.8, 0.6]), 0, np.linspace(0.0, 0.5, 20))
SHARE = np.array([0.0, 0.5, 1.0])


def curves(insertion, own, *random):
    return Curves(insertion, SHARE, np.array(own), np.array(random))


def trust(**changed):
    deletion = curves(False, [1.0, 0.2, 0.0], [1.0, 0.6, 0.0], [1.0, 1.0, 0.0])  # areas 0.35; 0.55 and 0.75
    insertion = curves(True, [0.0, 0.8, 1.0], [0.0, 0.4, 1.0], [0.0, 0.0, 1.0])  # areas 0.65; 0.45 and 0.25
    drawn = Randomisation((0.5, 1.0, 1.0), np.array([0.9, 0.1, 0.3]), np.zeros(3))
    shifts, seeds = np.array([0.8, 0.9, 0.8, 0.9]), np.array([0.5, 0.7, 0.9])
    given = {"grid": (6, 4), "even": False, "deletion": deletion, "insertion": insertion, "randomisation": drawn}
    return Trust(**given | {"shifts": shifts, "seeds": seeds} | changed)


@pytest.mark.parametrize(
    ("changed", "numbers"),
    [
        ({}, [0.35, 0.65, 0.2, 0.7, np.nan, 4]),  # the whole networks' 0.1 and 0.3; seeds are less alike than shifts
        ({"seeds": np.zeros(0), "grid": (5, 7)}, [0.35, 0.65, 0.2, 0.85, np.nan, 5]),
        ({"randomisation": "no network"}, [0.35, 0.65, np.nan, 0.7, np.nan, 4]),
        (
            {"randomisation": Randomisation((1.0,), np.array([np.nan]), np.zeros(1))},
            [0.35, 0.65, np.nan, 0.7, np.nan, 4],
        ),
        ({"trainings": OTHERS}, [0.35, 0.65, 0.2, 0.7, 0.6, 4]),
        ({"even": True}, [0.35, 0.65, np.nan, np.nan, np.nan, 4]),  # the same everywhere: no order to be like another
    ],
)
def test_numbers_worked_by_hand_stand_beside_the_verdicts(changed, numbers):
    checked = trust(**changed)
    rows = check_rows(checked)
    assert list(rows.columns) == COLUMNS
    assert rows["number"].tolist() == pytest.approx(numbers, nan_ok=True)
    assert rows["random"].tolist() == pytest.approx([0.65, 0.35] + 4 * [np.nan], nan_ok=True)
    expected = faithfulness.verdict_frame(faithfulness.verdicts(checked))
    assert rows[expected.columns].to_dict("list") == expected.to_dict("list")
    judged = rows[(rows["check"] != "Grid") & (rows["outcome"] != faithfulness.NOT_APPLICABLE)]
    for row in judged.to_dict("records"):
        assert np.isnan(row["number"]) == (row["value"] == "")
        assert row["value"] == "" or f"{row['number']:.2f}" in row["value"]
