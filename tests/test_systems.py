"""Every system of the papers is built, gives probabilities, learns and survives a round trip; ImageNet weights load."""

import json

import numpy as np
import pytest

from fer_core import caches
from fer_core.datasets import synthetic
from fer_core.errors import ModelError
from fer_core.models.specs import MODELS, spec
from fer_core.training.run import recipe

PAPERS = [name for name, entry in MODELS.items() if entry["family"] == "network" and entry.get("paper")]
# Small pictures keep the tests fast; networks that end in a global pooling are the same at any size.
SIDE = 48
KERAS_CLASSES = {"vgg16": "VGG16", "resnet50": "ResNet50", "mobilenetv2": "MobileNetV2", "xception": "Xception"}


def architecture(name: str) -> str:
    return json.dumps([spec(name)["builder"], spec(name)["arguments"], spec(name)["channels"]], sort_keys=True)


ARCHITECTURES = {architecture(name): name for name in PAPERS}


def slow_if_deep(names):
    """Building the deep ones takes several seconds."""
    deep = ("resnet50", "xception", "mobilenetv2", "vgg16", "patil")
    return [pytest.param(name, marks=pytest.mark.slow if name.startswith(deep) else ()) for name in names]


@pytest.mark.parametrize("name", slow_if_deep(ARCHITECTURES.values()))
def test_gives_probabilities_learns_and_comes_back(name, tmp_path):
    import keras

    from fer_core.models.registry import build_network
    from fer_core.models.weights import half_precision, load_weights, save_weights

    side = max(SIDE, 71) if spec(name)["arguments"].get("backbone") == "xception" else SIDE
    network = build_network(name, input_size=side, num_classes=7)
    channels = spec(name)["channels"]
    pixels = np.random.default_rng(0).uniform(0, 255, (4, side, side, channels)).astype(np.float32)
    network.set_weights(half_precision(network.get_weights()))
    before = np.asarray(network(pixels, training=False))
    assert before.shape == (4, 7) and np.isfinite(before).all()
    np.testing.assert_allclose(before.sum(axis=1), 1, atol=1e-4)

    save_weights(network, tmp_path / "weights.npz")
    again = build_network(name, input_size=side, num_classes=7)
    load_weights(again, tmp_path / "weights.npz")
    np.testing.assert_allclose(np.asarray(again(pixels, training=False)), before, atol=1e-5)

    network.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    first = network.get_weights()
    assert np.isfinite(network.train_on_batch(pixels, np.array([0, 1, 2, 3])))
    assert any(not np.array_equal(a, b) for a, b in zip(first, network.get_weights(), strict=True))


@pytest.mark.parametrize("name", PAPERS)
def test_names_a_row_of_its_paper_and_a_valid_recipe(name):
    assert spec(name)["paper"] in ("kumar_ukken", "feeling_it", "ugwu_rafdb", "patil_thesis")
    assert spec(name)["system"]
    config = recipe(name)
    if config.initial_weights == "imagenet":
        assert "backbone" in spec(name)["arguments"]


@pytest.mark.slow
def test_parameter_counts_of_keras_own_and_of_ugwus_tables():
    from fer_core.models.registry import build_network

    softmax = {"vgg16": 512, "resnet50": 2048, "mobilenetv2": 1280, "xception": 2048}
    without_top = {"vgg16": 14_714_688, "resnet50": 23_587_712, "mobilenetv2": 2_257_984, "xception": 20_861_480}
    for backbone, width in softmax.items():
        network = build_network(f"{backbone}_frozen")
        assert network.count_params() == without_top[backbone] + 7 * width + 7
    # 128 -> 126 -> 63 -> 61 -> 30: by hand from figure 4
    assert build_network("ugwu_lr_0.001").get_layer("flatten").output.shape == (None, 30 * 30 * 32)
    expected = (27 * 16 + 16) + (144 * 32 + 32) + (28_800 * 128 + 128) + (128 * 7 + 7)
    assert build_network("ugwu_lr_0.001").count_params() == expected
    assert build_network("ugwu_depth_6").get_layer("flatten").output.shape == (None, 512)


