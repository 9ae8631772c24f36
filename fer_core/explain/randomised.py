"""Copies of a model that know less: weights drawn anew from the top downwards (Adebayo et al. 2018, section 3).

Of a support vector machine or a linear model, which has one layer, coefficients change places. Copies of networks are
made once per network and kept while it lives, for the networks used last. They take turns on one set of graphs
(:mod:`fer_core.explain.twins`). The network itself is not changed.
"""

import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from fer_core.explain.twins import ByTwin, Twin, twin_of
from fer_core.models.ensemble import Ensemble, ensemble_of
from fer_core.models.shuffled import estimator_of, shuffled
from fer_core.predictions import Classifier

if TYPE_CHECKING:
    import keras

# Share of the layers with weights that are drawn anew, from the top, and the seed: a cascade of two, then other draws.
COPIES: tuple[tuple[float, int], ...] = ((0.5, 0), (1.0, 0), (1.0, 1), (1.0, 2), (1.0, 3))
MAX_PARAMETERS = 60_000_000  # of all copies kept, some 8 bytes each with what explains them; those of one model always
MODEL_WITHOUT_WEIGHTS = "This model has no weights that could be drawn anew."


_copies: "weakref.WeakKeyDictionary[keras.Model, tuple[Twin, list[keras.Model]]]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def can_be_randomised(classifier: Classifier) -> bool:
    """Whether it is a network or an estimator with coefficients, or an ensemble of which each that counts is one."""
    ensemble = ensemble_of(classifier)
    if ensemble is not None:
        return all(can_be_randomised(ensemble.members[place]) for place in np.flatnonzero(ensemble.weights))
    network = getattr(classifier, "network", None) is not None and hasattr(classifier, "preprocess")
    return network or estimator_of(classifier) is not None


def randomised_copies(classifier: Classifier) -> list[Classifier]:
    """A classifier for each of :data:`COPIES`, of a network the same at every call.

    Args:
        classifier: one that :func:`can_be_randomised`; a network is a functional Keras model.
    """
    with _lock:
        found = _copies_of(classifier)
        needed = {id(network) for network in _networks(classifier)}
        for network in list(_copies):
            if kept_parameters() > MAX_PARAMETERS and id(network) not in needed:
                _copies.pop(network, None)
    return found


def kept_parameters() -> int:
    """Parameters of all copies that are kept."""
    return sum(network.count_params() * len(made) for network, (_, made) in list(_copies.items()))


def forget(classifier: Classifier) -> None:
    """Drop the copies of this classifier's network; needed after its weights have changed."""
    with _lock:
        _copies.pop(getattr(classifier, "network", None), None)


def _copies_of(classifier: Classifier) -> list[Classifier]:
    ensemble = ensemble_of(classifier)
    if ensemble is not None:
        members = [
            _copies_of(member) if weight else [member] * len(COPIES)
            for member, weight in zip(ensemble.members, ensemble.weights, strict=True)
        ]
        copies = zip(*members, strict=True)
        return [Ensemble(of_copy, ensemble.weights, ensemble.names, ensemble.class_names) for of_copy in copies]
    estimator = estimator_of(classifier)
    if estimator is not None:
        return [shuffled(estimator, share, seed) for share, seed in COPIES]
    network = classifier.network
    twin, made = _copies.pop(network, None) or _made(network)
    _copies[network] = twin, made  # the network used last stands last
    return [ByTwin(classifier, copy, twin) for copy in made]


def _networks(classifier: Classifier) -> "list[keras.Model]":
    """The networks whose copies stand for ``classifier``'s."""
    ensemble = ensemble_of(classifier)
    if ensemble is None:
        return [] if estimator_of(classifier) else [classifier.network]
    counting = (ensemble.members[place] for place in np.flatnonzero(ensemble.weights))
    return [network for member in counting for network in _networks(member)]


def _made(network: "keras.Model") -> "tuple[Twin, list[keras.Model]]":
    return twin_of(network), [_randomised(network, share, seed) for share, seed in COPIES]


def _randomised(network: "keras.Model", share: float, seed: int) -> "keras.Model":
    import keras

    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    layers = [layer for layer in copy.layers if layer.weights]
    rng = np.random.default_rng(seed)
    for layer in layers[len(layers) - round(share * len(layers)) :]:
        layer.set_weights([_fresh(layer, weight, rng) for weight in layer.weights])
    return copy


def _fresh(layer: "keras.Layer", weight, rng: np.random.Generator) -> np.ndarray:
    """As before training: kernels by He et al. (2015), section 2.2, so that signals keep their size; others neutral."""
    shape = tuple(weight.shape)
    if len(shape) >= 2:
        inputs = np.prod(shape[:-2] if _one_channel_each(layer, weight) else shape[:-1])
        return rng.normal(0, np.sqrt(2 / inputs), shape).astype(np.float32)
    if weight.name in ("gamma", "moving_variance"):
        return np.ones(shape, np.float32)
    if weight.name in ("beta", "bias", "moving_mean"):
        return np.zeros(shape, np.float32)
    return np.asarray(weight, np.float32)  # no parameter that is learnt, such as a layer's constants


def _one_channel_each(layer: "keras.Layer", weight) -> bool:
    """Whether each output of a kernel (..., channels, multiplier) is made of one channel alone."""
    import keras

    depthwise = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)  # their weight is called ``kernel``
    return isinstance(layer, depthwise) or weight.name == "depthwise_kernel"
