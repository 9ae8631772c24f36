"""In what a training differs from the recipe of its model, or from another training. Loads without TensorFlow."""

import json
from collections.abc import Iterable, Mapping

from fer_core.artifacts import Run
from fer_core.errors import FerError
from fer_core.models.specs import MODELS, spec
from fer_core.training.config import TrainConfig, config_of_entry

Differences = dict[str, tuple]  # setting -> (its own value, the other's); None where one of them does not know it
PICTURES = ("classes", "dedupe", "faces", "mask", "oversample")  # settings that estimators follow too
UNITS = {"epochs": "epochs", "input_size": "px"}  # what tells trainings apart best
ENTRY = ("builder", "input_size", "channels", "arguments")  # what ``run.json`` repeats of an entry of MODELS


def network_of(model: str, config: TrainConfig) -> dict:
    """Builder, input_size, channels and arguments of the network that ``config`` trains, as ``run.json`` has them."""
    entry = spec(model)
    size = config.input_size or entry["input_size"]
    return {key: entry[key] for key in ENTRY} | {"input_size": size, "arguments": entry["arguments"] | config.arguments}


def from_recipe(run: Mapping, changes: Mapping | None = None) -> Differences:
    """Settings of a stored run that are not those of its model's recipe in ``MODELS`` of today.

    The seed does not count, and neither do progressive ``sizes`` that only follow other ``epochs`` or ``input_size``.

    Args:
        run: content of ``run.json``.
        changes: of the recipe, to compare with that.

    Raises:
        ModelError: its model is not in ``MODELS`` any more.
        ConfigError: it has settings that are no more.
    """
    entry, stored, changes = spec(run["model"]), run.get("config") or {}, dict(changes or {})
    if entry["family"] != "network":
        pictures = {name: changes[name] for name in PICTURES if changes.get(name)}
        wanted = entry["arguments"] | changes.get("arguments", {}) | pictures
        return differences({"arguments": stored}, {"arguments": wanted})
    config, recipe = TrainConfig.from_dict(stored), config_of_entry(entry, changes)
    network = network_of(run["model"], config) | (run.get("spec") or {})
    found = differences(
        config.to_dict() | {"network": network}, recipe.to_dict() | {"network": network_of(run["model"], recipe)}
    )
    found.pop("seed", None)
    scaled = config_of_entry(entry, changes | {"epochs": config.epochs, "input_size": config.input_size})
    if config.sizes == scaled.sizes:
        found.pop("sizes", None)
    return found


def differences(own: Mapping, other: Mapping) -> Differences:
    """Settings in which two trainings differ.

    Args:
        own, other: ``TrainConfig.to_dict()``, with the network as ``network`` where there is one, see
            :func:`network_of`. Its input size and arguments stand for those of the config.
    """
    own, other = _flat(own), _flat(other)
    return {
        name: (own.get(name), other.get(name))
        for name in {**other, **own}
        if own.get(name, ...) != other.get(name, ...)
    }


def told(found: Differences) -> str:
    """``epochs 30 instead of 100, input size 48 instead of 128``; empty where nothing differs."""
    return ", ".join(
        f"{name.replace('_', ' ')} {_value(own)} instead of {_value(other)}" for name, (own, other) in found.items()
    )


def told_of_run(run: Mapping, changes: Mapping | None = None) -> str:
    """:func:`told` of :func:`from_recipe`; empty where model or settings are not known, said where they are no more."""
    if run["model"] not in MODELS or not run.get("config"):
        return ""
    try:
        return told(from_recipe(run, changes))
    except FerError:
        return "settings that are no more"


def short(run: Mapping) -> str:
    """In few words by what settings a stored run was trained; empty where model or settings are not known.

    ``by the recipe``, ``by the recipe, random weights``, or ``12 epochs, 32 px, 11 more``.
    """
    if run["model"] not in MODELS or not run.get("config"):
        return ""
    try:
        found = from_recipe(run)
    except FerError:
        return "settings that are no more"
    start = found.pop("initial_weights", None)
    if not found:
        return "by the recipe" + (f", {_value(start[0])} weights" if start else "")
    first = [f"{found[name][0]} {unit}" for name, unit in UNITS.items() if name in found]
    name = next(iter(found))
    first = first or [f"{name.replace('_', ' ')} {_value(found[name][0])}"]
    others = len(found) - len(first)
    return ", ".join(first + ([f"{others} more"] if others else []))


def twins(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs whose names differ in the day or a number at most: same dataset, model and seed; two or more each."""
    found: dict[tuple, list[Run]] = {}
    for run in runs:
        found.setdefault((run.dataset, run.model, run.run.get("seed")), []).append(run)
    return [group for group in found.values() if len(group) > 1]


def _flat(settings: Mapping) -> dict:
    """Every setting by its own name, as plain JSON has it."""
    plain = json.loads(json.dumps(settings))
    network, augmentation = plain.pop("network", None), plain.pop("augmentation", {})
    if network is not None:
        plain |= {"arguments": {}, "input_size": 0} | network
    return (
        {name: value for name, value in plain.items() if name != "arguments"}
        | augmentation
        | plain.get("arguments", {})
    )


def _value(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


ONLY_WEIGHTS = told({"initial_weights": ("random", "imagenet")})  # what told_of_run says where nothing else differs
