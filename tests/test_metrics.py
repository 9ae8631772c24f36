"""Metrics against scikit-learn, hand-worked examples and what must hold for an oracle."""

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from fer_core import metrics
from fer_core.errors import ConfigError, RunError
from fer_core.labels import CLASS_NAMES
from fer_core.predictions import Predictions

EXACT = 1e-12


def predictions(y_true, pred_probs, class_names=None):
    pred_probs = np.asarray(pred_probs)
    names = class_names or CLASS_NAMES[: pred_probs.shape[1]]
    return Predictions([f"p{i:05d}" for i in range(len(y_true))], np.asarray(y_true), pred_probs, names)


def from_classes(y_true, y_pred, k):
    return predictions(y_true, np.eye(k)[np.asarray(y_pred)], CLASS_NAMES[:k])


def drawn(seed, n=200, k=7, classes=None):
    """Random predictions; only ``classes`` occur in the truth."""
    rng = np.random.default_rng(seed)
    y_true = rng.choice(np.arange(k) if classes is None else classes, n)
    logits = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[y_true]
    probs = np.exp(logits)
    return predictions(y_true, probs / probs.sum(1, keepdims=True))


CASES = {
    "all classes": drawn(0),
    "many": drawn(1, n=3589),
    "absent classes": drawn(2, classes=[0, 3, 6]),
    "one class only": drawn(3, classes=[4]),
    "one sample": drawn(4, n=1),
    "two classes": drawn(5, k=2),
    "never predicted": from_classes([0, 1, 2, 2], [0, 0, 0, 1], 4),
    "always the same": predictions([0, 1, 2, 3, 3], np.full((5, 4), 0.25)),
    "tied scores": predictions(
        np.random.default_rng(6).integers(0, 3, 60),
        np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.25, 0.5]])[
            np.random.default_rng(7).integers(0, 3, 60)
        ],
    ),
}
cases = pytest.mark.parametrize("made", CASES.values(), ids=CASES)


@cases
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_counts_agree_with_scikit_learn(made):
    truth, guess, labels = made.y_true, made.y_pred, range(len(made.class_names))
    kwargs = {"labels": labels, "zero_division": 0}
    np.testing.assert_array_equal(metrics.confusion_matrix(made), sk.confusion_matrix(truth, guess, labels=labels))
    by_class = sk.precision_recall_fscore_support(truth, guess, **kwargs)
    ours = (metrics.precision, metrics.recall, metrics.f1, metrics.support)
    for function, expected in zip(ours, by_class, strict=True):
        np.testing.assert_allclose(function(made), expected, rtol=0, atol=EXACT)
    assert metrics.accuracy(made) == pytest.approx(sk.accuracy_score(truth, guess), abs=EXACT)
    assert metrics.balanced_accuracy(made) == pytest.approx(sk.balanced_accuracy_score(truth, guess), abs=EXACT)
    assert metrics.macro_f1(made) == pytest.approx(sk.f1_score(truth, guess, average="macro", **kwargs), abs=EXACT)
    assert metrics.weighted_f1(made) == pytest.approx(
        sk.f1_score(truth, guess, average="weighted", **kwargs), abs=EXACT
    )
    assert metrics.mean_tpr(made) == pytest.approx(sk.recall_score(truth, guess, average="macro", **kwargs), abs=EXACT)


@cases
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
@pytest.mark.filterwarnings("ignore:The y_pred values do not sum to one")
def test_probability_scores_agree_with_scikit_learn(made):
    probs, k = made.pred_probs.astype(np.float64), len(made.class_names)
    assert metrics.log_loss(made) == pytest.approx(sk.log_loss(made.y_true, probs, labels=range(k)), abs=EXACT)
    of_classes = [np.mean((probs[:, i] - (made.y_true == i)) ** 2) for i in range(k)]
    assert metrics.brier_score(made) == pytest.approx(sum(of_classes), abs=EXACT)


