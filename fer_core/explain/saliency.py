"""Saliency maps: which pixels the score of a class depends on.

Gradient methods run through tf-keras-vis on a private clone of the network whose output is linear: the gradient of a
saturated softmax vanishes, and the shared network must stay as it is. Clone and tf-keras-vis objects are made once
per network, because a new ``Gradcam`` per call leaks memory, and are used by one thread at a time.
"""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd

from fer_core.errors import ConfigError, ModelError
from fer_core.explain.occlusion import occlusion_map
from fer_core.predictions import Classifier

if TYPE_CHECKING:
    import keras

CHUNK = 64  # pictures per backward pass
MIN_GRID = 5  # a map of fewer cells a side cannot tell eyes from mouth


@dataclass(frozen=True)
class SaliencyMap:
    """Maps of N pictures by one method.

    Attributes:
        values: float32 (N, H, W), 0..1, of the size of the pictures; 0 means no evidence, 1 the strongest of the
            picture. Maps of different pictures or models share no scale.
        raw: float32 (N, h, w) as the method gives it: at the network's input for gradients, at the layer's grid for
            CAMs, at the picture's size for occlusion (there negative where hiding *raises* the probability).
        grid: (h, w), the number of cells the method really resolves.
        layer: the layer explained, or None for methods without one.
        method: name in ``METHODS``.
        class_index: int64 (N,).
    """

    values: np.ndarray
    raw: np.ndarray
    grid: tuple[int, int]
    layer: str | None
    method: str
    class_index: np.ndarray


@dataclass(frozen=True)
class LayerChoice:
    """A layer that a CAM can be taken at, with its grid (rows, columns)."""

    name: str
    grid: tuple[int, int]


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
    clone.set_weights(network.get_weights())
    last = [clone.get_layer(name) for name in outputs]
    logits = [layer.input if isinstance(layer, keras.layers.Softmax) else layer.output for layer in last]
    return keras.Model(list(clone.inputs), logits)  # lists, as tf-keras-vis passes them


