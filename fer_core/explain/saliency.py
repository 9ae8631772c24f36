"""Saliency maps: which pixels the score of a class depends on, by every method, for every kind of classifier.

One contract: :func:`explain`. Gradient methods (:mod:`fer_core.explain.gradients`) need a network; those that hide
parts of the picture (:mod:`fer_core.explain.occlusion`, :mod:`fer_core.explain.perturbation`) ask any classifier.
"""

import inspect
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from fer_core.errors import ConfigError, ModelError
from fer_core.explain import gradients
from fer_core.explain.gradients import LayerChoice, cam_layers, default_layer, forget, linear_clone, network_of
from fer_core.explain.occlusion import occlusion_map
from fer_core.explain.perturbation import kernel_shap, lime
from fer_core.explain.placement import Placement, placed, placement
from fer_core.models.ensemble import Ensemble, ensemble_of
from fer_core.predictions import Classifier

DUST = 1e-6  # probabilities are float32: a smaller change is rounding, and would be shown as 1 where there is no other

__all__ = [
    "METHODS",
    "LayerChoice",
    "Method",
    "SaliencyMap",
    "cam_layers",
    "default_layer",
    "explain",
    "forget",
    "linear_clone",
    "map_frame",
    "shared_layers",
]


@dataclass(frozen=True)
class SaliencyMap:
    """Maps of N pictures by one method.

    Attributes:
        values: float32 (N, H, W), 0..1, of the size of the pictures; 0 means no evidence, 1 the strongest of the
            picture. Maps of different pictures or models share no scale.
        raw: float32 (N, h, w) as the method gives it: at the network's input for gradients, at the layer's grid for
            CAMs, at the picture's size for occlusion, at the grid of tiles for LIME and SHAP (these are negative where
            hiding *raises* the probability), and of the picture's size for ensembles.
        grid: (h, w), the number of cells the method really resolves.
        layer: the layer explained, or None for methods without one.
        method: name in ``METHODS``.
        class_index: int64 (N,).
        given: layer and options that the method was given; what is not in it was left to its defaults.
        place: where the cells of ``raw`` lie on the picture; None where they share it evenly.
    """

    values: np.ndarray
    raw: np.ndarray
    grid: tuple[int, int]
    layer: str | None
    method: str
    class_index: np.ndarray
    given: Mapping[str, object] = field(default_factory=dict)
    place: Placement | None = None

    @property
    def uncapped(self) -> np.ndarray:
        """``values`` with the strongest pixel alone at 1, see ``Method.cap``: what scores are computed from."""
        known = METHODS.get(self.method)
        if known is None or known.cap == 100.0:
            return self.values
        return _scaled(placed(self.raw, self.values.shape[1:], self.place), 100.0)