@cases
def test_roc_auc_agrees_with_scikit_learn_on_the_classes_that_have_a_curve(made):
    expected = [
        sk.roc_auc_score(made.y_true == i, scores.astype(np.float64)) if 0 < (made.y_true == i).mean() < 1 else np.nan
        for i, scores in enumerate(made.pred_probs.T)
    ]
    np.testing.assert_allclose(metrics.class_roc_auc(made), expected, rtol=0, atol=EXACT)
    mean = np.nanmean(expected) if np.isfinite(expected).any() else np.nan
    assert metrics.roc_auc(made) == pytest.approx(mean, abs=EXACT, nan_ok=True)


def test_roc_auc_agrees_with_scikit_learns_own_macro_average():
    made = drawn(8, n=500)
    probs = made.pred_probs.astype(np.float64)
    probs /= probs.sum(1, keepdims=True)
    expected = sk.roc_auc_score(made.y_true, probs, multi_class="ovr", average="macro")
    assert metrics.roc_auc(made) == pytest.approx(expected, abs=1e-6)


def test_top2_accuracy_agrees_with_scikit_learn_without_ties_and_follows_argmax_with_them():
    made = drawn(9)
    expected = sk.top_k_accuracy_score(made.y_true, made.pred_probs, k=2, labels=range(7))
    assert metrics.top2_accuracy(made) == pytest.approx(expected, abs=EXACT)
    tied = predictions([0, 1, 2, 3], np.full((4, 4), 0.25))
    assert metrics.accuracy(tied) == 0.25
    assert metrics.top2_accuracy(tied) == 0.5


def test_a_confusion_matrix_worked_by_hand():
    # true a: a a b; true b: b c; true c: a; class d never occurs
    made = from_classes([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 0], 4)
    assert metrics.confusion_matrix(made).tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.precision(made), [2 / 3, 1 / 2, 0, 0])
    np.testing.assert_allclose(metrics.recall(made), [2 / 3, 1 / 2, 0, 0])
    assert metrics.accuracy(made) == pytest.approx(3 / 6)
    assert metrics.balanced_accuracy(made) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metrics.mean_tpr(made) == pytest.approx((2 / 3 + 1 / 2) / 4)
    assert metrics.macro_f1(made) == pytest.approx((2 / 3 + 1 / 2) / 4)
    assert metrics.weighted_f1(made) == pytest.approx((3 * 2 / 3 + 2 * 1 / 2) / 6)
    # one false positive among three not-a, one among four not-b, one among five not-c, none among six not-d
    assert metrics.mean_fpr(made) == pytest.approx((1 / 3 + 1 / 4 + 1 / 5 + 0) / 4)