@pytest.mark.parametrize(("name", "side"), [("patil_cnn", 15), ("ugwu_lr_0.001", 5)])
def test_pictures_that_are_too_small_are_refused_with_the_size_that_is_not(name, side):
    from fer_core.models.registry import build_network

    own = spec(name)["input_size"]
    with pytest.raises(ModelError, match=rf"{name} cannot take pictures of {side} x {side}.*its own is {own}"):
        build_network(name, input_size=side)


def test_vgg16_with_batch_norm_normalises_after_each_convolution():
    from fer_core.models.registry import build_network

    kinds = [type(layer).__name__ for layer in build_network("vgg16_bn_dropout", input_size=48).layers]
    after = [kinds[index + 1] for index, kind in enumerate(kinds) if kind == "Conv2D"]
    assert after == ["BatchNormalization"] * 13 and kinds[-3:] == ["GlobalAveragePooling2D", "Dropout", "Dense"]


@pytest.mark.parametrize(("order", "expected"), [("bn_noise", ["bn", "noise"]), ("noise_bn", ["noise", "bn"])])
def test_order_of_noise_and_normalisation_can_be_chosen(order, expected):
    from fer_core.models.backbones import backbone_classifier

    settings = {"backbone": "mobilenetv2", "input_norm": True, "noise": 0.1, "noise_order": order}
    network = backbone_classifier(input_size=48, channels=3, num_classes=7, **settings)
    names = [layer.name for layer in network.layers if layer.name in ("input_bn", "input_noise")]
    assert names == [f"input_{step}" for step in expected]
    pixels = np.full((2, 48, 48, 3), 100, np.float32)
    quiet = np.asarray(network(pixels, training=False))
    np.testing.assert_array_equal(quiet, np.asarray(network(pixels, training=False)))


def test_noise_has_the_deviation_asked_for_in_pixels():
    import keras

    from fer_core.models.registry import build_network

    network = build_network("vgg16_finetuned_noise", input_size=48)
    noisy = keras.Model(network.get_layer("input_unit").input, network.get_layer("input_pixels").output)
    pixels = np.full((4, 48, 48, 3), 50, np.float32)
    deviation = np.asarray(noisy(pixels, training=True)).std()
    assert deviation == pytest.approx(0.1 * 64, rel=0.05)
    np.testing.assert_allclose(np.asarray(noisy(pixels, training=False)), pixels, rtol=1e-5)
    seen = keras.Model(network.input, network.get_layer("input_bn").output)
    faces = np.random.default_rng(0).uniform(0, 255, (16, 48, 48, 3)).astype(np.float32)
    signal = np.asarray(seen(faces, training=True))
    assert signal.std() == pytest.approx(64, rel=0.05), "the noise is a tenth of what it is added to"


@pytest.mark.parametrize("size", [48, 80])
def test_mobilenet_is_trained_on_the_grid_that_it_is_served_on(size):
    """Its stride-2 blocks pad odd sides differently where the size is not known."""
    from fer_core.errors import ConfigError
    from fer_core.models.registry import build_network
    from fer_core.training.engine import _check_sizes, _training_network
    from fer_core.training.run import recipe

    change = {"initial_weights": "random", "trainable_layers": -1, "input_size": size}
    trained = _training_network("mobilenetv2_finetuned", 7, recipe("mobilenetv2_finetuned", change))
    served = build_network("mobilenetv2_finetuned", input_size=size)
    assert trained.get_layer("pool").input.shape == served.get_layer("pool").input.shape
    with pytest.raises(ConfigError, match="one size only"):
        _check_sizes(
            "mobilenetv2_finetuned", recipe("mobilenetv2_finetuned", change | {"sizes": [[32, 10], [size, 10]]})
        )


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("patil_cnn", {"trainable_layers": 0}, "no backbone"),
        ("compact", {"initial_weights": "imagenet"}, "no backbone"),
        ("vgg16_frozen", {"initial_weights": "random"}, "drawn at random.*trainable_layers is 0"),
        ("vgg16_finetuned", {"initial_weights": "random"}, "drawn at random.*trainable_layers is 6"),
    ],
)
def test_layers_are_only_kept_as_they_are_where_they_have_learned_something(name, change, said, drawn, tmp_path):
    from fer_core.errors import ConfigError
    from fer_core.training import run as training

    config = training.recipe(name, {"sizes": [], "augmentation": "none"} | change)
    with pytest.raises(ConfigError, match=said):
        training.train(name, drawn, config=config, work_root=tmp_path, root=tmp_path)


