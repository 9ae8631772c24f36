"""Fast answers from a trained classifier: compiled once, in bounded batches, from any number of threads.

Imports TensorFlow only when a ``Predictor`` of a network is made; the module itself loads without.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ModelError
from fer_core.faces import FaceCrop
from fer_core.models.ensemble import Ensemble

if TYPE_CHECKING:
    import keras

    from fer_core.predictions import Classifier

MAX_BATCH = 256
MAX_BATCH_PIXELS = 2**20  # of network input; at 48 x 48 that is MAX_BATCH, at 224 x 224 it is 20 pictures


class Predictor:
    """A :class:`~fer_core.predictions.Classifier` that gives another one's answers sooner.

    A network is compiled once, on creation, with its batch normalisation folded into the convolutions (probabilities
    then agree to 1e-4), and so is every network of an ensemble. A classifier without a network is asked as it is, in
    the same bounded batches. The classifier itself is not changed and may go on being used.

    Attributes:
        classifier: the one that is answered for; of an ensemble, one of its members' predictors.
        class_names: its K classes.
        network: its Keras model, or None.
    """

    def __init__(self, classifier: "Classifier") -> None:
        if isinstance(classifier, Ensemble):
            classifier = Ensemble(
                [Predictor(member) for member in classifier.members],
                classifier.weights,
                classifier.names,
                classifier.class_names,
            )
        self.classifier = classifier
        self.class_names: tuple[str, ...] = tuple(classifier.class_names)
        self.network: keras.Model | None = getattr(classifier, "network", None)
        self.input_size: tuple[int, int] | None = getattr(classifier, "input_size", None)
        self.channels: int | None = getattr(classifier, "channels", None)
        self._forward = compile_network(self.network) if self.network is not None else None

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """What the network sees of ``images``: float32 (N, H, W, C) in 0..255.

        Raises:
            ModelError: the classifier has no such view of its input.
        """
        if not hasattr(self.classifier, "preprocess"):
            raise ModelError("This classifier has no network and takes pictures as they are.")
        return self.classifier.preprocess(images)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities float32 (N, K) of ``images`` uint8 (N, H, W) or (N, H, W, 3) RGB.

        Raises:
            ModelError: another shape or type.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
            raise ModelError(f"Expected uint8 (N, H, W) or (N, H, W, 3). Received {images.dtype} {images.shape}.")
        step = self._batch_size(images)
        answers = [self._answer(images[start : start + step]) for start in range(0, len(images), step)]
        return np.concatenate([np.zeros((0, len(self.class_names)), np.float32), *answers])

    def _answer(self, images: np.ndarray) -> np.ndarray:
        if self._forward is None:
            return np.asarray(self.classifier.predict_proba(images), np.float32)
        from fer_core.models.views import views

        shown = views(self.preprocess(images), getattr(self.classifier, "tta", "none"))
        pixels, step = np.concatenate(shown), self._batch_size(images)
        answers = np.concatenate([self._forward(pixels[at : at + step]) for at in range(0, len(pixels), step)])
        return answers.reshape(len(shown), len(images), -1).mean(axis=0)

    def _batch_size(self, images: np.ndarray) -> int:
        height, width = self.input_size or images.shape[1:3]
        return int(np.clip(MAX_BATCH_PIXELS // max(1, height * width), 1, MAX_BATCH))


def classify(classifier: "Classifier", crops: Sequence[FaceCrop]) -> np.ndarray:
    """Class probabilities float32 (N, K) of faces of one picture or many, each of its own size."""
    probabilities = np.zeros((len(crops), len(classifier.class_names)), np.float32)
    shapes = [crop.image.shape for crop in crops]
    for shape in sorted(set(shapes)):
        where = [index for index, other in enumerate(shapes) if other == shape]
        probabilities[where] = classifier.predict_proba(np.stack([crops[index].image for index in where]))
    return probabilities


def compile_network(network: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    """A function float32 (N, H, W, C) -> probabilities float32 (N, K) that may be called from several threads.

    On Keras' TensorFlow backend it is a compiled graph for any N, on JAX one for each power of two, which batches are
    filled up to; on the others it is a plain call.
    """
    import keras

    if keras.backend.backend() == "jax":
        return _compiled_by_jax(fold_batch_normalization(network))
    if keras.backend.backend() != "tensorflow":
        return lambda pixels: np.asarray(keras.ops.convert_to_numpy(network(pixels, training=False)), np.float32)

    import tensorflow as tf

    folded = fold_batch_normalization(network)
    signature = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)
    graph = tf.function(lambda pixels: folded(pixels, training=False)).get_concrete_function(signature)

    def forward(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(graph(tf.constant(pixels)), np.float32)

    forward.network = folded  # the graph refers to its variables weakly
    forward(np.zeros((1, *(side or 48 for side in network.input_shape[1:])), np.float32))  # builds the kernels
    return forward


def _compiled_by_jax(network: "keras.Model") -> Callable[[np.ndarray], np.ndarray]:
    import jax

    values = [
        [variable.value for variable in part] for part in (network.trainable_variables, network.non_trainable_variables)
    ]

    @jax.jit
    def answers(trainable, rest, pixels):
        return network.stateless_call(trainable, rest, pixels, training=False)[0]

    def forward(pixels: np.ndarray) -> np.ndarray:
        n = len(pixels)
        filled = np.zeros((1 << (n - 1).bit_length(), *pixels.shape[1:]), np.float32)
        filled[:n] = pixels
        return np.asarray(answers(*values, filled), np.float32)[:n]

    return forward


def fold_batch_normalization(network: "keras.Model") -> "keras.Model":
    """A copy of a functional network with each batch normalisation that follows a linear convolution folded into it.

    In inference the normalisation is gamma (x - mean) / sqrt(variance + epsilon) + beta (Ioffe and Szegedy 2015,
    section 3.1), which scales the convolution's kernel and shifts its bias. Other normalisations stay. Networks that
    are not functional are returned as they are.
    """
    import keras

    pairs = _foldable(network)
    if not pairs:
        return network
    norms = {norm.name for norm in pairs.values()}

    def copied(layer):
        if layer.name in norms:
            return keras.layers.Identity(name=layer.name)
        config = layer.get_config()
        if layer.name in pairs:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def called(layer, *args, **kwargs):
        return layer(*args) if layer.name in norms else layer(*args, **kwargs)  # Identity knows no mask

    folded = keras.models.clone_model(network, clone_function=copied, call_function=called)
    take_weights(folded, network)
    return folded


def take_weights(folded: "keras.Model", network: "keras.Model") -> None:
    """Give a copy by :func:`fold_batch_normalization` the weights of ``network``: the one it is of, or another alike.

    Graphs compiled on the copy answer with the new weights. The copy may lack layers without weights.

    Raises:
        ValueError: the networks have not the same layers.
    """
    pairs = _foldable(network)
    for twin in folded.layers:
        if twin.name in pairs:
            twin.set_weights(_folded_weights(network.get_layer(twin.name), pairs[twin.name]))
        elif twin.weights:  # names of inputs may differ
            twin.set_weights(network.get_layer(twin.name).get_weights())


def _foldable(network: "keras.Model") -> dict:
    """Name of each linear convolution -> the batch normalisation that is all that consumes its output."""
    import keras

    if not hasattr(network, "operations"):  # not functional
        return {}
    consumers: dict[int, list] = {id(tensor): ["output"] for tensor in network.outputs}
    for layer in network.layers:
        if isinstance(layer, keras.Model) or len(layer._inbound_nodes) != 1:  # nested or used twice: leave it all alone
            return {}
        for tensor in layer._inbound_nodes[0].input_tensors:
            consumers.setdefault(id(tensor), []).append(layer)
    pairs = {}
    for layer in network.layers:
        if type(layer) is keras.layers.Conv2D and layer.activation is keras.activations.linear:
            after = consumers.get(id(layer.output), [])
            if len(after) == 1 and isinstance(after[0], keras.layers.BatchNormalization) and after[0].axis in (-1, 3):
                pairs[layer.name] = after[0]
    return pairs


def _folded_weights(convolution, norm) -> list[np.ndarray]:
    """Kernel and bias of ``convolution`` with ``norm`` folded in, computed in double precision."""
    kernel, *bias = (np.asarray(value, np.float64) for value in convolution.get_weights())
    mean = np.asarray(norm.moving_mean, np.float64)
    variance = np.asarray(norm.moving_variance, np.float64)
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else 1.0
    beta = np.asarray(norm.beta, np.float64) if norm.center else 0.0
    factor = gamma / np.sqrt(variance + norm.epsilon)
    shift = beta + ((bias[0] if bias else 0.0) - mean) * factor
    return [(kernel * factor).astype(np.float32), np.broadcast_to(shift, factor.shape).astype(np.float32)]
