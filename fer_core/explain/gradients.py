"""Gradients of class scores, and maps made of them: compiled once per network, in bounded batches, from any thread.

Everything runs on a private float32 clone of the network whose output is linear: the gradient of a saturated softmax
vanishes, and the shared network must stay as it is. Graphs take any number of pictures, so calling again adds none.
"""

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ConfigError, ModelError
from fer_core.explain.cams import CAMS
from fer_core.explain.placement import placement, shares
from fer_core.inference import fold_batch_normalization
from fer_core.predictions import Classifier

if TYPE_CHECKING:
    import keras

CHUNK = 64  # pictures per backward pass
CHUNK_PIXELS = 2**18  # and pixels of the network's input, which keep all their activations: at 224 x 224 five pictures
MIN_GRID = 5  # a map of fewer cells a side cannot tell eyes from mouth
MOST_GRAPHS = 24  # per network; the oldest goes when a layer or method more is asked for
EVERYWHERE = "Choose occlusion, lime or kernel_shap: they work for every model."
BASELINES = ("black", "mean")


@dataclass(frozen=True)
class LayerChoice:
    """A layer that a CAM can be taken at, with its grid (rows, columns)."""

    name: str
    grid: tuple[int, int]


def network_of(classifier: Classifier, what: str, remedy: str = EVERYWHERE) -> "keras.Model":
    """The network that ``what`` needs.

    Raises:
        ModelError: the classifier has none, or one that is no functional model.
    """
    network = getattr(classifier, "network", None)
    if network is None or not hasattr(classifier, "preprocess"):
        raise ModelError(f"{what} needs the layers of a neural network, and this model has none.", remedy)
    if not hasattr(network, "output_names"):
        raise ModelError(f"{what} needs keras.Model(inputs, outputs). Received a {type(network).__name__} model.")
    return network


def cam_layers(classifier: Classifier) -> list[LayerChoice]:
    """Layers that a CAM can be taken at, from input to output: convolutions, activations and residual sums.

    Raises:
        ModelError: the classifier has no network.
    """
    import keras

    names = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Activation", "ReLU", "LeakyReLU", "Add")
    kinds = tuple(getattr(keras.layers, name) for name in names)
    found = []
    for layer in network_of(classifier, "A layer list").layers:
        shape = getattr(layer.output, "shape", ())
        if isinstance(layer, kinds) and len(shape) == 4 and None not in shape[1:3]:
            found.append(LayerChoice(layer.name, tuple(shape[1:3])))
    return found


def default_layer(classifier: Classifier, min_grid: int = MIN_GRID) -> LayerChoice:
    """The last layer whose grid has at least ``min_grid`` rows and columns; else the last of the largest grid.

    On a small input the last layers have collapsed (VGG16 at 48 x 48 ends at 3 x 3), so their maps say nothing
    about places. A linear convolution that a batch normalisation follows is taken only where there is nothing else:
    its channels have neither the scale nor the zero that the rest of the network sees.

    Raises:
        ModelError: the network has no spatial layer.
    """
    choices = cam_layers(classifier)
    network = classifier.network
    if not choices:
        nested = ", ".join(layer.name for layer in network.layers if hasattr(layer, "layers"))
        outside = f" outside of {nested}" if nested else ""
        raise ModelError(f"The network has no convolution to take a CAM at{outside}.", "Choose gradient or occlusion.")
    choices = [choice for choice in choices if not _normalised_next(network, choice.name)] or choices
    fine = [choice for choice in choices if min(choice.grid) >= min_grid]
    largest = max(min(choice.grid) for choice in choices)
    return (fine or [choice for choice in choices if min(choice.grid) == largest])[-1]


def _normalised_next(network: "keras.Model", name: str) -> bool:
    """Whether a layer is a linear convolution and nothing but batch normalisation takes its output."""
    import keras

    layer, own = network.get_layer(name), {id(one) for one in network.layers}
    if getattr(layer, "activation", None) is not keras.activations.linear or not hasattr(layer, "kernel_size"):
        return False
    after = [node.operation for node in layer._outbound_nodes if id(node.operation) in own]
    return bool(after) and all(isinstance(one, keras.layers.BatchNormalization) for one in after)


