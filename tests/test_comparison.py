"""McNemar, paired bootstrap, Holm and disagreements against values worked by hand or published."""

import numpy as np
import pytest
from scipy import stats

from fer_core import comparison, metrics
from fer_core.errors import ConfigError, RunError
from fer_core.labels import CLASS_NAMES
from fer_core.predictions import Predictions

IDS = np.array([f"p{i:05d}" for i in range(4000)])


def guesses(right, names=("angry", "disgust")):
    """Two-class predictions that are right where ``right`` is true; the truth is always the first class."""
    right = np.asarray(right)
    probs = np.where(right[:, None], [0.8, 0.2], [0.3, 0.7])
    return Predictions(IDS[: len(right)], np.zeros(len(right), int), probs, names)


def pair(both, only_a, only_b, neither):
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return guesses(a), guesses(b)


def drawn(seed, n=400, skill=1.5):
    y_true = np.random.default_rng(0).integers(0, 7, n)
    logits = np.random.default_rng(seed).normal(size=(n, 7)) + skill * np.eye(7)[y_true]
    probs = np.exp(logits)
    return Predictions(IDS[:n], y_true, probs / probs.sum(1, keepdims=True), CLASS_NAMES)


def test_mcnemar_with_many_discordant_pairs_is_the_corrected_chi_square():
    # Agresti's approval ratings: 150 and 86 changed their minds; with continuity correction (64 - 1)^2 / 236
    result = comparison.mcnemar(*pair(794, 150, 86, 570))
    assert (result.n, result.only_a, result.only_b) == (1600, 150, 86)
    assert result.p_value == pytest.approx(stats.chi2.sf(63**2 / 236, 1), rel=1e-10)
    assert result.p_value == pytest.approx(4.115e-05, rel=1e-3)  # R: mcnemar.test(matrix(c(794, 86, 150, 570), 2))
    assert "chi-square" in result.method


@pytest.mark.parametrize("only", [(0, 0), (0, 1), (3, 3), (7, 17), (12, 12), (12, 13), (25, 0), (150, 86), (900, 2)])
def test_p_of_mcnemar_is_that_of_scipy(only):
    from scipy import stats

    discordant = sum(only)
    exact = stats.binomtest(only[0], discordant).pvalue if discordant else 1.0
    corrected = stats.chi2.sf((abs(only[0] - only[1]) - 1) ** 2 / max(discordant, 1), 1)
    expected = exact if discordant < comparison.EXACT_BELOW else corrected
    assert comparison.mcnemar(*pair(5, *only, 5)).p_value == pytest.approx(expected, rel=1e-12)


def test_mcnemar_with_few_discordant_pairs_is_exact():
    result = comparison.mcnemar(*pair(20, 9, 2, 5))
    assert result.p_value == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert result.p_value == pytest.approx(stats.binomtest(2, 11, 0.5).pvalue)
    assert "exact" in result.method


@pytest.mark.parametrize(("only_a", "only_b", "method"), [(12, 12, "exact"), (13, 12, "chi-square")])
def test_the_exact_test_is_used_below_25_discordant_pairs(only_a, only_b, method):
    result = comparison.mcnemar(*pair(5, only_a, only_b, 5))
    assert method in result.method
    assert result.p_value == pytest.approx(1.0)


