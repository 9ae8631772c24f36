"""Options of saliency methods as people give them: from text, without defaults, and in words.

What a method takes, and its defaults, is in ``METHODS[method].options`` (:mod:`fer_core.explain.saliency`).
"""

from collections.abc import Mapping, Sequence

from fer_core.errors import ConfigError
from fer_core.explain.saliency import KINDS, METHODS

_TRUTHS = {"true": True, "false": False}


def parse(method: str, given: Sequence[str]) -> dict[str, object]:
    """Options from ``name=value``: those that differ from the method's defaults, in the method's order.

    Args:
        method: name in ``METHODS``.
        given: a value is read as the type of its default; of one given twice the last counts.

    Raises:
        ConfigError: unknown method or option, no ``=``, or a value of another type. Whether a value is in range is
            said by the method when it runs.
    """
    if method not in METHODS:
        raise ConfigError(f"Unknown method {method!r}.", f"Expected one of {', '.join(METHODS)}.")
    defaults, found = METHODS[method].options, {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or name not in defaults:
            takes = ", ".join(f"{name}={default}" for name, default in defaults.items()) or "none"
            raise ConfigError(f"{METHODS[method].title} has no option {text!r}.", f"It takes {takes}.")
        found[name] = _read(name, value, defaults[name])
    return changed(method, found)


def changed(method: str, options: Mapping[str, object]) -> dict[str, object]:
    """``options`` without those that are the method's defaults, in the method's order."""
    defaults = METHODS[method].options
    return {name: options[name] for name, default in defaults.items() if name in options and options[name] != default}


def words(options: Mapping[str, object]) -> str:
    """``patch 0.25, fill zero`` for people; fractions to three digits; empty for defaults."""
    return ", ".join(f"{name} {_short(value)}" for name, value in options.items())


def slug(options: Mapping[str, object]) -> str:
    """The same for file names, ``patch-0.25-fill-zero``."""
    return "-".join(f"{name}-{_short(value)}" for name, value in options.items())


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower()


def _read(name: str, value: str, default: object) -> object:
    kind = type(default)
    try:
        return _TRUTHS[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"Option {name} must be {KINDS[kind][1]}. Received {value!r}.") from error
