"""Known answers: classifiers that read one region, maps that show it, miss it, or ignore the model."""

import gc
import threading

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError
from fer_core.explain import faithfulness, randomised, saliency
from fer_core.explain.faithfulness import FAILED, NOT_APPLICABLE, PASSED, UNDECIDED
from fer_core.explain.saliency import SaliencyMap
from fer_core.faces import FRAME
from tests.conftest import NARROW

CLASSES = ("angry", "happy", "sad")
SIDE = 12
REGION = (slice(6, 10), slice(2, 6))


class ReadsRegion:
    """'happy' is the mean brightness of the region."""

    class_names = CLASSES

    def predict_proba(self, images):
        images = images.mean(axis=3) if images.ndim == 4 else images
        happy = images[(slice(None), *REGION)].mean(axis=(1, 2)) / 255
        return np.stack([1 - happy, happy, 0 * happy], axis=1).astype(np.float32)


@pytest.fixture
def picture():
    image = np.random.default_rng(0).integers(0, 80, (SIDE, SIDE), dtype=np.uint8)
    image[REGION] = np.random.default_rng(1).integers(200, 256, (4, 4), dtype=np.uint8)
    return image


def region_map():
    values = np.zeros((SIDE, SIDE), np.float32)
    values[REGION] = 1
    return values


def as_map(values, method="by hand", grid=None):
    values = np.asarray(values, np.float32).reshape(-1, *np.shape(values)[-2:])
    return SaliencyMap(values, values, grid or values.shape[1:], None, method, np.ones(len(values), int))


def always(values):
    """An explain function that gives one map whatever it is asked."""
    return lambda classifier, images, **options: as_map(np.repeat(values[None], len(images), axis=0))


def edges(classifier, images, **options):
    """An edge detector: a map that has never seen the model."""
    found = np.stack([np.abs(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F)) for image in images])
    return SaliencyMap(found / found.max(), found, found.shape[1:], None, "edges", np.ones(len(images), int))


def outcomes(trust):
    return {verdict.name: verdict.outcome for verdict in faithfulness.verdicts(trust)}


def test_curves_worked_by_hand():
    class FirstPixel:
        class_names = CLASSES

        def predict_proba(self, images):
            first = images[:, 0, 0] / np.float32(255)
            return np.stack([1 - first, first, 0 * first], axis=1)

    image = np.array([[255, 0], [0, 0]], np.uint8)
    first, last = np.array([[4, 3], [2, 1]]), np.array([[1, 2], [3, 4]])
    images, maps, classes = np.stack([image, image]), np.stack([first, last]).astype(np.float32), np.array([1, 1])
    gone = faithfulness.pixel_curves(FirstPixel(), images, maps, classes, fill="zero", steps=4)
    assert gone.tolist() == [[1, 0, 0, 0, 0], [1, 1, 1, 1, 0]]
    back = faithfulness.pixel_curves(FirstPixel(), images, maps, classes, fill="zero", steps=4, insertion=True)
    assert back.tolist() == [[0, 1, 1, 1, 1], [0, 0, 0, 0, 1]]
    curves = faithfulness.Curves(False, np.linspace(0, 1, 5), gone[0], gone[1:])
    assert (curves.area, curves.random_areas.tolist(), curves.beaten) == (0.125, [0.875], 1)


def test_interval_of_the_gain_worked_by_hand():
    share, flat = np.array([0.0, 1.0]), np.ones(2, np.float32)
    curves = faithfulness.Curves(True, share, 0.5 * flat, np.outer([0.1, 0.3], flat).astype(np.float32))
    mean, low, high = curves.interval  # gains 0.4 and 0.2, standard error 0.1, t(0.975, 1) = 12.706
    assert (mean, low, high) == pytest.approx((0.3, 0.3 - 1.2706, 0.3 + 1.2706), abs=1e-4)