def test_wilson_interval():
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263."""
    low, high = metrics.wilson(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = metrics.wilson(0.0, 20)
    assert low == pytest.approx(0.0, abs=1e-12)
    assert round(high, 4) == 0.1611
    assert np.isnan(metrics.wilson(0.5, 0)).all()


def test_calibration_error_of_each_class_worked_by_hand():
    probs = [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.5, 0.3, 0.2], [0.9, 0.1, 0.0]]
    made = predictions([0, 0, 1, 0], probs)
    # p(a): .5 .5 share a bin, one of them a; .3 is a; .9 is a. p(b): .3 .3 share a bin, one of them b. No c: its p.
    expected = [abs(1 - 2 * 0.5) + abs(1 - 0.3) + abs(1 - 0.9), abs(1 - 2 * 0.3) + 0.5 + 0.1, 3 * 0.2]
    np.testing.assert_allclose(metrics.class_ece(made), np.array(expected) / 4, atol=1e-7)
    twice = np.array([[1.0, 2.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    again = metrics.class_ece(made, twice)
    np.testing.assert_allclose(again[0], metrics.class_ece(made))
    drawn_twice = predictions([0, 0, 1, 0], [probs[at] for at in (0, 0, 2, 3)])
    np.testing.assert_allclose(again[1], metrics.class_ece(drawn_twice))
    over_all, of_classes = metrics.calibration_errors(made, twice)
    np.testing.assert_array_equal(over_all, metrics.ece(made, twice))
    np.testing.assert_array_equal(of_classes, again)
    assert metrics.calibration_errors(made)[0] == metrics.ece(made)


@cases
def test_no_class_is_calibrated_worse_than_all_its_probability(made):
    found, probs = metrics.class_ece(made), made.pred_probs.astype(float)
    of_class = np.eye(probs.shape[1])[made.y_true]
    assert (found >= np.abs(probs.mean(0) - of_class.mean(0)) - EXACT).all()  # with all in one bin
    assert (found <= np.abs(probs - of_class).mean(0) + EXACT).all()  # with each in a bin of its own


def test_expected_calibration_error_worked_by_hand():
    # confidences .50 .50 .52 share the bin (7/15, 8/15], one right; .90 stands alone in (13/15, 14/15], right
    probs = [[0.5, 0.3, 0.2], [0.3, 0.5, 0.2], [0.24, 0.24, 0.52], [0.9, 0.05, 0.05]]
    made = predictions([0, 0, 0, 0], probs)
    expected = 3 / 4 * abs(1 / 3 - (0.5 + 0.5 + 0.52) / 3) + 1 / 4 * abs(1 - 0.9)
    assert metrics.ece(made) == pytest.approx(expected, abs=1e-7)
    bins = metrics.reliability(made)
    assert bins["count"].tolist() == [0] * 7 + [3] + [0] * 5 + [1, 0]
    assert bins["accuracy"][7] == pytest.approx(1 / 3)
    assert bins["confidence"][13] == pytest.approx(0.9)
    assert np.isnan(bins["accuracy"][0])


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin():
    made = predictions([0, 0], [[0.6, 0.4], [1.0, 0.0]])
    assert np.flatnonzero(metrics.reliability(made)["count"]).tolist() == [9, 14]  # float32 .6 lies just above 9/15


def test_brier_score_worked_by_hand():
    made = predictions([0, 1], [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    assert metrics.brier_score(made) == pytest.approx((0.375 + 2.0) / 2)


def test_a_certain_mistake_costs_a_large_but_finite_log_loss():
    made = predictions([1], [[1.0, 0.0]])
    assert metrics.log_loss(made) == pytest.approx(-np.log(np.finfo(np.float64).eps))


def test_an_oracle_scores_best_everywhere():
    oracle = from_classes(np.arange(70) % 7, np.arange(70) % 7, 7)
    record = metrics.evaluate(oracle, n_boot=50)
    for name in metrics.METRICS:
        best = 0.0 if name in metrics.LOWER_IS_BETTER else 1.0
        assert record[name] == pytest.approx(best, abs=1e-12), name
        assert record["intervals"][name] == pytest.approx([best, best], abs=1e-12), name
    assert record["confusion_matrix"] == (10 * np.eye(7, dtype=int)).tolist()


def test_the_worst_scores_worst():
    y_true = np.arange(14) % 7
    worst = from_classes(y_true, (y_true + 1) % 7, 7)
    assert metrics.accuracy(worst) == 0.0
    assert metrics.brier_score(worst) == 2.0
    assert metrics.ece(worst) == 1.0


def test_every_metric_named_in_the_record_is_plain_json():
    for name, made in CASES.items():
        record = metrics.evaluate(made, n_boot=20)
        assert json.loads(json.dumps(record, allow_nan=False)) == record, name
        assert set(metrics.METRICS) < set(record)
        assert set(record["per_class"]) == set(made.class_names)
        assert record["n"] == len(made)


def test_undefined_metrics_are_none_and_not_a_number():
    record = metrics.evaluate(CASES["one class only"], n_boot=20)
    assert record["roc_auc"] is None
    assert record["intervals"]["roc_auc"] is None
    assert record["per_class"]["angry"]["roc_auc"] is None


def test_no_predictions_cannot_be_evaluated():
    with pytest.raises(RunError, match="no predictions"):
        metrics.evaluate(predictions(np.zeros(0, int), np.zeros((0, 3))))


@pytest.mark.parametrize("name", metrics.METRICS)
def test_resampled_metrics_equal_those_of_the_resampled_predictions(name):
    made = drawn(10, n=60)
    weights = metrics.resamples(60, 5, seed=3)
    values = metrics.METRICS[name](made, weights)
    for column, value in zip(weights.T.astype(int), values, strict=True):
        rows = np.repeat(np.arange(60), column)
        drawn_again = predictions(made.y_true[rows], made.pred_probs[rows])
        assert value == pytest.approx(metrics.METRICS[name](drawn_again), abs=1e-12)


def test_resamples_draw_n_samples_and_honour_the_seed():
    weights = metrics.resamples(40, 30, seed=1)
    assert weights.shape == (40, 30)
    assert (weights.sum(0) == 40).all()
    np.testing.assert_array_equal(weights, metrics.resamples(40, 30, seed=1))
    assert not np.array_equal(weights, metrics.resamples(40, 30, seed=2))
    with pytest.raises(ConfigError):
        metrics.resamples(0, 30)


@pytest.mark.parametrize("n", [1, 40, 3000, 20_000])
def test_draws_are_counted_a_few_resamples_at_a_time_as_all_at_once(n):
    drawn = np.random.default_rng(1).integers(0, n, size=(7, n))
    expected = np.stack([np.bincount(row, minlength=n) for row in drawn])
    counts = metrics.draw_counts(n, 7, seed=1)
    assert counts.dtype == np.uint8
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(metrics.resamples(n, 7, seed=1), expected.T)


def test_the_interval_of_accuracy_is_that_of_a_binomial_share():
    made = from_classes(np.zeros(3589, int), (np.arange(3589) % 100 >= 73).astype(int), 2)
    low, high = metrics.evaluate(made)["intervals"]["accuracy"]
    share = metrics.accuracy(made)
    half = 1.96 * np.sqrt(share * (1 - share) / 3589)
    assert low == pytest.approx(share - half, abs=0.002)
    assert high == pytest.approx(share + half, abs=0.002)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        right = rng.random(300) < 0.7
        made = from_classes(np.zeros(300, int), (~right).astype(int), 2)
        low, high = metrics.interval(metrics.accuracy(made, metrics.resamples(300, 400, seed=int(rng.integers(1e6)))))
        covered += low <= 0.7 <= high
    assert 0.88 <= covered / 200 <= 1.0


def test_intervals_leave_out_what_is_not_a_number():
    assert metrics.interval(np.array([np.nan, 1.0, 1.0])) == [1.0, 1.0]
    assert metrics.interval(np.array([np.nan])) is None


def test_discrepancy_is_train_minus_validation():
    assert metrics.discrepancy(0.9, 0.7) == pytest.approx(0.2)


def test_the_interval_of_the_calibration_error_holds_the_error_and_that_of_a_calibrated_model():
    """Resampling adds noise to every bin, so percentiles lie above the value that they are an interval of."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), 600).astype(np.float32)
    made = predictions([rng.choice(3, p=row / row.sum()) for row in probs.astype(float)], probs)
    record = metrics.evaluate(made, n_boot=300)
    assert metrics.interval(metrics.ece(made, metrics.resamples(600, 300, 0)))[0] > record["ece"]
    low, high = record["intervals"]["ece"]
    assert low == 0.0 < record["ece"] <= high


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5.0, [4.0, 6.5]), (6.0, [6.0, 8.5]), (0.5, [0.0, 0.5])],
    ids=["turned round", "widened below", "not under the least"],
)
def test_a_basic_interval_by_hand(value, expected):
    drawn = np.linspace(3.5, 6.0, 100) if value > 1 else np.linspace(0.5, 2.0, 100)
    found = metrics.basic_interval(value, drawn, least=0.0)
    assert found == pytest.approx(expected, abs=0.1)


def test_wilsons_interval_stays_within_what_a_share_can_be():
    for n in range(1, 60):
        low, high = metrics.wilson(0.0, n)[0], metrics.wilson(1.0, n)[1]
        assert 0 <= low < 1e-12 and 1 - 1e-12 < high <= 1 and f"{low:.1f}" == "0.0", n