def save_random(backbone: str, folder, shift: float = 0.05) -> "object":
    import keras

    source = getattr(keras.applications, KERAS_CLASSES[backbone])
    source = source(include_top=False, weights=None, input_shape=(96, 96, 3), pooling="avg")
    rng = np.random.default_rng(1)
    source.set_weights([value + rng.uniform(0, shift, value.shape) for value in source.get_weights()])
    source.save_weights(folder / f"{backbone}.weights.h5")
    return source


@pytest.mark.parametrize("backbone", slow_if_deep(KERAS_CLASSES))
def test_imagenet_weights_load_from_a_folder_and_see_what_keras_own_sees(backbone, tmp_path, monkeypatch):
    import keras

    from fer_core.models.backbones import load_imagenet
    from fer_core.models.registry import build_network

    source = save_random(backbone, tmp_path)
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    network = build_network(f"{backbone}_frozen", input_size=96)
    load_imagenet(network, backbone)
    colour = np.random.default_rng(2).uniform(0, 255, (2, 96, 96, 3)).astype(np.float32)
    module = {"vgg16": "vgg16", "resnet50": "resnet", "mobilenetv2": "mobilenet_v2", "xception": "xception"}[backbone]
    theirs = source.predict(getattr(keras.applications, module).preprocess_input(colour.copy()), verbose=0)
    ours = keras.Model(network.inputs, network.get_layer("pool").output).predict(colour, verbose=0)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3 * np.abs(theirs).max())


def test_vgg16_with_batch_norm_takes_imagenet_weights_too(tmp_path, monkeypatch):
    from fer_core.models.backbones import load_imagenet
    from fer_core.models.registry import build_network

    source = save_random("vgg16", tmp_path)
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    network = build_network("vgg16_bn_dropout", input_size=48)
    load_imagenet(network, "vgg16")
    kernel, bias = source.get_layer("block5_conv3").get_weights()
    np.testing.assert_array_equal(network.get_layer("block5_conv3").get_weights()[0], kernel)
    np.testing.assert_array_equal(network.get_layer("block5_conv3").get_weights()[1], bias)


def test_a_normalised_input_keeps_the_spread_that_imagenet_weights_expect(tmp_path, monkeypatch):
    from fer_core.models.backbones import load_imagenet
    from fer_core.models.registry import build_network

    save_random("vgg16", tmp_path)
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    network = build_network("vgg16_finetuned", input_size=48)
    load_imagenet(network, "vgg16")
    pixels = np.random.default_rng(0).normal(128, 64, (8, 48, 48, 3)).astype(np.float32)
    normalised = np.asarray(network.get_layer("input_bn")(network.get_layer("scale")(pixels), training=True))
    assert normalised.std() == pytest.approx(64, rel=0.02)  # VGG16's weights expect pixels with only the mean taken off