@pytest.mark.parametrize(
    ("better", "gain", "worse", "outcome", "words"),
    [
        (19, 0.125, -0.125, PASSED, "19 of 20 random maps as smooth (area under the curve on average better by 0.11 ["),
        (18, 0.125, -0.125, UNDECIDED, "18 of 20 random maps as smooth; 19 are asked for, so it is not shown to beat"),
        (8, 0.5, -0.125, UNDECIDED, "not shown to beat random maps (area under the curve on average better by 0.12 ["),
        (0, 0.125, 0.0, FAILED, "it does no better than they do (area under the curve on average better by 0.00 ["),
        (10, 0.125, -0.125, FAILED, "10 of 20 random maps as smooth; 19 are asked for, and on average it does no"),
        (3, 0.125, -0.25, FAILED, "(area under the curve on average worse by 0.19 [0.13, 0.26])"),
        (9, 0.002, -0.002, FAILED, "(area under the curve on average worse by 0.00 [0.00, 0.00])"),
    ],
)
@pytest.mark.parametrize("insertion", [False, True])
def test_a_curve_fails_only_where_it_is_no_better_than_random_maps(better, gain, worse, outcome, words, insertion):
    gains = np.array([gain] * better + [worse] * (20 - better)) * (1 if insertion else -1)
    flat = np.ones(2, np.float32)
    random = np.outer(0.5 - gains, flat)
    curves = faithfulness.Curves(insertion, np.array([0.0, 1.0]), 0.5 * flat, random)
    trust = faithfulness.Trust((6, 6), False, curves, curves, "", np.ones(4), np.zeros(0))
    for verdict in faithfulness.verdicts(trust)[:2]:
        assert verdict.outcome == outcome
        assert words in verdict.sentence
    even = faithfulness.Trust((6, 6), True, curves, curves, "", np.ones(4), np.zeros(0))
    assert outcomes(even)["Deletion"] == outcomes(even)["Insertion"] == FAILED


def test_true_region_beats_random_maps_and_its_opposite_does_not(picture):
    for part, better in ((faithfulness.deletion, np.less), (faithfulness.insertion, np.greater)):
        true = part(ReadsRegion(), picture, as_map(region_map()))
        assert true.beaten >= 19
        assert better(true.area, true.random_areas.mean())
        assert true.interval[1] > 0
        wrong = part(ReadsRegion(), picture, as_map(1 - region_map()))
        assert wrong.beaten <= 2
        assert wrong.interval[2] < 0
    assert outcomes(faithfulness.trust(ReadsRegion(), picture, as_map(1 - region_map()), always(region_map()))) == {
        "Deletion": FAILED,
        "Insertion": FAILED,
        "Randomisation": NOT_APPLICABLE,
        "Stability": FAILED,
        "Trainings": NOT_APPLICABLE,
        "Grid": PASSED,
    }


def test_deletion_in_colour_says_the_same(picture):
    grey = faithfulness.deletion(ReadsRegion(), picture, as_map(region_map()))
    colour = faithfulness.deletion(ReadsRegion(), np.repeat(picture[..., None], 3, axis=2), as_map(region_map()))
    assert np.allclose(grey.found, colour.found, atol=1e-6)


def test_pictures_in_a_batch_do_not_mix_and_inputs_stay(picture, monkeypatch):
    images = np.stack([picture, 255 - picture, picture.T])
    maps = np.stack([region_map(), 1 - region_map(), region_map().T])
    kept, classes = images.copy(), np.array([1, 0, 1])
    monkeypatch.setattr(faithfulness, "CHUNK", 7)
    together = faithfulness.pixel_curves(ReadsRegion(), images, maps, classes)
    for index in range(3):
        one = slice(index, index + 1)
        alone = faithfulness.pixel_curves(ReadsRegion(), images[one], maps[one], classes[one])
        assert np.array_equal(together[index], alone[0])
    assert np.array_equal(images, kept)


def test_random_maps_are_as_smooth_as_the_map_and_lie_elsewhere():
    coarse = cv2.resize(np.random.default_rng(0).random((4, 4), np.float32), (48, 48))
    fine = np.random.default_rng(1).random((48, 48), np.float32)

    def roughness(maps):
        return np.square(np.diff(maps, axis=-1)).mean() / np.var(maps)

    for values in (coarse, fine):
        drawn = faithfulness.random_maps(values, (48, 48), 16, seed=3)
        assert drawn.shape == (16, 48, 48)
        assert roughness(drawn) == pytest.approx(roughness(values), rel=0.5)
        assert abs(np.mean([faithfulness.pearson(values, one) for one in drawn])) < 0.25
        assert np.array_equal(drawn, faithfulness.random_maps(values, (48, 48), 16, seed=3))
    assert roughness(coarse) < roughness(fine) / 20