def is_earlier(layers: Sequence[LayerChoice], name: str) -> bool:
    """Whether layer ``name`` has a finer grid than the last of ``layers``: there Grad-CAM is often empty."""
    return {choice.name: choice.grid for choice in layers}[name] != layers[-1].grid


def linear_clone(network: "keras.Model") -> "keras.Model":
    """A float32 copy of ``network`` with its own weights, and logits instead of probabilities."""
    import keras

    outputs = network.output_names

    def convert(layer):
        config = layer.get_config() | {"dtype": "float32"}
        if layer.name in outputs and "activation" in config:
            config["activation"] = "linear"
        return type(layer).from_config(config)

    clone = keras.models.clone_model(network, clone_function=convert)
    copy_weights(clone, network)
    last = [clone.get_layer(name) for name in outputs]
    logits = [layer.input if isinstance(layer, keras.layers.Softmax) else layer.output for layer in last]
    return keras.Model(list(clone.inputs), logits)


def copy_weights(clone: "keras.Model", network: "keras.Model") -> None:
    """Give a :func:`linear_clone` the weights of ``network``, layer by layer: it may lack layers without weights."""
    for layer in clone.layers:
        if layer.weights:  # names of inputs may differ
            layer.set_weights(network.get_layer(layer.name).get_weights())