KINDS: dict[type, tuple[type, str]] = {
    bool: (bool, "true or false"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
}


def _occlusion(classifier, images, classes, layer, *, patch: float = 1 / 6, stride: float = 0.5, fill: str = "mean"):
    maps, grid = occlusion_map(classifier, images, classes, patch=patch, stride=stride, fill=fill)
    return maps, grid, None


@dataclass(frozen=True)
class Method:
    """A saliency method.

    Attributes:
        title: for people.
        function: (classifier, images, classes, layer, **options) -> (raw maps, grid, layer).
        about: one sentence on what the map shows, whatever the options are.
        needs_network: whether it needs gradients; the others work for every classifier.
        takes_layer: whether a layer can be chosen.
        cap: percentile of the raw map shown as 1. Gradients have a few huge pixels that would leave the rest black
            (Smilkov et al. 2017, section 3.1, cap at the 99th).
        family: ``gradient`` (of the pixels), ``cam`` (a layer's feature maps) or ``perturbation`` (parts hidden).
        seeded: whether it draws at random, and takes ``seed``.
    """

    title: str
    function: Callable
    about: str
    needs_network: bool = True
    takes_layer: bool = False
    cap: float = 100.0
    family: str = "perturbation"
    seeded: bool = False

    @property
    def options(self) -> dict[str, object]:
        """Options of :func:`explain` that it takes, with their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


METHODS: dict[str, Method] = {
    "grad_cam": Method(
        "Grad-CAM",
        gradients.cam("grad_cam"),
        "Feature maps of a layer, each weighted by the mean gradient of the class score (Selvaraju et al. 2017).",
        takes_layer=True,
        family="cam",
    ),
    "grad_cam_pp": Method(
        "Grad-CAM++",
        gradients.cam("grad_cam_pp"),
        "Grad-CAM with weights per pixel, better where several places count (Chattopadhay et al. 2018).",
        takes_layer=True,
        family="cam",
    ),
    "layer_cam": Method(
        "LayerCAM",
        gradients.cam("layer_cam"),
        "Feature maps of a layer, each place weighted by its own positive gradient; sharp in early layers too "
        "(Jiang et al. 2021).",
        takes_layer=True,
        family="cam",
    ),
    "score_cam": Method(
        "Score-CAM",
        gradients.score_cam,
        "Feature maps of a layer, each weighted by the probability when only what it shows is left "
        "(Wang et al. 2020); only the maps that vary most are tried.",
        takes_layer=True,
        family="cam",
    ),
    "gradient": Method(
        "Vanilla gradient",
        gradients.gradient,
        "How strongly the class score reacts to each pixel (Simonyan et al. 2014).",
        cap=99.0,
        family="gradient",
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        gradients.smoothgrad,
        "The gradient averaged over noisy copies of the picture (Smilkov et al. 2017).",
        cap=99.0,
        family="gradient",
        seeded=True,
    ),
    "integrated_gradients": Method(
        "Integrated gradients",
        gradients.integrated_gradients,
        "What each pixel adds to the class score on the way from a baseline to the picture (Sundararajan et al. 2017).",
        cap=99.0,
        family="gradient",
    ),
    "occlusion": Method(
        "Occlusion",
        _occlusion,
        "How far the class's probability falls when a patch hides each place (Zeiler & Fergus 2014); for every model.",
        needs_network=False,
    ),
    "lime": Method(
        "LIME",
        lime,
        "A linear model of the class's probability, fitted to pictures with random parts hidden (Ribeiro et al. 2016); "
        "for every model.",
        needs_network=False,
        seeded=True,
    ),
    "kernel_shap": Method(
        "Kernel SHAP",
        kernel_shap,
        "Shapley values of segments: what each adds to the class's probability, over random sets of the others "
        "(Lundberg & Lee 2017); for every model.",
        needs_network=False,
        seeded=True,
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
        classifier: any; gradient methods need ``.network`` (flat functional Keras model) and ``.preprocess``, or an
            ensemble of such: then the members' maps are averaged. Methods that hide parts ask the ensemble itself.
        images: uint8 (N, H, W) or (N, H, W, 3).
        class_index: one class for all pictures, or int (N,).
        method: name in ``METHODS``.
        layer: for CAMs, of an ensemble one of :func:`shared_layers`; default :func:`default_layer`, of an ensemble each
            member's own.
        **options: see ``METHODS[method].options``.

    Raises:
        ConfigError: unknown method, layer, class or option.
        ModelError: the method needs gradients and the classifier has none, or the pictures have another shape.
    """
    if method not in METHODS:
        raise ConfigError(f"Unknown method {method!r}.", f"Expected one of {', '.join(METHODS)}.")
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) == 0:
        raise ModelError(
            f"Expected uint8 pictures (N, H, W) or (N, H, W, 3), N > 0. Received {images.dtype} {images.shape}."
        )
    chosen, classes = METHODS[method], _class_indices(class_index, len(images), len(classifier.class_names))
    if layer is not None and not chosen.takes_layer:
        raise ConfigError(f"{chosen.title} takes no layer. Received {layer!r}.", "Leave it out.")
    check_options(method, options)
    ensemble = ensemble_of(classifier) if chosen.needs_network else None
    if ensemble is not None:
        return _explain_members(ensemble, images, classes, method, layer, options)
    if chosen.needs_network:
        network_of(classifier, chosen.title)
    raw, grid, used = chosen.function(classifier, images, classes, layer, **options)
    shown = np.where(np.abs(raw) < DUST, 0, raw) if chosen.family == "perturbation" else raw
    place = placement(classifier.network, used) if used else None
    values = _scaled(placed(shown, images.shape[1:3], place), chosen.cap)
    return SaliencyMap(values, raw, tuple(grid), used, method, classes.copy(), {"layer": layer} | options, place)