def test_constant_map_fails_everything_but_the_grid(picture):
    flat = np.full((SIDE, SIDE), 0.5, np.float32)
    trust = faithfulness.trust(ReadsRegion(), picture, as_map(flat, grid=(6, 6)), always(flat))
    assert trust.even
    assert outcomes(trust) == {
        "Deletion": FAILED,
        "Insertion": FAILED,
        "Randomisation": NOT_APPLICABLE,
        "Stability": FAILED,
        "Trainings": NOT_APPLICABLE,
        "Grid": PASSED,
    }
    assert trust.deletion.random.shape == (faithfulness.RANDOM_MAPS, faithfulness.STEPS + 1)
    assert trust.deletion.random_areas.std() > 0  # noise of six by six cells
    assert "the same everywhere" in faithfulness.verdicts(trust)[0].sentence


def test_spearman_worked_by_hand():
    assert faithfulness.spearman(np.array([1.0, 2, 3, 4]), np.array([10.0, 20, 30, 900])) == 1
    assert faithfulness.spearman(np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1])) == -1
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5
    assert faithfulness.spearman(np.array([0.0, 5, 5, 9]), np.array([1.0, 2, 3, 4])) == pytest.approx(4.5 / 22.5**0.5)
    assert np.isnan(faithfulness.spearman(np.ones(4), np.arange(4.0)))


# Stability


def test_map_that_moves_with_the_picture_is_perfectly_stable(picture):
    def again(classifier, images, **options):
        return as_map(np.stack([cv2.GaussianBlur(image, (3, 3), 0.8) for image in images]) / 255)

    found = again(None, picture[None])
    similarity = faithfulness.shifts(ReadsRegion(), picture, found, again)
    assert similarity.shape == (4,)
    assert np.allclose(similarity, 1)


def test_map_that_stays_behind_is_less_stable_and_noise_fails(picture):
    behind = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    similarity = faithfulness.shifts(ReadsRegion(), picture, as_map(behind), always(behind))
    assert np.abs(similarity).max() < 0.4
    trust = faithfulness.trust(ReadsRegion(), picture, as_map(behind), always(behind))
    assert outcomes(trust)["Stability"] == FAILED
    said = next(one.sentence for one in faithfulness.verdicts(trust) if one.name == "Stability")
    assert "draws nothing at random, so there are no seeds to compare" in said


def test_seeds_count_for_methods_that_draw(picture):
    def draws(spread):
        def again(classifier, images, seed=0, **options):
            noise = np.random.default_rng(seed).normal(0, spread, images.shape)
            return as_map(images / 255.0 + noise, "smoothgrad")

        return again

    assert faithfulness.is_seeded("smoothgrad")
    assert not faithfulness.is_seeded("gradient")
    for spread, alike in ((1e-4, True), (100.0, False)):
        found = draws(spread)(None, picture[None])
        similarity = faithfulness.seeds(ReadsRegion(), picture, found, draws(spread))
        assert similarity.shape == (len(faithfulness.SEEDS),)
        assert (similarity.min() > 0.9) == alike
        assert (similarity.max() < 0.4) != alike
    assert len(faithfulness.seeds(ReadsRegion(), picture, as_map(region_map()), always(region_map()))) == 0


# Randomisation


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def dense_network(keras, seed=0):
    """Its gradient is its weights: some in the region, none elsewhere."""
    inputs = keras.Input((SIDE, SIDE, 1), name="pixels")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    network = keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))
    kernel = np.zeros((SIDE, SIDE, 3), np.float32)
    kernel[(*REGION, 1)] = np.random.default_rng(seed).uniform(0.1, 0.2, (4, 4))
    network.layers[-1].set_weights([kernel.reshape(-1, 3), np.zeros(3)])
    return network


def conv_network(keras):
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 1))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="low")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, "softmax", name="top")(x))


@pytest.fixture(scope="module")
def classifier(keras):
    from fer_core.models.registry import NetworkClassifier

    return NetworkClassifier(dense_network(keras), CLASSES)