class _Explainer:
    """The clone of one network, and tf-keras-vis objects on it."""

    def __init__(self, network: "keras.Model") -> None:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
        from tf_keras_vis.saliency import Saliency

        self.lock = threading.Lock()
        model = linear_clone(network)
        self._saliency = Saliency(model)
        self._cams = {"grad_cam": Gradcam(model), "grad_cam_pp": GradcamPlusPlus(model)}

    def gradients(self, pixels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Largest absolute gradient over the channels: float32 (N, H, W)."""
        with self.lock:
            return np.asarray(self._saliency(_logit(classes), pixels, normalize_map=False), dtype=np.float32)

    def cam(self, kind: str, pixels: np.ndarray, classes: np.ndarray, layer: str) -> np.ndarray:
        """Class activation map at the layer's own grid: float32 (N, h, w)."""
        with self.lock:
            cam = self._cams[kind](
                _logit(classes),
                pixels,
                penultimate_layer=layer,
                seek_penultimate_conv_layer=False,
                expand_cam=False,  # its zoom puts the outer cells' centres on the border; ours keeps them in place
                normalize_cam=False,
            )
        return np.asarray(cam, dtype=np.float32)


def _logit(classes: np.ndarray) -> Callable:
    """Score function: each picture's class score, shifted to zero.

    The shift leaves the gradient alone and keeps Grad-CAM++'s exp(score), a factor per picture, from overflowing.
    """
    import tensorflow as tf

    def score(output):
        picked = tf.gather(output, tf.constant(classes, tf.int32), axis=1, batch_dims=1)
        return picked - tf.stop_gradient(picked)

    return score


_explainers: "weakref.WeakKeyDictionary[keras.Model, _Explainer]" = weakref.WeakKeyDictionary()
_explainers_lock = threading.Lock()


def _explainer(network: "keras.Model") -> _Explainer:
    with _explainers_lock:
        if network not in _explainers:
            _explainers[network] = _Explainer(network)
        return _explainers[network]


def forget(classifier: Classifier) -> None:
    """Drop the clone of this classifier's network; needed after its weights have changed."""
    with _explainers_lock:
        _explainers.pop(getattr(classifier, "network", None), None)


def cam_layers(classifier: Classifier) -> list[LayerChoice]:
    """Layers that a CAM can be taken at, from input to output: convolutions, activations and residual sums.

    Raises:
        ModelError: the classifier has no network.
    """
    import keras

    names = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Activation", "ReLU", "LeakyReLU", "Add")
    kinds = tuple(getattr(keras.layers, name) for name in names)
    found = []
    for layer in _network(classifier, "A layer list").layers:
        shape = getattr(layer.output, "shape", ())
        if isinstance(layer, kinds) and len(shape) == 4 and None not in shape[1:3]:
            found.append(LayerChoice(layer.name, tuple(shape[1:3])))
    return found


def default_layer(classifier: Classifier, min_grid: int = MIN_GRID) -> LayerChoice:
    """The last layer whose grid has at least ``min_grid`` rows and columns; else the last of the largest grid.

    On a small input the last layers have collapsed (VGG16 at 48 x 48 ends at 3 x 3), so their maps say nothing
    about places.

    Raises:
        ModelError: the network has no spatial layer.
    """
    choices = cam_layers(classifier)
    if not choices:
        raise ModelError(
            "The network has no convolution to take a CAM at.", "Choose gradient, smoothgrad or occlusion."
        )
    fine = [choice for choice in choices if min(choice.grid) >= min_grid]
    largest = max(min(choice.grid) for choice in choices)
    return (fine or [choice for choice in choices if min(choice.grid) == largest])[-1]


def _network(classifier: Classifier, what: str) -> "keras.Model":
    network = getattr(classifier, "network", None)
    if network is None or not hasattr(classifier, "preprocess"):
        raise ModelError(
            f"{what} needs the layers of a neural network, and this model has none.",
            "Choose the method 'occlusion': it works for every model.",
        )
    return network


def _in_chunks(function: Callable[[slice], np.ndarray], n: int) -> np.ndarray:
    return np.concatenate([function(slice(start, start + CHUNK)) for start in range(0, n, CHUNK)])


def _gradient(classifier, images, classes, layer):
    """Absolute gradient of the class score (Simonyan, Vedaldi & Zisserman 2014, section 3.1)."""
    explainer, pixels = _explainer(classifier.network), classifier.preprocess(images)
    maps = _in_chunks(lambda part: explainer.gradients(pixels[part], classes[part]), len(pixels))
    return maps, maps.shape[1:], None


def _smoothgrad(classifier, images, classes, layer, samples: int = 20, noise: float = 0.15, seed: int = 0):
    """Mean absolute gradient over noisy copies (Smilkov et al. 2017, section 3).

    ``noise`` is the standard deviation as a share of the picture's range. Every picture gets the same draws, so its map
    does not depend on its neighbours; tf-keras-vis itself draws unseeded.
    """
    if samples < 1 or noise < 0:
        raise ConfigError(f"samples must be positive and noise not negative. Received {samples} and {noise}.")
    explainer, pixels = _explainer(classifier.network), classifier.preprocess(images)
    rng = np.random.default_rng(seed)
    spread = noise * np.ptp(pixels, axis=(1, 2, 3), keepdims=True)
    total = np.zeros(pixels.shape[:3], np.float32)
    for _ in range(samples):
        noisy = pixels + spread * rng.standard_normal(pixels.shape[1:], dtype=np.float32)
        total += _in_chunks(lambda part, noisy=noisy: explainer.gradients(noisy[part], classes[part]), len(pixels))
    return total / samples, total.shape[1:], None


def _cam(kind: str) -> Callable:
    def function(classifier, images, classes, layer):
        names = [choice.name for choice in cam_layers(classifier)]
        if layer is not None and layer not in names:
            raise ConfigError(f"Unknown layer {layer!r}.", f"Expected one of {', '.join(names)}.")
        layer = layer or default_layer(classifier).name
        explainer, pixels = _explainer(classifier.network), classifier.preprocess(images)
        maps = _in_chunks(lambda part: explainer.cam(kind, pixels[part], classes[part], layer), len(pixels))
        return maps, maps.shape[1:], layer

    return function


def _occlusion(classifier, images, classes, layer, **options):
    maps, grid = occlusion_map(classifier, images, classes, **options)
    return maps, grid, None


@dataclass(frozen=True)
class Method:
    """A saliency method.

    Attributes:
        title: for people.
        function: (classifier, images, classes, layer, **options) -> (raw maps, grid, layer).
        about: one sentence on what the map shows.
        needs_network: whether it needs gradients; the others work for every classifier.
        takes_layer: whether a layer can be chosen.
        cap: percentile of the raw map shown as 1. Gradients have a few huge pixels that would leave the rest black
            (Smilkov et al. 2017, section 3.1, cap at the 99th).
    """

    title: str
    function: Callable
    about: str
    needs_network: bool = True
    takes_layer: bool = False
    cap: float = 100.0


METHODS: dict[str, Method] = {
    "grad_cam": Method(
        "Grad-CAM",
        _cam("grad_cam"),
        "Feature maps of a layer, each weighted by the mean gradient of the class score (Selvaraju et al. 2017).",
        takes_layer=True,
    ),
    "grad_cam_pp": Method(
        "Grad-CAM++",
        _cam("grad_cam_pp"),
        "Grad-CAM with weights per pixel, better where several places count (Chattopadhay et al. 2018).",
        takes_layer=True,
    ),
    "gradient": Method(
        "Vanilla gradient",
        _gradient,
        "How strongly the class score reacts to each pixel (Simonyan et al. 2014).",
        cap=99.0,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        _smoothgrad,
        "The gradient averaged over noisy copies of the picture (Smilkov et al. 2017).",
        cap=99.0,
    ),
    "occlusion": Method(
        "Occlusion",
        _occlusion,
        "How far the class's probability falls when a patch hides each place (Zeiler & Fergus 2014); for every model.",
        needs_network=False,
    ),
}


def explain(
    classifier: Classifier,
    images: np.ndarray,
    class_index: int | np.ndarray,
    method: str = "grad_cam",
    layer: str | None = None,
    **options,
) -> SaliencyMap:
    """Explain the score of a class for each picture. Pictures and model stay as they are.

    Args:
        classifier: any; gradient methods need ``.network`` (flat functional Keras model) and ``.preprocess``.
        images: uint8 (N, H, W) or (N, H, W, 3).
        class_index: one class for all pictures, or int (N,).
        method: name in ``METHODS``.
        layer: for CAMs; default :func:`default_layer`.
        **options: ``samples``, ``noise``, ``seed`` of smoothgrad; ``patch``, ``stride``, ``fill`` of occlusion.

    Raises:
        ConfigError: unknown method, layer or class.
        ModelError: the method needs gradients and the classifier has none, or the pictures have another shape.
    """
    if method not in METHODS:
        raise ConfigError(f"Unknown method {method!r}.", f"Expected one of {', '.join(METHODS)}.")
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) == 0:
        raise ModelError(
            f"Expected uint8 pictures (N, H, W) or (N, H, W, 3), N > 0. Received {images.dtype} {images.shape}."
        )
    classes = np.broadcast_to(np.asarray(class_index, dtype=np.int64), (len(images),))
    if classes.min() < 0 or classes.max() >= len(classifier.class_names):
        raise ConfigError(f"class_index must lie in 0..{len(classifier.class_names) - 1}. Received {class_index}.")
    chosen = METHODS[method]
    if chosen.needs_network:
        _network(classifier, chosen.title)
    raw, grid, used = chosen.function(classifier, images, classes, layer, **options)
    values = _scaled(_resized(raw, images.shape[1:3]), chosen.cap)
    return SaliencyMap(values, raw, tuple(grid), used, method, classes.copy())


def map_frame(found: SaliencyMap) -> pd.DataFrame:
    """The first picture's map as a table: row, column, value, from top left to bottom right."""
    rows, columns = np.indices(found.values.shape[1:])
    return pd.DataFrame({"row": rows.ravel(), "column": columns.ravel(), "value": found.values[0].ravel()})


def _resized(maps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear, cell centres in place: (N, h, w) -> (N, *shape)."""
    if maps.shape[1:] == tuple(shape):
        return maps
    return np.stack([cv2.resize(one, tuple(shape)[::-1], interpolation=cv2.INTER_LINEAR) for one in maps])


def _scaled(maps: np.ndarray, cap: float) -> np.ndarray:
    """Positive part as a share of its ``cap`` percentile: 0..1. A map without positive values stays zero."""
    positive = np.maximum(maps, 0)
    top = np.percentile(positive, cap, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, positive.max(axis=(1, 2), keepdims=True))
    return np.clip(np.divide(positive, top, out=np.zeros_like(positive), where=top > 0), 0, 1).astype(np.float32)