def test_equal_classifiers_do_not_differ():
    a, _ = pair(10, 5, 5, 5)
    assert comparison.mcnemar(a, a).p_value == 1.0
    same = comparison.paired_bootstrap(a, a)
    assert (same.difference, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_paired_bootstrap_has_the_standard_error_of_a_paired_difference():
    a, b = pair(600, 150, 86, 164)
    result = comparison.paired_bootstrap(a, b)
    assert result.difference == pytest.approx(64 / 1000)
    error = np.sqrt((150 + 86) / 1000 - 0.064**2) / np.sqrt(1000)
    assert result.low == pytest.approx(0.064 - 1.96 * error, abs=0.004)
    assert result.high == pytest.approx(0.064 + 1.96 * error, abs=0.004)
    assert result.p_value == pytest.approx(2 / 1001)


def test_pairing_makes_the_interval_narrower_than_that_of_independent_runs():
    a, b = pair(900, 30, 10, 60)
    result = comparison.paired_bootstrap(a, b)
    weights = metrics.resamples(1000, 1000, 1), metrics.resamples(1000, 1000, 2)
    low, high = metrics.interval(metrics.accuracy(a, weights[0]) - metrics.accuracy(b, weights[1]))
    assert result.high - result.low < 0.7 * (high - low)


def test_paired_bootstrap_mirrors_and_honours_its_seed():
    a, b = drawn(1), drawn(2, skill=1.2)
    one, other = comparison.paired_bootstrap(a, b, "macro_f1"), comparison.paired_bootstrap(b, a, "macro_f1")
    assert one.difference == pytest.approx(-other.difference)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one == comparison.paired_bootstrap(a, b, "macro_f1")
    assert one != comparison.paired_bootstrap(a, b, "macro_f1", seed=1)


def test_the_null_is_rejected_about_as_rarely_as_promised():
    rng = np.random.default_rng(0)
    p_values = [
        comparison.paired_bootstrap(guesses(rng.random(200) < 0.7), guesses(rng.random(200) < 0.7), n_boot=300).p_value
        for _ in range(150)
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.12


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ConfigError, match="f2"):
        comparison.paired_bootstrap(drawn(1), drawn(2), "f2")


def test_all_metrics_are_compared_on_the_same_resamples():
    a, b = drawn(1), drawn(2)
    frame = comparison.differences(a, b, n_boot=100).set_index("metric")
    assert list(frame.index) == list(metrics.METRICS)
    alone = comparison.paired_bootstrap(a, b, "ece", n_boot=100)
    assert frame.loc["ece", "low"] == alone.low


def test_resampling_does_not_push_the_interval_of_a_difference_in_calibration():
    """One is calibrated, one off by 5 points: resampling raises the error of the first more than that of the other."""
    rng, n = np.random.default_rng(0), 2000
    share = rng.uniform(0.5, 0.95, n)
    y_true = (rng.random(n) < share).astype(int)
    a, b = (Predictions(IDS[:n], y_true, np.column_stack([1 - one, one]), ("x", "y")) for one in (share, share - 0.05))
    weights, ece = metrics.resamples(n, 400), metrics.METRICS["ece"]
    pushed = (ece(a, weights) - ece(b, weights)).mean() - (ece(a) - ece(b))
    assert pushed > 0.002
    found, turned = (comparison.paired_bootstrap(*pair, "ece", n_boot=400) for pair in ((a, b), (b, a)))
    assert (found.low + found.high) / 2 == pytest.approx(found.difference - pushed, abs=0.001)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
    assert (found.p_value < 0.05) == (found.high < 0)


def test_the_better_run_is_named_whichever_way_a_metric_points():
    frame = comparison.differences(drawn(1, skill=3), drawn(2, skill=0.5), n_boot=100).set_index("metric")["better"]
    assert (frame[["accuracy", "macro_f1", "log_loss", "brier_score", "mean_fpr"]] == "a").all()
    same = comparison.differences(drawn(1), drawn(1), n_boot=20)["better"]
    assert (same == "neither").all()


def test_a_metric_that_is_undefined_is_left_out():
    a, b = pair(5, 5, 5, 5)
    assert "roc_auc" not in set(comparison.differences(a, b, n_boot=20)["metric"])
    with pytest.raises(RunError, match="roc_auc is undefined"):
        comparison.paired_bootstrap(a, b, "roc_auc")


def test_order_and_extra_pictures_do_not_matter():
    a, b = drawn(1), drawn(2)
    shuffled = b.take(np.random.default_rng(3).permutation(400)[:300])
    result = comparison.mcnemar(a, shuffled)
    kept = np.isin(a.sample_ids, shuffled.sample_ids)
    assert result == comparison.mcnemar(a.take(kept), b.take(kept))


def test_classes_in_another_order_are_mapped_by_name():
    a, b = drawn(1), drawn(2)
    order = np.array([6, 5, 4, 3, 2, 1, 0])
    turned = Predictions(b.sample_ids, order[b.y_true], b.pred_probs[:, order], tuple(np.array(CLASS_NAMES)[order]))
    assert comparison.mcnemar(a, turned) == comparison.mcnemar(a, b)
    turning = np.array([2, 0, 1, 3, 4, 6, 5])  # not its own inverse
    position = np.argsort(turning)
    turned = Predictions(
        b.sample_ids, position[b.y_true], b.pred_probs[:, turning], tuple(np.array(CLASS_NAMES)[turning])
    )
    assert comparison.mcnemar(a, turned) == comparison.mcnemar(a, b)


def test_contradicting_labels_are_refused_and_named():
    a = drawn(1)
    b = Predictions(
        a.sample_ids, np.where(np.arange(400) == 7, (a.y_true + 1) % 7, a.y_true), a.pred_probs, CLASS_NAMES
    )
    with pytest.raises(RunError, match=r"1 pictures, e\.g\. p00007"):
        comparison.mcnemar(a, b)


def test_nothing_shared_and_other_classes_are_refused():
    a = drawn(1)
    with pytest.raises(RunError, match="share no pictures"):
        comparison.align(a.take(np.arange(10)), a.take(np.arange(10, 20)))
    with pytest.raises(RunError, match="different classes"):
        comparison.align(a, guesses([True, False]))


def test_holm_worked_by_hand():
    np.testing.assert_allclose(comparison.holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(comparison.holm(np.array([0.6, 0.7])), [1.0, 1.0])


def test_all_pairs_are_compared_and_corrected():
    runs = {"good": drawn(1, skill=3), "middling": drawn(2), "poor": drawn(3, skill=0)}
    frame = comparison.all_pairs(runs, n_boot=100)
    assert list(zip(frame.a, frame.b, strict=True)) == [("good", "middling"), ("good", "poor"), ("middling", "poor")]
    np.testing.assert_allclose(frame.holm_p, comparison.holm(frame.mcnemar_p.to_numpy()))
    assert (frame.difference > 0).all()
    assert comparison.all_pairs({"good": runs["good"]}).empty


def test_disagreements_worked_by_hand():
    names = ("angry", "disgust", "fear")
    ids, y_true = ["p1", "p2", "p3", "p4"], [0, 1, 2, 0]
    a = Predictions(ids, y_true, [[0.8, 0.1, 0.1], [0.9, 0.1, 0], [0.6, 0.4, 0], [0.7, 0.2, 0.1]], names)
    b = Predictions(ids, y_true, [[0.8, 0.1, 0.1], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.3, 0.3, 0.4]], names)
    frame = comparison.disagreements(a, b)
    assert frame.sample_id.tolist() == ["p2", "p3", "p4"]  # by the less confident of the two, downwards
    assert frame.true.tolist() == ["disgust", "fear", "angry"]
    assert frame.pred_a.tolist() == ["angry", "angry", "angry"]
    assert frame.pred_b.tolist() == ["disgust", "disgust", "fear"]
    assert frame.right.tolist() == ["b", "neither", "a"]
    assert comparison.disagreements(a, a).empty