def test_gradients_pass_the_randomisation_check_and_an_edge_detector_fails(classifier, picture):
    before = [weight.copy() for weight in classifier.network.get_weights()]
    found = saliency.explain(classifier, picture[None], 1, "gradient")
    passed = faithfulness.trust(classifier, picture, found)
    assert outcomes(passed)["Randomisation"] == PASSED
    assert passed.randomisation.similarity < 0.35
    assert outcomes(passed)["Deletion"] == outcomes(passed)["Insertion"] == PASSED
    assert passed.shifts.max() < 0.9  # the gradient of a linear model stays in place when the picture moves
    blind = faithfulness.trust(classifier, picture, edges(None, picture[None]), edges)
    assert outcomes(blind)["Randomisation"] == FAILED
    assert blind.randomisation.similarity == pytest.approx(1)
    assert "not what the model learnt" in faithfulness.verdicts(blind)[2].sentence
    assert all(np.array_equal(a, b) for a, b in zip(before, classifier.network.get_weights(), strict=True))


def test_checks_explain_again_with_the_layer_and_options_of_the_map(keras, picture):
    from fer_core.models.registry import NetworkClassifier

    coarse = saliency.explain(ReadsRegion(), picture[None], 1, "occlusion", patch=0.5, fill="zero")
    again = faithfulness.once_more(coarse)
    assert np.array_equal(again(ReadsRegion(), picture[None]).raw, coarse.raw)
    noisy = saliency.explain(NetworkClassifier(dense_network(keras), CLASSES), picture[None], 1, "smoothgrad", seed=7)
    assert (noisy.given, noisy.layer) == ({"layer": None, "seed": 7}, None)
    assert "seed" not in coarse.given
    model = NetworkClassifier(conv_network(keras), CLASSES)
    low = saliency.explain(model, picture[None], 1, "grad_cam", "low")
    assert faithfulness.once_more(low)(model, picture[None]).layer == "low"
    assert faithfulness.once_more(noisy)(model, picture[None], seed=3).given["seed"] == 3


def test_upper_layers_are_drawn_anew_first(keras, picture):
    from fer_core.models.registry import NetworkClassifier

    model = NetworkClassifier(conv_network(keras), CLASSES)
    model.network.get_layer("norm").set_weights([np.full(4, value) for value in (2.0, 0.5, 1.0, 3.0)])
    copies = randomised.randomised_copies(model)
    assert [share for share, _ in randomised.COPIES] == [0.5, 1, 1, 1, 1]
    upper, *whole = copies  # of three layers with weights: two, then all

    def same(copy, name):
        pairs = zip(
            copy.network.get_layer(name).get_weights(), model.network.get_layer(name).get_weights(), strict=True
        )
        return all(np.array_equal(a, b) for a, b in pairs)

    assert [same(upper, name) for name in ("low", "norm", "top")] == [True, False, False]
    for copy in whole:
        assert [same(copy, name) for name in ("low", "norm", "top")] == [False, False, False]
        assert [values[0] for values in copy.network.get_layer("norm").get_weights()] == [1, 0, 0, 1]
        assert np.allclose(copy.predict_proba(picture[None]).sum(), 1)
    kernels = [copy.network.get_layer("low").get_weights()[0] for copy in whole]
    assert all(not np.array_equal(kernels[0], other) for other in kernels[1:])
    assert np.concatenate(kernels).std() == pytest.approx(np.sqrt(2 / 9), rel=0.2)


@pytest.mark.parametrize(
    ("kind", "settings", "fan_ins"),
    [
        ("DepthwiseConv2D", {"depth_multiplier": 2}, [9]),
        ("SeparableConv2D", {"filters": 64}, [9, 64]),
        ("Conv2D", {"filters": 32}, [9 * 64]),
    ],
)
def test_kernels_are_drawn_by_what_each_output_is_made_of(keras, kind, settings, fan_ins):
    """He et al. (2015): variance 2 over the inputs of one output; of a depthwise one, a single channel's."""
    inputs = keras.Input((6, 6, 64))
    layer = getattr(keras.layers, kind)(kernel_size=3, use_bias=False, **settings)
    copy = randomised._randomised(keras.Model(inputs, layer(inputs)), 1.0, seed=0)
    for kernel, inputs_of_one in zip(copy.get_weights(), fan_ins, strict=True):
        assert kernel.std() == pytest.approx(np.sqrt(2 / inputs_of_one), rel=0.1)


