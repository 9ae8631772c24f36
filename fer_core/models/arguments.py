"""What the arguments of the network builders may be, so that a wrong one is named before anything is built.

Loads without TensorFlow.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fer_core.errors import ModelError

BACKBONE_NAMES: tuple[str, ...] = ("vgg16", "resnet50", "mobilenetv2", "xception")
NORMS: tuple[str, ...] = ("none", "head", "conv")
NOISE_ORDERS: tuple[str, ...] = ("bn_noise", "noise_bn")
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


def _one_of(*values: str) -> Allowed:
    return Allowed(lambda value: isinstance(value, str) and value in values, f"one of {', '.join(values)}")


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
