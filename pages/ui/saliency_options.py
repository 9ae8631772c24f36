"""Options of a saliency method, each with a widget of its kind; what is not the default stands in the address."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import streamlit as st

from fer_core.explain.gradients import BASELINES
from fer_core.explain.options import changed
from fer_core.explain.perturbation import CUTS
from fer_core.explain.saliency import METHODS
from pages.ui import state
from pages.ui.masks_choice import FILLS


class Setting(NamedTuple):
    """How an option is asked for.

    Attributes:
        title: of the widget; ``help`` beside it.
        ends: lowest and highest number, which bound the time that a visitor can ask for; ``step`` of fractions.
        titles: value -> what it is called, for options that are chosen.
    """

    title: str
    help: str | None = None
    ends: tuple[float, float] = (0, 0)
    step: float = 0.01
    titles: Mapping[Any, str] | None = None


def _names(values) -> dict[str, str]:
    return {value: value.capitalize() for value in values}


SETTINGS: dict[str, Setting] = {
    "channels": Setting("Feature maps tried", "Those that vary most within the picture.", (1, 256)),
    "noise": Setting("Noise", "Its standard deviation, as a share of the picture's range.", (0.0, 0.5)),
    "seed": Setting("Seed", "Of what is drawn at random.", (0, 9999)),
    "signed": Setting("Signed mean", "Average the gradients with their signs, as in the paper; else their sizes."),
    "steps": Setting("Steps", "From the baseline to the picture; more make the map add up better.", (1, 512)),
    "baseline": Setting("Baseline", "What the picture is compared with.", titles=_names(BASELINES)),
    "patch": Setting(
        "Side of the patch",
        "As a share of the picture's shorter side. It decides how fine the map is.",
        titles={1 / 12: "1/12", 1 / 8: "1/8", 1 / 6: "1/6", 1 / 5: "1/5", 1 / 4: "1/4", 1 / 3: "1/3"},
    ),
    "stride": Setting("Step of the patch", "As a share of its side.", titles={0.25: "1/4", 0.5: "1/2", 1.0: "1"}),
    "fill": Setting("Hidden parts show", titles=FILLS),
    "segments": Setting(
        "Segments",
        "Rectangles, or patches along the picture's own edges.",
        titles=dict(zip(CUTS, ("Grid", "SLIC"), strict=True)),
    ),
    "cells": Setting("Segments a side", None, (2, 16)),
    "samples": Setting("Samples", "Pictures that the model is asked about.", (2, 2000)),
    "width": Setting(
        "Width of the kernel", "Of how much samples count that are far from the picture.", (0.05, 2.0), 0.05
    ),
    "ridge": Setting("Ridge penalty", "Of large weights.", (0.0, 10.0), 0.1),
}
COPIES = Setting("Noisy copies", "How many the gradient is averaged over.", (1, 200))


def choose(method: str) -> dict[str, object]:
    """The options of ``method`` that are not its defaults, from an expander; nothing for one without options."""
    defaults = METHODS[method].options
    if not defaults:
        return {}
    with st.expander("Options"):
        chosen = {name: _ask(method, name, default) for name, default in defaults.items()}
    return changed(method, chosen)


def setting(method: str, name: str) -> Setting:
    """How an option of a method is asked for."""
    return COPIES if (method, name) == ("smoothgrad", "samples") else SETTINGS[name]


def by_key(method: str, options: Mapping[str, object]) -> dict[str, object]:
    """``options`` by the keys of their widgets."""
    return {_key(method, name): value for name, value in options.items()}


def words(method: str, options: Mapping[str, object]) -> dict[str, str]:
    """What the address has for ``options`` that are chosen by titles, by the keys of their widgets."""
    asked = {name: setting(method, name).titles for name in options}
    known = {name: titles for name, titles in asked.items() if titles and options[name] in titles}
    return by_key(method, {name: titles[options[name]] for name, titles in known.items()})


def _key(method: str, name: str) -> str:
    return f"{method}-{name}".replace("_", "-")


def _ask(method: str, name: str, default: Any) -> Any:
    asked, key = setting(method, name), _key(method, name)
    if isinstance(default, bool):
        return state.toggle(asked.title, key=key, default=default, help=asked.help)
    if asked.titles:
        titles = asked.titles
        return state.choice(
            asked.title, list(titles), key=key, default=default, format_func=titles.__getitem__, help=asked.help
        )
    if isinstance(default, int):
        return state.number(asked.title, *asked.ends, default, key=key, help=asked.help)
    return state.slider(asked.title, *asked.ends, default, key=key, step=asked.step, help=asked.help)