def test_copies_are_made_once_stay_few_and_die_with_their_network(keras, monkeypatch):
    from fer_core.models.registry import NetworkClassifier

    def networks(model):
        return [copy.network for copy in randomised.randomised_copies(model)]

    models = [NetworkClassifier(dense_network(keras, seed), CLASSES) for seed in range(3)]
    parameters = models[0].network.count_params() * len(randomised.COPIES)
    monkeypatch.setattr(randomised, "MAX_PARAMETERS", 2 * parameters)
    first = networks(models[0])
    assert all(a is b for a, b in zip(first, networks(models[0]), strict=True))
    del first
    for model in models:
        networks(model)
    gc.collect()
    assert [model.network in randomised._copies for model in models] == [False, True, True]
    monkeypatch.setattr(randomised, "MAX_PARAMETERS", 0)
    networks(models[0])
    assert list(randomised._copies) == [models[0].network]  # one always may stay
    del models, model
    gc.collect()
    assert not randomised._copies


def test_forget_takes_up_changed_weights(keras):
    from fer_core.models.registry import NetworkClassifier

    model = NetworkClassifier(conv_network(keras), CLASSES)
    randomised.randomised_copies(model)
    model.network.get_layer("low").set_weights([np.ones((3, 3, 1, 4), np.float32)])
    randomised.forget(model)
    assert (randomised.randomised_copies(model)[0].network.get_layer("low").get_weights()[0] == 1).all()


@pytest.mark.parametrize(("empty", "outcome"), [(2, FAILED), (4, NOT_APPLICABLE)])
def test_empty_maps_of_copies_are_left_out_and_counted(classifier, picture, empty, outcome):
    """The map does not depend on the model, so it must not pass because some copies have none."""
    copies = iter(range(len(randomised.COPIES)))

    def again(model, images, **options):
        whole = next(copies) - 1  # the first is randomised in part
        return as_map(0 * picture) if 0 <= whole < empty else edges(model, images)

    found = edges(None, picture[None])
    checked = faithfulness.randomisation(classifier, picture, found, again)
    assert np.isnan(checked.spearman).tolist() == [False, *(place < empty for place in range(4))]
    assert (checked.empty, np.isnan(checked.similarity)) == (empty, empty == 4)
    curve = faithfulness.deletion(classifier, picture, found)
    trust = faithfulness.Trust(found.grid, False, curve, curve, checked, np.ones(4), np.zeros(0))
    verdict = faithfulness.verdicts(trust)[2]
    assert verdict.outcome == outcome
    assert ("over 2 of 4 copies" if empty == 2 else "all 4 copies") in verdict.sentence
    assert faithfulness.randomisation_frame(trust)["spearman"].isna().sum() == empty


def test_ensemble_of_networks_is_randomised_member_by_member(keras, picture):
    from fer_core.models.ensemble import Ensemble
    from fer_core.models.registry import NetworkClassifier

    members = [NetworkClassifier(dense_network(keras, seed), CLASSES) for seed in range(2)]
    both = Ensemble(members, weights=[3, 1])
    found = faithfulness.randomisation(both, picture, edges(None, picture[None]), edges)
    assert found.similarity == pytest.approx(1)
    copies = [randomised.randomised_copies(member) for member in members]
    expected = 0.75 * copies[0][1].predict_proba(picture[None]) + 0.25 * copies[1][1].predict_proba(picture[None])
    assert np.allclose(randomised.randomised_copies(both)[1].predict_proba(picture[None]), expected, atol=1e-6)
    assert not randomised.can_be_randomised(Ensemble([members[0], ReadsRegion()]))