def check_options(method: str, options: Mapping[str, object]) -> None:
    """Whether ``method`` takes ``options``, and numbers where it takes numbers; all else it says when it runs.

    Raises:
        ConfigError: it does not.
    """
    chosen = METHODS[method]
    if set(options) - set(chosen.options):
        raise ConfigError(
            f"{chosen.title} has no option {', '.join(sorted(set(options) - set(chosen.options)))}.",
            f"It takes {', '.join(chosen.options) or 'none'}.",
        )
    for name, value in options.items():
        if type(chosen.options[name]) not in KINDS:
            continue
        kind, words = KINDS[type(chosen.options[name])]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"Option {name} must be {words}. Received {value!r}.")
        if name == "seed" and value < 0:
            raise ConfigError(f"Option {name} must not be negative. Received {value}.")


def _class_indices(class_index: int | np.ndarray, n: int, n_classes: int) -> np.ndarray:
    given = np.asarray(class_index)
    if given.dtype.kind not in "iu" or given.shape not in ((), (n,)):
        raise ConfigError(
            f"class_index must be a whole number, or one for each of {n} pictures. Received {class_index!r}."
        )
    if given.min() < 0 or given.max() >= n_classes:
        raise ConfigError(f"class_index must lie in 0..{n_classes - 1}. Received {class_index}.")
    return np.broadcast_to(given.astype(np.int64), (n,))


def _explain_members(ensemble: Ensemble, images, classes, method: str, layer: str | None, options) -> SaliencyMap:
    """Each member's map, its strongest pixel at 1, averaged as the members are weighted; the coarsest of their grids.

    Raises:
        ModelError: a member has no gradient.
    """
    maps, grids, layers = [], [], []
    counting = np.flatnonzero(ensemble.weights)
    for place in counting:
        name = ensemble.names[place]
        try:
            found = explain(
                ensemble.members[place], images, ensemble.member_classes(place, classes), method, layer, **options
            )
        except (ModelError, ConfigError) as error:
            raise type(error)(f"{name} of the ensemble: {error.problem}", error.remedy) from error
        maps.append(found.uncapped)
        grids.append(found.grid)
        layers.append(found.layer)
    raw = np.tensordot(ensemble.weights[counting].astype(np.float32), np.stack(maps), axes=1)
    used = ", ".join(dict.fromkeys(layer for layer in layers if layer)) or None
    given = {"layer": layer} | options
    return SaliencyMap(_scaled(raw, METHODS[method].cap), raw, min(grids), used, method, classes.copy(), given)


def shared_layers(ensemble: Ensemble) -> tuple[list[LayerChoice], LayerChoice]:
    """Layers that a CAM can be taken at in every network of an ensemble that counts, and what is taken by default.

    Grids are the coarsest of the members'. The default is each member's own, all of them in its name.

    Raises:
        ModelError: a member has no network, or its network no convolution.
    """
    members = [ensemble.members[place] for place in np.flatnonzero(ensemble.weights)]
    grids = [{choice.name: choice.grid for choice in cam_layers(member)} for member in members]
    shared = [name for name in grids[0] if all(name in others for others in grids)]
    own = [default_layer(member) for member in members]
    default = LayerChoice(", ".join(dict.fromkeys(one.name for one in own)), min(one.grid for one in own))
    return [LayerChoice(name, min(one[name] for one in grids)) for name in shared], default


def map_frame(found: SaliencyMap) -> pd.DataFrame:
    """The first picture's map as a table: row, column, value, from top left to bottom right."""
    rows, columns = np.indices(found.values.shape[1:])
    return pd.DataFrame({"row": rows.ravel(), "column": columns.ravel(), "value": found.values[0].ravel()})


def _scaled(maps: np.ndarray, cap: float) -> np.ndarray:
    """Positive part as a share of its ``cap`` percentile: 0..1. A map without positive values stays zero."""
    positive = np.maximum(maps, 0)
    top = np.percentile(positive, cap, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, positive.max(axis=(1, 2), keepdims=True))
    return np.clip(np.divide(positive, top, out=np.zeros_like(positive), where=top > 0), 0, 1).astype(np.float32)
