"""What the arguments of networks and estimators may be, so that a wrong one is named before anything is built.

Loads without TensorFlow.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fer_core.errors import ConfigError, ModelError
from fer_core.models.preprocess import EQUALIZERS

BACKBONE_NAMES: tuple[str, ...] = ("vgg16", "resnet50", "mobilenetv2", "xception")
NORMS: tuple[str, ...] = ("none", "head", "conv")
NOISE_ORDERS: tuple[str, ...] = ("bn_noise", "noise_bn")
SCALINGS: tuple[str, ...] = ("none", "zscore", "minmax")
KERNELS: tuple[str, ...] = ("linear", "poly", "rbf")
DEEPENING = (16, 32, 64, 128, 256, 512)  # filters of Ugwu's CNN; the second number is hidden in the paper's figure


class Allowed(NamedTuple):
    """What an argument may be: a test of a value, and the same in words."""

    test: Callable[[object], bool]
    words: str


def _whole(low: int, high: int | None = None) -> Allowed:
    def test(value) -> bool:
        return (
            isinstance(value, int) and not isinstance(value, bool) and low <= value <= (value if high is None else high)
        )

    return Allowed(test, f"a whole number of at least {low}" if high is None else f"a whole number, {low} to {high}")


def _number(low: float, high: float, without_high: bool = False) -> Allowed:
    def test(value) -> bool:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return low <= value < high if without_high else low <= value <= high

    return Allowed(test, f"a number from {low:g} to {'below ' if without_high else ''}{high:g}")


def _above_0(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _one_of(*values: str) -> Allowed:
    words = ", ".join(value or "''" for value in values)
    return Allowed(lambda value: isinstance(value, str) and value in values, f"one of {words}")


def _list_of(each: Allowed, words: str, least: int = 0, length: int | None = None) -> Allowed:
    def test(value) -> bool:
        if not isinstance(value, (list, tuple)) or len(value) < least or (length is not None and len(value) != length):
            return False
        return all(each.test(one) for one in value)

    return Allowed(test, words)


_COUNT = _whole(1)
_DROPOUT = _number(0, 1, without_high=True)
_PAIR = _list_of(_COUNT, "", length=2)
# Builder -> argument -> what it may be; of what every builder is told beside these, see ``registry.build_network``.
ARGUMENTS: dict[str, dict[str, Allowed]] = {
    "plain_cnn": {
        "width": _COUNT,
        "stages": _list_of(_COUNT, "a list of whole numbers of at least 1, such as [2, 2, 2]", least=1),
        "dropout": _DROPOUT,
    },
    "vgg": {
        "stages": _list_of(_PAIR, "a list of [filters, convolutions], such as [[64, 2], [128, 2]]", least=1),
        "dropout": _DROPOUT,
    },
    "asymmetric_cnn": {
        "dense": _list_of(_COUNT, "a list of whole numbers of at least 1, such as [512, 256]"),
        "dropout": _DROPOUT,
    },
    "deepening_cnn": {"depth": _whole(2, len(DEEPENING))},
    "backbone_classifier": {
        "backbone": _one_of(*BACKBONE_NAMES),
        "norm": _one_of(*NORMS),
        "dropout": _DROPOUT,
        "input_norm": Allowed(lambda value: isinstance(value, bool), "true or false"),
        "noise": _number(0, 1),
        "noise_order": _one_of(*NOISE_ORDERS),
    },
}

_SETTINGS = Allowed(lambda value: isinstance(value, Mapping), "an object of settings")
_CELL = _whole(1)
# Feature (a key of ``features.FEATURES``) -> what may be said about it in an argument of its name.
FEATURE_SETTINGS: dict[str, dict[str, Allowed]] = {
    "pixels": {},
    "hog": {"cells": _list_of(_CELL, "a list of sides in pixels of at least 1, such as [6, 8]", least=1)},
    "landmarks": {},
    "embedding": {
        "run": Allowed(lambda value: isinstance(value, str), "the name of a stored run"),
        "weights_sha256": Allowed(lambda value: isinstance(value, str), "that of the run's weights in its run.json"),
    },
}
NEEDED = {"embedding": ("run", "weights_sha256")}  # settings without which a feature cannot be had
# The same as ``ARGUMENTS`` for what is fitted in one piece.
ESTIMATOR_ARGUMENTS: dict[str, dict[str, Allowed]] = {
    "majority": {},
    "hog_logistic": {"cell": _CELL, "C": Allowed(_above_0, "a number above 0")},
    "svm": {
        "features": _list_of(_one_of(*FEATURE_SETTINGS), f"a list of some of {', '.join(FEATURE_SETTINGS)}", least=1),
        "equalize": _one_of(*EQUALIZERS),
        "scaling": _one_of(*SCALINGS),
        "components": _whole(0),
        "kernel": _one_of(*KERNELS),
        "C": Allowed(_above_0, "a number above 0"),
        "gamma": Allowed(lambda value: value == "scale" or _above_0(value), "a number above 0, or scale"),
        "degree": _whole(1),
        "class_weight": _one_of("", "balanced"),
        "folds": _whole(2),
    }
    | dict.fromkeys(FEATURE_SETTINGS, _SETTINGS),
}


def check_estimator(builder: str, arguments: Mapping) -> None:
    """Refuse what an estimator cannot be fitted with.

    Raises:
        ConfigError: it has no such argument, one has a value that makes no sense, or one that a feature needs is not
            there.
    """
    _check_each(arguments, ESTIMATOR_ARGUMENTS[builder])
    for feature, allowed in FEATURE_SETTINGS.items():
        settings = arguments.get(feature, {})
        _check_each(settings, allowed, f"{feature}.")
        missing = [name for name in NEEDED.get(feature, ()) if name not in settings]
        if missing and feature in arguments.get("features", ()):
            raise ConfigError(
                f"The argument {feature} lacks {' and '.join(missing)}. Received {settings!r}.",
                f"Expected both of {' and '.join(NEEDED[feature])}.",
            )


def _check_each(given: Mapping, allowed: Mapping[str, Allowed], prefix: str = "") -> None:
    for name, value in given.items():
        if name not in allowed:
            known = ", ".join(f"{prefix}{one}" for one in sorted(allowed))
            raise ConfigError(
                f"There is no argument {prefix}{name}. Received {value!r}.",
                f"Expected some of {known}." if known else "Leave it out: there is nothing to set.",
            )
        if not allowed[name].test(value):
            raise ConfigError(f"The argument {prefix}{name} must be {allowed[name].words}. Received {value!r}.")


def check_arguments(name: str, builder: str, arguments: Mapping) -> None:
    """Refuse what ``builder`` cannot build for the model ``name``.

    Raises:
        ModelError: it has no such argument, or one has a value that makes no sense.
    """
    allowed = ARGUMENTS[builder]
    unknown = sorted(set(arguments) - set(allowed))
    if unknown:
        raise ModelError(
            f"{name} has no argument {', '.join(unknown)}.", f"Expected some of {', '.join(sorted(allowed))}."
        )
    for argument, value in arguments.items():
        if not allowed[argument].test(value):
            raise ModelError(
                f"The argument {argument} of {name} must be {allowed[argument].words}. Received {value!r}.",
                "Change it in arguments, or leave it out to train with the model's own.",
            )