class Explainer:
    """Compiled graphs on the clone of one network.

    Batch normalisation is folded into the convolutions before it, which are then explained with what they had after
    it; so a convolution that was folded is explained on a clone that is not.
    """

    def __init__(self, network: "keras.Model") -> None:
        _need_tensorflow()
        self._network = weakref.ref(network)
        self._folded = fold_batch_normalization(linear_clone(network))
        self._whole: keras.Model | None = None
        self._graphs: dict[tuple[str, str | None], Callable] = {}
        self._lock = threading.RLock()  # one pass at a time bounds the memory of many sessions

    @property
    def model(self) -> "keras.Model":
        """The private clone: pixels -> logits."""
        return self._folded

    def chunk(self) -> int:
        """How many pictures go through one backward pass."""
        height, width = (side or 48 for side in self._folded.inputs[0].shape[1:3])
        return int(np.clip(CHUNK_PIXELS // (height * width), 1, CHUNK))

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Scores before the softmax: float32 (N, H, W, C) -> float32 (N, K)."""
        return self._chunked(self._graph("logits"), len(pixels), pixels)

    def gradients(self, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Gradient of each picture's class score in its pixels: float32 (N, H, W, C), signed."""
        return self._chunked(self._graph("gradient"), len(pixels), pixels, classes.astype(np.int32))

    def cam(self, kind: str, pixels: np.ndarray, classes: np.ndarray, layer: str) -> np.ndarray:
        """Class activation map of ``CAMS`` at the layer's own grid: float32 (N, h, w), not negative."""
        return self._chunked(self._graph(kind, layer), len(pixels), pixels, classes.astype(np.int32))

    def score_cam(self, pixels: np.ndarray, classes: np.ndarray, layer: str, channels: int) -> np.ndarray:
        """Score-CAM of the ``channels`` channels that vary most: float32 (N, h, w), not negative."""
        graph = self._graph("score_cam", layer)
        step = max(1, self.chunk() // channels)
        return self._chunked(
            lambda part, targets: graph(part, targets, np.int32(channels)), step, pixels, classes.astype(np.int32)
        )

    def made(self, name: str, make: Callable[["keras.Model"], Callable]) -> Callable:
        """A graph of somebody else's on the clone, made on first use and kept under ``name``."""
        return self._kept((name, None), lambda: make(self._folded))

    def run(self, graph: Callable, *arrays: np.ndarray):
        """Call a graph when no other pass runs on this network."""
        with self._lock:
            return graph(*arrays)

    def _chunked(self, graph: Callable, step: int, *arrays: np.ndarray) -> np.ndarray:
        step = min(max(step, 1), self.chunk())
        parts = []
        for start in range(0, len(arrays[0]), step):
            parts.append(np.asarray(self.run(graph, *(array[start : start + step] for array in arrays))))
        return np.concatenate(parts)

    def _graph(self, kind: str, layer: str | None = None) -> Callable:
        return self._kept((kind, layer), lambda: _compiled(kind, self._model_with(layer), layer))

    def _kept(self, key: tuple[str, str | None], make: Callable[[], Callable]) -> Callable:
        with self._lock:
            if key not in self._graphs:
                while len(self._graphs) >= MOST_GRAPHS:
                    self._graphs.pop(next(iter(self._graphs)))
                self._graphs[key] = make()
            return self._graphs[key]

    def _model_with(self, layer: str | None) -> "keras.Model":
        """A clone in which ``layer`` gives what it gives in the network."""
        network = self._network()
        if layer is None or network is None or not _may_be_folded(network.get_layer(layer)):
            return self._folded
        if self._whole is None:
            self._whole = linear_clone(network)
        return self._whole


def _need_tensorflow() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ModelError(
            f"Gradients need Keras' TensorFlow backend, and it runs on {keras.backend.backend()}.",
            "Set KERAS_BACKEND=tensorflow and start again.",
        )


def _may_be_folded(layer: "keras.Layer") -> bool:
    import keras

    return type(layer) is keras.layers.Conv2D and layer.activation is keras.activations.linear


def _compiled(kind: str, model: "keras.Model", layer: str | None) -> Callable:
    """The graph of ``kind`` for any number of pictures; it keeps the model alive, whose variables it knows weakly."""
    import keras
    import tensorflow as tf

    pixels = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32)
    classes = tf.TensorSpec((None,), tf.int32)
    if kind == "logits":
        return compiled(lambda x: only(model(x, training=False)), [pixels], model)
    if kind == "gradient":
        return compiled(lambda x, k: _pixel_gradient(model, x, k), [pixels, classes], model)
    both = keras.Model(model.inputs, [model.get_layer(layer).output, only(model.outputs)])
    if kind == "score_cam":
        ways = shares(both.outputs[0].shape[1:3], model.inputs[0].shape[1:3], placement(model, layer))
        function = lambda x, k, n: _score_cam_graph(both, x, k, n, *ways)  # noqa: E731
        return compiled(function, [pixels, classes, tf.TensorSpec((), tf.int32)], both)
    return compiled(lambda x, k: CAMS[kind](*_layer_gradient(both, x, k)), [pixels, classes], both)


def compiled(function: Callable, signature: list, model: "keras.Model") -> Callable:
    """``function`` as one concrete graph of ``signature``; arrays in, arrays out."""
    import tensorflow as tf

    graph = tf.function(function, input_signature=signature, autograph=False).get_concrete_function()

    def call(*arrays):
        return graph(*(tf.constant(array, spec.dtype) for array, spec in zip(arrays, signature, strict=True)))

    call.model = model
    return call


def only(outputs):
    """The one output of a model, whatever its form."""
    return outputs[0] if isinstance(outputs, list | tuple) else outputs


def class_scores(logits, classes):
    """The score of each picture's class: tensor (N,)."""
    import tensorflow as tf

    return tf.reduce_sum(logits * tf.one_hot(classes, tf.shape(logits)[1]), axis=1)


def _pixel_gradient(model, pixels, classes):
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pixels)
        scores = class_scores(only(model(pixels, training=False)), classes)
    return tape.gradient(scores, pixels, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _layer_gradient(both, pixels, classes):
    """Feature maps of a layer, and the gradient of the class score in them: tensors (N, h, w, channels)."""
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pixels)
        features, logits = both(pixels, training=False)
        scores = class_scores(logits, classes)
    return features, tape.gradient(scores, features, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _score_cam_graph(both, pixels, classes, channels, down, across):
    """Feature maps weighted by the probability of the picture seen through them alone (Wang et al. 2020, algorithm 1).

    A picture is seen through a feature map scaled to 0..1; one that is the same everywhere shows nothing of it. The
    least weight, that of a black picture among them, is taken off all: their softmax cancels such constants. Black
    alone, as in their definition 3, would empty the maps of the class that a network takes black for. ``down`` and
    ``across``: see :func:`fer_core.explain.placement.shares`.
    """
    import tensorflow as tf

    features, _ = both(pixels, training=False)
    channels = tf.minimum(channels, tf.shape(features)[-1])
    chosen = tf.math.top_k(tf.math.reduce_std(features, axis=(1, 2)), channels).indices
    features = tf.gather(features, chosen, axis=3, batch_dims=1)
    windows = tf.einsum("yh,nhwc,xw->nyxc", down, features, across)
    low = tf.reduce_min(windows, axis=(1, 2), keepdims=True)
    windows = tf.math.divide_no_nan(windows - low, tf.reduce_max(windows, axis=(1, 2), keepdims=True) - low)
    seen = pixels[:, None] * tf.transpose(windows, (0, 3, 1, 2))[..., None]
    seen = tf.reshape(seen, tf.concat([[-1], tf.shape(pixels)[1:]], 0))
    shown = tf.concat([seen, tf.zeros_like(pixels[:1])], axis=0)
    probabilities = tf.nn.softmax(both(shown, training=False)[1])
    black = tf.gather(probabilities[-1], classes)[:, None]
    through = tf.reshape(class_scores(probabilities[:-1], tf.repeat(classes, channels)), (-1, channels))
    weights = through - tf.minimum(tf.reduce_min(through, axis=1, keepdims=True), black)
    return tf.nn.relu(tf.reduce_sum(features * weights[:, None, None, :], axis=-1))


_explainers: "weakref.WeakKeyDictionary[keras.Model, Explainer]" = weakref.WeakKeyDictionary()
_explainers_lock = threading.Lock()


def explainer(network: "keras.Model") -> Explainer:
    """The explainer of ``network``, made on first use; it goes when the network does."""
    with _explainers_lock:
        if network not in _explainers:
            _explainers[network] = Explainer(network)
        return _explainers[network]


def explain_by(network: "keras.Model", found: Explainer) -> None:
    """Let :func:`explainer` give ``found`` for ``network`` if it has none yet; ``found`` must not keep it alive."""
    with _explainers_lock:
        _explainers.setdefault(network, found)


def forget(classifier: Classifier) -> None:
    """Drop the clone of this classifier's network; needed after its weights have changed."""
    with _explainers_lock:
        _explainers.pop(getattr(classifier, "network", None), None)


def _averaged(found: Explainer, classes: np.ndarray, copies: int, draw: Callable, reduce: Callable) -> np.ndarray:
    """Mean over ``copies`` of each picture, many pictures' copies in one pass.

    Args:
        draw: (pictures (B,), copies (B,)) -> pixels float32 (B, H, W, C).
        reduce: gradients (B, H, W, C) -> what is averaged, (B, ...).
    """
    step, n = found.chunk(), len(classes)
    sums: list = [0.0] * n
    for start in range(0, n * copies, step):
        picture, copy = np.divmod(np.arange(start, min(start + step, n * copies)), copies)
        parts = reduce(found.gradients(draw(picture, copy), classes[picture]))
        for place, part in zip(picture, parts, strict=True):
            sums[place] = sums[place] + part
    return np.stack(sums) / np.float32(copies)


def _strength(gradients: np.ndarray) -> np.ndarray:
    """Largest absolute value over the channels: (N, H, W, C) -> (N, H, W)."""
    return np.abs(gradients).max(axis=-1)


def gradient(classifier, images, classes, layer):
    """Absolute gradient of the class score (Simonyan, Vedaldi & Zisserman 2014, section 3.1)."""
    maps = _strength(explainer(classifier.network).gradients(classifier.preprocess(images), classes))
    return maps, maps.shape[1:], None


def smoothgrad(
    classifier,
    images,
    classes,
    layer,
    *,
    samples: int = 20,
    noise: float = 0.15,
    seed: int = 0,
    signed: bool = False,
):
    """Mean gradient over noisy copies (Smilkov et al. 2017, section 3).

    Every picture gets the same draws, so its map does not depend on its neighbours.

    Args:
        samples: how many copies.
        noise: its standard deviation as a share of the picture's range.
        seed: of the noise.
        signed: average the gradients as they are and take the size of the mean, as the paper's equation does, so that
            gradients of both signs cancel. Otherwise the mean of their sizes is taken, as tf-keras-vis does.
    """
    if samples < 1 or noise < 0:
        raise ConfigError(f"samples must be positive and noise not negative. Received {samples} and {noise}.")
    pixels = classifier.preprocess(images)
    spread = noise * np.ptp(pixels, axis=(1, 2, 3), keepdims=True)
    draws = np.random.default_rng(seed).standard_normal((samples, *pixels.shape[1:]), dtype=np.float32)

    def draw(picture, copy):
        return pixels[picture] + spread[picture] * draws[copy]

    found = explainer(classifier.network)
    if signed:
        maps = _strength(_averaged(found, classes, samples, draw, lambda gradients: gradients))
    else:
        maps = _averaged(found, classes, samples, draw, _strength)
    return maps, maps.shape[1:], None


def integrated_gradients(classifier, images, classes, layer, *, steps: int = 64, baseline: str = "black"):
    """Mean gradient on the way from a baseline to the picture, times the way (Sundararajan et al. 2017, equation 1).

    The mean is taken in the middle of ``steps`` equal parts. The map is signed, summed over the channels, and adds up
    to the score's difference between picture and baseline, see :func:`completeness_gap`.

    Args:
        baseline: ``black``, or ``mean``: each picture's mean colour.
    """
    if steps < 1:
        raise ConfigError(f"steps must be positive. Received {steps}.")
    pixels = classifier.preprocess(images)
    start = baseline_of(pixels, baseline)
    way = pixels - start
    share = ((np.arange(steps, dtype=np.float32) + 0.5) / steps)[:, None, None, None]

    def draw(picture, copy):
        return start[picture] + share[copy] * way[picture]

    mean = _averaged(explainer(classifier.network), classes, steps, draw, lambda gradients: gradients)
    maps = (way * mean).sum(axis=-1)
    return maps, maps.shape[1:], None


def baseline_of(pixels: np.ndarray, baseline: str) -> np.ndarray:
    """Where integrated gradients start from: float32 like ``pixels`` (N, H, W, C).

    Raises:
        ConfigError: another baseline than those of ``BASELINES``.
    """
    if baseline not in BASELINES:
        raise ConfigError(f"Unknown baseline {baseline!r}.", f"Expected one of {', '.join(BASELINES)}.")
    if baseline == "black":
        return np.zeros_like(pixels)
    return np.broadcast_to(pixels.mean(axis=(1, 2), keepdims=True), pixels.shape).astype(np.float32)


def completeness_gap(
    classifier: Classifier, images: np.ndarray, class_index: int | np.ndarray, raw: np.ndarray, baseline: str = "black"
) -> np.ndarray:
    """How far integrated gradients are from adding up, as a share of what they should add up to: float64 (N,).

    Sum of the map minus (score of the picture - score of the baseline), over the size of that difference
    (Sundararajan et al. 2017, proposition 1). Under 0.05 the steps are fine enough, as the paper asks (section 5).

    Args:
        raw: ``SaliencyMap.raw`` of ``integrated_gradients`` with the same ``baseline``.
    """
    found, pixels = explainer(network_of(classifier, "Completeness")), classifier.preprocess(images)
    picked = np.broadcast_to(np.asarray(class_index), (len(pixels),))
    difference = found.logits(pixels).astype(np.float64) - found.logits(baseline_of(pixels, baseline))
    difference = difference[np.arange(len(pixels)), picked]
    gap = raw.sum(axis=(1, 2), dtype=np.float64) - difference
    return np.divide(gap, np.abs(difference), out=np.zeros_like(gap), where=difference != 0)


def _layer(classifier: Classifier, layer: str | None) -> str:
    names = [choice.name for choice in cam_layers(classifier)]
    if layer is not None and layer not in names:
        raise ConfigError(f"Unknown layer {layer!r}.", f"Expected one of {', '.join(names)}.")
    return layer or default_layer(classifier).name


def cam(kind: str) -> Callable:
    """The method of ``CAMS`` called ``kind``."""

    def function(classifier, images, classes, layer):
        layer = _layer(classifier, layer)
        maps = explainer(classifier.network).cam(kind, classifier.preprocess(images), classes, layer)
        return maps, maps.shape[1:], layer

    return function


def score_cam(classifier, images, classes, layer, *, channels: int = 32):
    """Feature maps weighted by the probability of what they show (Wang et al. 2020).

    Args:
        channels: how many feature maps are tried, those that vary most within the picture.
    """
    if channels < 1:
        raise ConfigError(f"channels must be positive. Received {channels}.")
    layer = _layer(classifier, layer)
    maps = explainer(classifier.network).score_cam(classifier.preprocess(images), classes, layer, channels)
    return maps, maps.shape[1:], layer