@pytest.mark.slow
def test_missing_and_damaged_imagenet_weights_name_both_remedies(tmp_path, monkeypatch):
    from fer_core.models.backbones import load_imagenet
    from fer_core.models.registry import build_network

    network = build_network("mobilenetv2_frozen", input_size=48)
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    with pytest.raises(ModelError, match=r"mobilenetv2\.weights\.h5") as raised:
        load_imagenet(network, "mobilenetv2")
    assert "save_weights" in raised.value.remedy and "unset" in raised.value.remedy
    (tmp_path / "mobilenetv2.weights.h5").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="does not hold") as raised:
        load_imagenet(network, "mobilenetv2")
    assert "save_weights" in raised.value.remedy and "unset FER_PRETRAINED_DIR" in raised.value.remedy
    source = save_random("mobilenetv2", tmp_path)
    for layer, index, value, said in (
        ("Conv1", 0, np.nan, "Conv1 has numbers that are not finite"),
        ("block_3_expand_BN", 1, np.inf, "block_3_expand_BN has numbers that are not finite"),
        ("bn_Conv1", 3, -1e-3, "bn_Conv1 has variances below 0"),
    ):
        whole = source.get_layer(layer).get_weights()
        broken = [array.copy() for array in whole]
        broken[index].flat[0] = value
        source.get_layer(layer).set_weights(broken)
        source.save_weights(tmp_path / "mobilenetv2.weights.h5")
        source.get_layer(layer).set_weights(whole)
        with pytest.raises(ModelError, match=rf"weights\.h5 does not hold MobileNetV2's weights: {said}") as raised:
            load_imagenet(network, "mobilenetv2")
        assert "save_weights" in raised.value.remedy and "unset FER_PRETRAINED_DIR" in raised.value.remedy
    monkeypatch.delenv("FER_PRETRAINED_DIR")

    def refuse(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr("keras.applications.MobileNetV2", refuse)
    with pytest.raises(ModelError, match="no route") as raised:
        load_imagenet(network, "mobilenetv2")
    assert "Connect to the network" in raised.value.remedy and "set FER_PRETRAINED_DIR" in raised.value.remedy


@pytest.mark.slow
def test_without_imagenet_weights_it_can_be_trained_from_random_ones_next(drawn, tmp_path, monkeypatch):
    """The refused training leaves nothing in the way."""
    from fer_core import artifacts
    from fer_core.training import run as training

    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path / "nothing"))
    change = {"epochs": 1, "batch_size": 28, "input_size": 32, "precision": "float32"}
    settings = {"work_root": tmp_path / "work", "root": tmp_path / "artifacts"}
    with pytest.raises(ModelError, match="FER_PRETRAINED_DIR"):
        training.train("vgg16_plain", drawn, config=training.recipe("vgg16_plain", change), **settings)
    config = training.recipe("vgg16_plain", change | {"initial_weights": "random"})
    run = artifacts.read_run(training.train("vgg16_plain", drawn, config=config, **settings))
    assert run.run["initial_weights"] == "random"


def test_only_the_last_layers_are_trained():
    from fer_core.models.backbones import freeze
    from fer_core.models.registry import build_network

    network = build_network("vgg16_finetuned", input_size=48)
    freeze(network, 6)
    trained = {layer.name for layer in network.layers if layer.trainable_weights}
    assert trained == {
        "input_bn", "block4_conv3", "block5_conv1", "block5_conv2", "block5_conv3", "head_bn", "probabilities",
    }  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    return synthetic.dataset(n_train=84, n_val=28, n_test=28, size=48, seed=4)


