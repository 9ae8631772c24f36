"""Widgets whose value stands in the address: a copied link opens the same view.

A value that equals its default is left out of the address, one that makes no sense is dropped from it (where it should
be an option, the page says what the link asks for and what is shown instead), and a choice made on one page
(``dataset``, ``model``, ``split``) is kept on the next page that has a widget of the same key.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from pages.ui import widgets

MOST_STUDIED = 6  # models whose studies a page opens with
FOLLOWED = "link"  # in the address until the page that it leads to has read it
LINKED: dict[str, str] = {"bind": "query-params", "persist_state": "session"}


def choice(
    label: str, options: Sequence, *, key: str, default: Any = None, widget: Callable = st.selectbox, **settings: Any
) -> Any:
    """One of ``options``, or None where there are none.

    Args:
        label: of the widget.
        options: what to choose from.
        key: name in the address and in the session.
        default: chosen at first and not written into the address; the first option unless given.
        widget: ``st.selectbox``, ``st.radio``, ``st.segmented_control``, ``st.pills`` or ``st.select_slider``.
        settings: passed on to the widget.
    """
    options = list(options)
    if not options:
        return None
    default = default if default in options else options[0]
    _replace_unless(key, lambda value: value in options, default)
    words = settings.get("format_func", str)
    missing = _missing(key, options, words)
    if widget in (st.segmented_control, st.pills):
        settings = {"required": True, "wrap": True} | settings  # none of them is cut off
        chosen = widget(label, options, key=key, default=default, **LINKED, **settings)
        chosen = default if chosen is None else chosen  # an address with an empty value clears even these
    elif widget is st.select_slider:
        chosen = widget(label, options, key=key, value=default, **LINKED, **settings)
    else:
        chosen = widget(label, options, key=key, index=options.index(default), **LINKED, **settings)
    _say_missing(label, missing, [str(words(chosen))])
    return chosen


def optional_choice(label: str, options: Sequence, *, key: str, placeholder: str, **settings: Any) -> Any:
    """One of ``options``, or None until something is chosen; what is chosen always stands in the address."""
    options = list(options)
    _replace_unless(key, lambda value: value is None or value in options, None)
    missing = _missing(key, options, settings.get("format_func", str))
    chosen = st.selectbox(label, options, index=None, key=key, placeholder=placeholder, bind="query-params", **settings)
    _say_missing(label, missing, [placeholder])
    return chosen


def choices(
    label: str,
    options: Sequence,
    *,
    key: str,
    default: Sequence = (),
    widget: Callable = st.multiselect,
    **settings: Any,
) -> list:
    """Any number of ``options``, in the order they were picked.

    Of what another page or other options left, those that are options here are kept, and only the first so many where
    ``settings`` has ``max_selections``; where none is, ``default`` stands in. So it does for a default that nobody
    touched.
    """
    options, most = list(options), settings.get("max_selections")
    default = [option for option in default if option in options]
    left = st.session_state.get(key)
    if left and left == st.session_state.get(f"{key}-default"):
        left = default  # nobody touched it, so what these options begin with stands in
    kept = [value for value in left if value in options][:most] if isinstance(left, list) else []
    st.session_state[f"{key}-default"] = default
    _replace_unless(key, lambda values: values == kept, kept or default)
    if widget in (st.segmented_control, st.pills):
        settings = {"selection_mode": "multi"} | settings
    settings = {"wrap": True} | settings  # none of them is cut off
    words = settings.get("format_func", str)
    missing = _missing(key, options, words)
    chosen = list(widget(label, options, key=key, default=default, **LINKED, **settings))
    _say_missing(label, missing, [str(words(one)) for one in chosen])
    return chosen


def toggle(label: str, *, key: str, default: bool = False, **settings: Any) -> bool:
    """A switch."""
    _replace_unless(key, lambda value: isinstance(value, bool), default)
    return st.toggle(label, default, key=key, **LINKED, **settings)


def slider(label: str, low: float, high: float, default: float, *, key: str, **settings: Any) -> float:
    """A number between ``low`` and ``high``."""
    _replace_unless(key, lambda value: isinstance(value, int | float) and low <= value <= high, default)
    return st.slider(label, low, high, default, key=key, **LINKED, **settings)


def span(
    label: str, low: float, high: float, default: tuple[float, float], *, key: str, **settings: Any
) -> tuple[float, float]:
    """Two numbers between ``low`` and ``high``, the smaller first."""
    _replace_unless(key, lambda value: len(value) == 2 and low <= min(value) and max(value) <= high, default)
    return tuple(st.slider(label, low, high, default, key=key, **LINKED, **settings))


def number(label: str, low: int, high: int, default: int, *, key: str, **settings: Any) -> int:
    """A whole number between ``low`` and ``high``, typed or stepped."""
    _replace_unless(key, lambda value: isinstance(value, int) and low <= value <= high, default)
    return int(st.number_input(label, low, high, default, key=key, **LINKED, **settings))


def any_number(label: str, default: float, *, key: str, **settings: Any) -> float:
    """A number without limits, whole where ``default`` is: whoever takes it says what is wrong with it."""
    return st.number_input(label, value=default, key=key, **LINKED, **settings)


def text(label: str, *, key: str, default: str = "", **settings: Any) -> str:
    """A line of text."""
    return st.text_input(label, default, key=key, **LINKED, **settings)


def page_number(n_items: int, page_size: int, *, key: str, of: object = None) -> int:
    """Pages of ``page_size`` items, counted from 1; draws no widget where one page holds them all.

    ``of`` says what the items are: when that changes, the first page comes up.
    """
    n_pages = max(1, -(-n_items // page_size))
    seen = st.session_state.get(f"{key}-of", of)
    st.session_state[f"{key}-of"] = of
    _replace_unless(key, lambda value: seen == of and isinstance(value, int) and 1 <= value <= n_pages, 1)
    if n_pages == 1:
        return 1
    label = f"Page (of {n_pages:,})"
    return int(st.number_input(label, 1, n_pages, 1, key=key, width=140, bind="query-params"))


def query_choice(key: str, options: Sequence[str], default: str | None = None) -> str | None:
    """What the address says for ``key`` if that is among ``options``, else ``default``. For state without a widget."""
    value = st.query_params.get(key)
    return value if value in options else default


def set_query(key: str, value: str | None, default: str | None = None) -> None:
    """Write ``value`` into the address; None or the default removes it. For state without a widget."""
    if value is None or value == default:
        if key in st.query_params:
            del st.query_params[key]
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def choose(values: Mapping[str, Any], words: Mapping[str, str] | None = None) -> None:
    """Choose for widgets, by their keys, that may not be on the page yet; for callbacks.

    The address says it at once: Streamlit writes only what belongs to widgets that are there.

    Args:
        words: what the address has for a value where that is another word, as of a widget with ``format_func``.
    """
    st.session_state.update(values)
    for key, value in ({**values, **(words or {})}).items():
        said = [str(one) for one in value] if isinstance(value, list | tuple) else _said(value)
        with suppress(StreamlitAPIException):  # of a widget that is there, which Streamlit keeps for itself
            st.query_params[key] = said


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def begin_with(key: str, value: Any) -> None:
    """Let the widget of ``key`` begin with ``value`` if that is not None and neither address nor session has another.

    The address takes it up when the page runs again, so that it stays when what ``value`` came from is gone.
    """
    if st.session_state.pop(f"{key}-begun", False):
        st.session_state[key] = st.session_state.get(key, value)
    elif value is not None and key not in st.session_state and key not in st.query_params:
        st.session_state[key], st.session_state[f"{key}-begun"] = value, True


def has_begun(key: str) -> bool:
    """Whether :func:`begin_with` chose the value of ``key`` and the address does not say so yet."""
    return bool(st.session_state.get(f"{key}-begun"))


def link(chosen: Mapping[str, Any], words: Mapping[str, str] | None = None) -> dict[str, str]:
    """The address of a link to a page that calls :func:`follow_link`: there ``chosen`` (key -> value) holds.

    Plain addresses would not do inside a session: it keeps its own value where they name the default, and of every key
    that the page of the link has a widget of as well. ``words`` are those of :func:`choose`.
    """
    return {FOLLOWED: json.dumps({"chosen": dict(chosen), "words": dict(words or {})})}


def follow_link(keys: Collection[str]) -> None:
    """Choose what the :func:`link` that led here says of ``keys``; before any widget is drawn."""
    if FOLLOWED not in st.query_params:
        return
    try:
        told = json.loads(st.query_params[FOLLOWED])
    except ValueError:
        told = None
    del st.query_params[FOLLOWED]
    chosen, words = (told.get(part) if isinstance(told, dict) else None for part in ("chosen", "words"))
    if isinstance(chosen, dict) and isinstance(words, dict):
        known = {key: chosen[key] for key in keys if key in chosen}
        choose(known, {key: str(words[key]) for key in known if key in words})


def first_studied(records: Sequence[Mapping]) -> list[str]:
    """The runs that a page of studies opens with: the first of each model, then others, MOST_STUDIED at most."""
    runs = {record["run"]: record["model"] for record in records}
    firsts = {model: run for run, model in reversed(runs.items())}
    first, others = [run for run in runs if run in firsts.values()], [run for run in runs if run not in firsts.values()]
    return (first + others)[:MOST_STUDIED]


def _replace_unless(key: str, fits: Callable[[Any], bool], instead: Any) -> None:
    """Put ``instead`` for a value that another page, or other options, left under ``key`` and that does not fit here.

    It is written, not just forgotten: a browser that knows the widget by its key would go on showing the old value.
    """
    if key in st.session_state and not fits(st.session_state[key]):
        st.session_state[key] = instead


def _missing(key: str, options: Sequence, words: Callable[[Any], str]) -> list[str]:
    """What a link asks for that is no option; nothing once the session has a value of its own."""
    if key in st.session_state:
        return []
    known = {str(words(option)) for option in options}
    return [value for value in st.query_params.get_all(key) if value and value not in known]


def _say_missing(label: str, missing: Sequence[str], shown: Sequence[str]) -> None:
    if missing:
        told = (
            f"{label}: the link asks for {', '.join(missing)}, not to be had here. Shown: {', '.join(shown) or 'none'}."
        )
        st.info(widgets.plain(told), icon=":material/link_off:")