def test_all_of_an_ensembles_copies_stay_and_members_that_do_not_count_need_none(keras, picture, monkeypatch):
    from fer_core.explain import twins
    from fer_core.models.ensemble import Ensemble
    from fer_core.models.registry import NetworkClassifier

    monkeypatch.setattr(randomised, "MAX_PARAMETERS", 0)
    first = dense_network(keras, 0)
    networks = [first, keras.models.clone_model(first), dense_network(keras, 2)]  # the second with weights of its own
    members = [NetworkClassifier(network, CLASSES) for network in networks]
    both = Ensemble([*members[:2], ReadsRegion()], weights=[3, 1, 0])
    assert randomised.can_be_randomised(both)
    once, again = ([copy.members for copy in randomised.randomised_copies(both)] for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert all(a.network is b.network for a, b in zip(one[:2], other[:2], strict=True)) and one[2] is other[2]
    assert twins.twin_of(members[0].network) is twins.twin_of(members[1].network)  # compiled once
    randomised.randomised_copies(members[2])
    assert list(randomised._copies) == [members[2].network]


def test_model_without_network_is_told_why(picture):
    found = saliency.explain(ReadsRegion(), picture[None], 1, "occlusion")
    trust = faithfulness.trust(ReadsRegion(), picture, found)
    verdict = faithfulness.verdicts(trust)[2]
    assert (verdict.outcome, verdict.sentence) == (NOT_APPLICABLE, randomised.MODEL_WITHOUT_WEIGHTS)
    assert outcomes(trust)["Deletion"] == PASSED
    assert len(faithfulness.randomisation_frame(trust)) == 0


# What is told


def test_grid_too_coarse_is_told():
    assert faithfulness.grid_verdict((3, 3)).outcome == FAILED
    assert "too coarse to tell eyes from mouth" in faithfulness.grid_verdict((7, 4)).sentence
    assert faithfulness.grid_verdict((5, 5)).outcome == PASSED
    apart = FRAME["mouth_left"][1] - FRAME["left_eye"][1]
    assert np.ceil(2 / apart) == faithfulness.MIN_GRID  # two rows apart, so that one lies between
    assert faithfulness.grid_words((5, 5)) == "5 × 5, fine enough"
    assert faithfulness.grid_words((3, 7)) == "3 × 7, too coarse"


def test_tables_hold_what_the_strip_says(classifier, picture):
    trust = faithfulness.trust(classifier, picture, edges(None, picture[None]), edges)
    found = faithfulness.verdicts(trust)
    assert faithfulness.verdict_frame(found)["check"].tolist() == [verdict.name for verdict in found]
    curves = faithfulness.curve_frame(trust)
    assert curves["curve"].value_counts().to_dict() == dict.fromkeys(("deletion", "insertion"), faithfulness.STEPS + 1)
    assert (curves["low"] <= curves["random"]).all()
    first = curves.iloc[0]
    assert first["map"] == pytest.approx(classifier.predict_proba(picture[None])[0, 1], abs=1e-5)
    cascade = faithfulness.randomisation_frame(trust)
    assert cascade["randomised"].tolist() == [share for share, _ in randomised.COPIES]


@pytest.mark.parametrize(
    "call",
    [
        lambda image: faithfulness.trust(ReadsRegion(), image, as_map(np.zeros((5, 5)))),
        lambda image: faithfulness.pixel_curves(ReadsRegion(), image[None], region_map()[None], [1], fill="noise"),
        lambda image: faithfulness.pixel_curves(ReadsRegion(), image[None], region_map()[None], [1], steps=0),
    ],
)
def test_bad_arguments_are_refused(picture, call):
    with pytest.raises(ConfigError):
        call(picture)


@pytest.mark.slow
def test_eight_threads_get_the_answers_of_one(keras):
    """As eight sessions do: one network, its maps, its checks and its probabilities, all shared."""
    from fer_core.inference import Predictor
    from fer_core.models.registry import NetworkClassifier, build_network

    model = Predictor(NetworkClassifier(build_network("compact", arguments=NARROW)))
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    work = [(image, method) for image in images for method in ("grad_cam", "smoothgrad")]

    def answer(image, method):
        found = saliency.explain(model, image[None], 3, method)
        trust = faithfulness.trust(model, image, found)
        cascade = trust.randomisation.spearman
        return [model.predict_proba(image[None]), found.values, trust.deletion.random, trust.insertion.found, cascade,
                trust.shifts, trust.seeds]  # fmt: skip

    expected, found = [answer(*item) for item in work], {}

    def session(number):
        for step in range(len(work)):
            place = (number + step) % len(work)
            found[number, place] = answer(*work[place])

    threads = [threading.Thread(target=session, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 * len(work)
    for (_, place), answers in found.items():
        for own, alone in zip(answers, expected[place], strict=True):
            assert np.allclose(own, alone, atol=1e-4, equal_nan=True)
    assert randomised.kept_parameters() <= randomised.MAX_PARAMETERS