@pytest.mark.slow
def test_the_last_layers_of_a_backbone_are_trained_and_the_others_stay_imagenets(drawn, tmp_path, monkeypatch):
    """Kumar & Ukken's noisy VGG16: last six layers, batch norm and noise on the input, through the whole engine."""
    from fer_core import artifacts
    from fer_core.models.registry import load_classifier
    from fer_core.training import run as training
    from fer_core.verification import verify_run

    source = save_random("vgg16", tmp_path, shift=0.0)
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    config = training.recipe("vgg16_finetuned_noise", {"epochs": 1, "input_size": 32, "precision": "float32"})
    assert config.initial_weights == "imagenet" and config.trainable_layers == 6
    settings = {"config": config, "work_root": tmp_path / "work", "root": tmp_path / "artifacts"}
    run = artifacts.read_run(training.train("vgg16_finetuned_noise", drawn, **settings))
    assert run.run["initial_weights"] == "imagenet"
    classifier = load_classifier(run)
    assert verify_run(run, dataset=drawn, classifier=classifier) == []

    network = classifier.network
    names = [layer.name for layer in network.layers]
    assert names.index("input_bn") < names.index("input_noise") < names.index("block1_conv1")
    moved = set()
    for layer in (layer for layer in source.layers if layer.weights):
        for own, theirs in zip(network.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            turned = theirs[:, :, ::-1] if own.shape[:3] == (3, 3, 3) else theirs  # RGB to BGR
            if not np.array_equal(own, turned.astype(np.float16)):
                moved.add(layer.name)
    assert moved == {"block4_conv3", "block5_conv1", "block5_conv2", "block5_conv3"}
    _, shift, mean, variance = network.get_layer("input_bn").get_weights()
    assert (shift != 0).any() and (mean != 0).all() and (variance != 1).all()


@pytest.mark.slow
def test_head_on_cached_features_equals_the_whole_network(drawn, tmp_path, monkeypatch):
    """What is stored after training on features is what the whole network gives on pictures."""
    from fer_core import artifacts
    from fer_core.models.registry import load_classifier
    from fer_core.training import run as training

    save_random("mobilenetv2", tmp_path)
    monkeypatch.setenv("FER_PRETRAINED_DIR", str(tmp_path))
    changes = {"epochs": 3, "batch_size": 28, "input_size": 48}
    config = training.recipe("mobilenetv2_frozen", changes)
    settings = {"config": config, "work_root": tmp_path / "work", "root": tmp_path / "artifacts"}
    path = training.train("mobilenetv2_frozen", drawn, **settings)
    run = artifacts.read_run(path)
    assert run.run["initial_weights"] == "imagenet" and run.run["spec"]["input_size"] == 48
    assert "--set input_size=48" in run.run["retrain"]
    again = load_classifier(run).predict_proba(drawn["test"].images)
    np.testing.assert_allclose(again, run.predictions("test").pred_probs, atol=2e-3)

    cached = sorted((tmp_path / "work" / "features").glob("*.npy"))
    assert len(cached) == 2
    assert run.run["features_s"] > 0
    spent = run.history()["seconds"].sum() + run.run["features_s"]
    assert run.run["wall_time_s"] == pytest.approx(spent, abs=0.2)
    monkeypatch.setenv("FER_DATA_DIR", str(tmp_path))
    assert list(caches.kept("backbones").files) == sorted((tmp_path / "work" / "features").iterdir())
    times = [file.stat().st_mtime_ns for file in cached]
    training.train("mobilenetv2_frozen", drawn, **settings)
    assert [file.stat().st_mtime_ns for file in cached] == times  # the second training computes none

    whole = [np.load(file) for file in cached]
    cached[0].write_bytes(cached[0].read_bytes()[:200])
    np.save(cached[1], whole[1][1:])
    training.train("mobilenetv2_frozen", drawn, **settings)
    for file, values in zip(cached, whole, strict=True):
        np.testing.assert_array_equal(np.load(file), values)


def test_how_long_features_took_is_kept_beside_them(drawn, tmp_path):
    """A training that goes on after a kill takes them from the cache, and its time is told all the same."""
    import keras

    from fer_core.training import frozen

    changes = {"augmentation": "none", "mixup": 0.0, "sizes": [], "input_size": 16}
    config = recipe("compact", changes | {"arguments": {"width": 8, "stages": [1]}})

    def features_s():
        keras.utils.set_random_seed(0)
        return frozen.head_task("compact", drawn["train"], drawn["val"], config, tmp_path, lambda _: None).features_s

    assert features_s() is not None
    told = sorted(tmp_path.glob("*.json"))
    assert len(told) == 2 and all(json.loads(file.read_text(encoding="utf-8"))["seconds"] > 0 for file in told)
    for file in told:
        file.write_text('{"seconds": 100.0}', encoding="utf-8")
    assert features_s() == 200.0
    told[0].unlink()
    assert features_s() is None, "features that are older than this"


@pytest.mark.slow
def test_features_of_a_frozen_backbone_have_the_precision_asked_for(drawn, tmp_path):
    """``auto`` is float32, whatever the processor; bfloat16 gives nearly the same, kept in files of their own."""
    import keras

    from fer_core.training import frozen
    from fer_core.training import run as training

    seen = {}
    for precision in ("auto", "float32", "mixed_bfloat16"):
        changes = {"initial_weights": "random", "input_size": 48, "precision": precision}
        config = training.recipe("mobilenetv2_frozen", changes)
        keras.utils.set_random_seed(0)
        task = frozen.head_task(
            "mobilenetv2_frozen", drawn["train"], drawn["val"], config, tmp_path / precision, lambda progress: None
        )
        seen[precision] = next(iter(task.seen[0])), sorted(path.name for path in (tmp_path / precision).iterdir())
    np.testing.assert_array_equal(seen["auto"][0], seen["float32"][0])
    assert seen["auto"][1] == seen["float32"][1] and not set(seen["float32"][1]) & set(seen["mixed_bfloat16"][1])
    gap = np.abs(seen["mixed_bfloat16"][0] - seen["float32"][0])
    assert 0 < gap.max() < 0.2 * np.abs(seen["float32"][0]).max()
    assert keras.config.dtype_policy().name == "float32"


def test_frozen_backbones_refuse_what_changes_pictures(drawn, tmp_path):
    from fer_core.errors import ConfigError
    from fer_core.training import run as training

    changes = {"augmentation": {"flip": 0.5}, "input_size": 48}
    config = training.recipe("mobilenetv2_frozen", changes)
    with pytest.raises(ConfigError, match="sees each picture once"):
        training.train("mobilenetv2_frozen", drawn, config=config, work_root=tmp_path, root=tmp_path)


def test_frozen_backbones_refuse_layers_before_them(drawn, tmp_path):
    from fer_core.errors import ConfigError
    from fer_core.training import run as training

    changes = {"trainable_layers": 0, "augmentation": "none", "input_size": 48}
    config = training.recipe("mobilenetv2_finetuned", changes)
    with pytest.raises(ConfigError, match="input_bn before its backbone"):
        training.train("mobilenetv2_finetuned", drawn, config=config, work_root=tmp_path, root=tmp_path)


def test_networks_without_a_backbone_have_no_imagenet_weights(drawn, tmp_path):
    from fer_core.errors import ConfigError
    from fer_core.training import run as training

    config = training.recipe("compact", {"initial_weights": "imagenet", "epochs": 1})
    with pytest.raises(ConfigError, match="no backbone"):
        training.train("compact", drawn, config=config, work_root=tmp_path, root=tmp_path)


@pytest.mark.slow
def test_a_masked_run_is_measured_on_masked_pictures_and_its_weights_give_them_again(drawn, tmp_path, monkeypatch):
    """Kroening et al. train and test with the mask; verifying predicts the masked pictures again."""
    from fer_core import artifacts, masks
    from fer_core.commands.runs import _as_evaluated
    from fer_core.models.registry import load_classifier
    from fer_core.training import run as training
    from fer_core.verification import verify_run

    config = training.recipe("compact", {"epochs": 1, "batch_size": 28, "mask": "mouth", "precision": "float32"})
    path = training.train("compact", drawn, config=config, work_root=tmp_path / "work", root=tmp_path / "artifacts")
    run = artifacts.read_run(path)
    hidden = masks.apply(drawn["test"].images, masks.region_mask("mouth", (48, 48)), "zero")
    classifier = load_classifier(run)
    stored = run.predictions("test").pred_probs
    np.testing.assert_allclose(classifier.predict_proba(hidden), stored, atol=1e-3)
    assert verify_run(run, dataset=_as_evaluated(drawn, run), classifier=classifier) == []
    whole = classifier.predict_proba(drawn["test"].images)
    assert np.abs(whole - stored).max() > 0.01


@pytest.mark.slow
def test_equalised_pictures_reach_the_network_equalised(drawn, tmp_path):
    from fer_core import artifacts
    from fer_core.models.preprocess import equalize
    from fer_core.models.registry import load_classifier
    from fer_core.training import run as training

    changes = {"epochs": 1, "batch_size": 28, "equalize": "hist", "precision": "float32", "tta": "none"}
    config = training.recipe("compact", changes)
    path = training.train("compact", drawn, config=config, work_root=tmp_path / "work", root=tmp_path / "artifacts")
    classifier = load_classifier(artifacts.read_run(path))
    images = drawn["test"].images
    seen = classifier.preprocess(images)[..., 0]
    classifier.equalization = ""
    np.testing.assert_array_equal(seen, classifier.preprocess(equalize(images, "hist"))[..., 0])
    assert not np.array_equal(seen, classifier.preprocess(images)[..., 0])
