"""Networks of the same layers that take turns on one set of compiled graphs: copies of a network, other trainings.

A graph reads its weights when it runs, so what is compiled once answers for each network whose weights are put in.
Weights are put in only when another network's turn comes. From any thread; one network at a time.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from fer_core.explain import gradients
from fer_core.explain.gradients import Explainer, copy_weights
from fer_core.inference import Predictor, compile_network, fold_batch_normalization, take_weights
from fer_core.predictions import Classifier

if TYPE_CHECKING:
    import keras

CHUNK = 64


class Twin:
    """The graphs of one network, for itself and for all that have the same layers."""

    def __init__(self, network: "keras.Model") -> None:
        self._like = weakref.ref(network)
        self._explainer: _Shared | None = None
        self._forward: Callable[[np.ndarray], np.ndarray] | None = None
        self._answers_for = _nobody
        self._lock = threading.RLock()

    def fits(self, network: "keras.Model") -> bool:
        """Whether ``network`` has the same layers, so that it can take turns."""
        like = self._like()
        return like is not None and _built(like) == _built(network)

    def shared(self, network: "keras.Model") -> "_Shared":
        """The explainer whose graphs these are, made on first use, with the weights of ``network``.

        Raises:
            ModelError: Keras runs on another backend than TensorFlow.
        """
        with self._lock:
            if self._explainer is None:
                self._explainer = _Shared(network)
            return self._explainer

    def probabilities(self, network: "keras.Model", pixels: np.ndarray) -> np.ndarray:
        """What ``network`` answers: float32 (N, H, W, C) in 0..255 -> float32 (N, K)."""
        if not _reads_weights():
            return _plainly(network, pixels)
        with self._lock:
            if self._forward is None:
                self._forward = compile_network(_private(network))
                self._answers_for = weakref.ref(network)
            if self._answers_for() is not network:
                self._answers_for = _nobody
                take_weights(self._forward.network, network)
                self._answers_for = weakref.ref(network)
            return self._forward(pixels)


class ByTwin:
    """A classifier like another one, by a network that takes turns on a :class:`Twin`."""

    def __init__(self, classifier: Classifier, network: "keras.Model", twin: Twin) -> None:
        gradients.explain_by(network, _Turn(twin, network))
        self.classifier, self.network, self._twin = classifier, network, twin
        self.class_names = tuple(classifier.class_names)
        self.input_size: tuple[int, int] = tuple(network.input_shape[1:3])
        self.channels: int = network.input_shape[3]

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """What the network sees, as the other classifier does."""
        return self.classifier.preprocess(images)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities float32 (N, K)."""
        parts = [
            self._twin.probabilities(self.network, self.preprocess(images[start : start + CHUNK]))
            for start in range(0, len(images), CHUNK)
        ]
        return np.concatenate([np.zeros((0, len(self.class_names)), np.float32), *parts])


_twins: "weakref.WeakKeyDictionary[keras.Model, weakref.ref[Twin]]" = weakref.WeakKeyDictionary()
_twins_lock = threading.Lock()


def twin_of(network: "keras.Model") -> Twin:
    """The graphs that networks like ``network`` share, kept as long as somebody uses them."""
    with _twins_lock:
        found = _twins[network]() if network in _twins else None
        if found is None:
            others = (twin() for twin in list(_twins.values()))
            found = next((twin for twin in others if twin is not None and twin.fits(network)), None) or Twin(network)
            _twins[network] = weakref.ref(found)
        return found


def taking_turns(classifier: Classifier, like: Classifier) -> Classifier:
    """``classifier`` by the graphs of ``like``'s copies, so that nothing is compiled; itself where it cannot be.

    Args:
        classifier: answers for each picture as it is, not averaged over views.
    """
    network, other = (getattr(one, "network", None) for one in (classifier, like))
    if network is None or other is None or not hasattr(classifier, "preprocess"):
        return classifier
    twin = twin_of(other)
    return ByTwin(classifier, network, twin) if twin.fits(network) else classifier


def other_training(loaded: Classifier, like: Classifier) -> Classifier:
    """Another training of ``like``'s recipe, a network by its graphs, so that nothing is compiled for it."""
    shared = taking_turns(loaded, like)
    return Predictor(loaded) if shared is loaded else shared


class _Shared(Explainer):
    """An explainer of the network whose turn it is."""

    def take(self, network: "keras.Model") -> None:
        """Explain ``network`` from now on."""
        if self._network() is network:
            return
        self._network = _nobody  # until all weights are there
        take_weights(self._folded, network)
        if self._whole is not None:
            copy_weights(self._whole, network)
        self._network = weakref.ref(network)


class _Turn(Explainer):
    """An explainer of one network by the shared one of a twin."""

    def __init__(self, twin: Twin, network: "keras.Model") -> None:
        self._twin, self._network = twin, weakref.ref(network)

    @property
    def _folded(self) -> "keras.Model":
        return self._twin.shared(self._network())._folded

    def run(self, graph: Callable, *arrays: np.ndarray):
        with self._turn():
            return graph(*arrays)

    def _kept(self, key: tuple[str, str | None], make: Callable[[], Callable]) -> Callable:
        with self._turn() as shared:
            return shared._kept(key, make)

    def _model_with(self, layer: str | None) -> "keras.Model":
        with self._turn() as shared:
            return shared._model_with(layer)

    @contextmanager
    def _turn(self) -> "Iterator[_Shared]":
        shared = self._twin.shared(self._network())
        with shared._lock:
            shared.take(self._network())
            yield shared


def _nobody() -> None:
    """A weak reference to a network that is no more."""


def _reads_weights() -> bool:
    """Whether compiled graphs read weights when they run: on other backends weights are part of what is compiled."""
    import keras

    return keras.backend.backend() == "tensorflow"


def _plainly(network: "keras.Model", pixels: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(network(pixels, training=False)), np.float32)


def _private(network: "keras.Model") -> "keras.Model":
    """A copy whose weights may be changed."""
    import keras

    folded = fold_batch_normalization(network)
    if folded is not network:
        return folded
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def _built(network: "keras.Model") -> dict:
    """What a network is made of, but for its name and its weights."""
    return {name: value for name, value in network.get_config().items() if name != "name"}
