"""Training settings as plain data. Loads without TensorFlow."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from fer_core.errors import ConfigError
from fer_core.masks import REGIONS
from fer_core.models.preprocess import EQUALIZERS
from fer_core.models.views import VIEWS

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "linear")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")
SELECTIONS = ("best", "last")
MONITORS = ("val_accuracy", "val_loss")
INITIAL_WEIGHTS = ("random", "imagenet")
SIDES = (8, 4096)  # pixels
NONE = "none"  # in place of changes of the recipe's augmentation: leave all of it out


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a training picture, drawn anew each time it is shown.

    Attributes:
        crop: side of the random crop as a fraction of the picture's side, 1 for none.
        flip: probability of a left-right flip.
        rotation: largest rotation, degrees.
        zoom: largest relative change of size.
        brightness: largest shift, as a fraction of the range 0..255.
        contrast: largest relative change of contrast.
        erase: probability that a random rectangle is filled with noise (Zhong et al. 2017).
        shear: largest shear, degrees.
        shift: largest shift along each axis, both ways, as a fraction of the picture's side.
    """

    crop: float = 1.0
    flip: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    erase: float = 0.0
    shear: float = 0.0
    shift: float = 0.0


# A zoom of 1 would shrink pictures to nothing, and a shift of 1 would leave nothing of them.
AUGMENTATION_RANGES: dict[str, tuple[float, float]] = {
    "crop": (0.1, 1),
    "flip": (0, 1),
    "rotation": (0, 180),
    "zoom": (0, 0.9),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "erase": (0, 1),
    "shear": (0, 80),
    "shift": (0, 0.9),
}


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Attributes:
        epochs: passes over the training split at most.
        batch_size: pictures per step.
        optimizer: ``sgd`` (Nesterov, momentum 0.9), ``adam`` or ``adamw``.
        learning_rate: the peak.
        schedule: what follows the warm-up: ``constant``, or ``cosine`` or ``linear`` to zero.
        warmup_epochs: linear from zero to the peak.
        weight_decay: decoupled; not applied to biases and normalisation.
        label_smoothing: mass taken from the true class and spread over all (Szegedy et al. 2016).
        mixup: alpha of the Beta distribution of mixup (Zhang et al. 2018), 0 for none; off in the last 15 % of epochs.
        ema: decay of the exponential moving average of the weights per step, 0 for none. Evaluated and kept are
            then the averaged weights.
        class_weight: weigh the loss by inverse class frequency.
        sizes: [[side in pixels, epochs], ...] for progressive resizing; empty trains at ``input_size``.
        patience: stop when ``monitor`` has not improved for so many epochs, 0 for never.
        min_delta: what an epoch must be better by than the last that improved, to count as improved for ``patience``
            (keras.callbacks.EarlyStopping's ``min_delta``); which weights are kept does not depend on it.
        select: which epoch's weights are kept, ``best`` (by ``monitor``, of those at the last size) or ``last``.
        monitor: ``val_accuracy`` or ``val_loss``: what ``patience`` and ``select`` go by.
        precision: ``auto`` takes mixed_bfloat16 where the processor has units for it, but for a head on features
            computed once, which it leaves in float32.
        tta: views averaged for the stored predictions, see ``fer_core.models.views``.
        seed: of weights, order and augmentation.
        augmentation: see :class:`Augmentation`.
        input_size: side in pixels that the network takes, 0 for the spec's own.
        initial_weights: ``random`` or ``imagenet``, see ``fer_core.models.backbones.load_imagenet``.
        trainable_layers: layers of the backbone that are trained, counted from its end; 0 trains the head alone, on
            features computed once; -1 trains everything.
        equalize: ``""``, ``hist`` or ``clahe``: equalisation of every picture, in prediction too.
        arguments: changes of the builder's, or estimator's, arguments in ``MODELS``, e.g. ``{"depth": 3}``.
        classes, dedupe, holdout, oversample, mask, faces: which pictures, see ``fer_core.training.preparation``.

    Raises:
        ConfigError: a value is out of range.
    """

    epochs: int = 30
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    ema: float = 0.0
    class_weight: bool = False
    sizes: list[list[int]] = field(default_factory=list)
    patience: int = 0
    select: str = "best"
    precision: str = "auto"
    tta: str = "none"
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    input_size: int = 0
    initial_weights: str = "random"
    trainable_layers: int = -1
    monitor: str = "val_accuracy"
    equalize: str = ""
    classes: list[str] = field(default_factory=list)
    dedupe: bool = False
    holdout: float = 0.0
    oversample: bool = False
    mask: str = ""
    faces: bool = False
    arguments: dict = field(default_factory=dict)
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        for values, prefix in ((self, ""), (self.augmentation, "augmentation.")):
            for one in dataclasses.fields(values):
                _type(prefix + one.name, getattr(values, one.name), one.type)
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        _choice("schedule", self.schedule, SCHEDULES)
        _choice("precision", self.precision, PRECISIONS)
        _choice("select", self.select, SELECTIONS)
        _choice("monitor", self.monitor, MONITORS)
        _choice("initial_weights", self.initial_weights, INITIAL_WEIGHTS)
        _choice("equalize", self.equalize, EQUALIZERS)
        _choice("tta", self.tta, tuple(VIEWS))
        _choice("mask", self.mask, ("", *REGIONS))
        _range("epochs", self.epochs, 1, 100_000)
        _range("batch_size", self.batch_size, 1, 100_000)
        _range("learning_rate", self.learning_rate, 1e-12, 100.0)
        _range("warmup_epochs", self.warmup_epochs, 0, self.epochs)
        _range("weight_decay", self.weight_decay, 0, 1)
        _range("label_smoothing", self.label_smoothing, 0, 0.99)
        _range("mixup", self.mixup, 0, 100)
        _range("ema", self.ema, 0, 0.999999)
        _range("holdout", self.holdout, 0, 0.9)
        _range("trainable_layers", self.trainable_layers, -1, 100_000)
        _range("patience", self.patience, 0, 100_000)
        _range("min_delta", self.min_delta, 0, 100)
        _range("seed", self.seed, 0, 2**32 - 1)
        if self.input_size:
            _range("input_size", self.input_size, *SIDES)
        for name, (low, high) in AUGMENTATION_RANGES.items():
            _range(f"augmentation.{name}", getattr(self.augmentation, name), low, high)
        for size, epochs in self.sizes:
            _range("a size in sizes", size, *SIDES)
            _range("epochs in sizes", epochs, 1, self.epochs)
        if self.sizes and sum(epochs for _, epochs in self.sizes) != self.epochs:
            raise ConfigError(
                f"The epochs of sizes {self.sizes} must add up to epochs = {self.epochs}.",
                "Change one of them, or leave sizes empty.",
            )

    def size_at(self, epoch: int, input_size: int) -> int:
        """Side in pixels that ``epoch`` (from 0) trains at."""
        end = 0
        for size, epochs in self.sizes:
            end += epochs
            if epoch < end:
                return size
        return input_size

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "TrainConfig":
        """Build from plain data; ``sizes`` is scaled to ``epochs`` where only the latter was changed.

        Raises:
            ConfigError: an unknown key or a value out of range.
        """
        values = dict(values)
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"Unknown training settings {unknown}.", f"Expected some of {sorted(known)}.")
        augmentation = values.pop("augmentation", {})
        if isinstance(augmentation, dict):
            wrong = {name: value for name, value in augmentation.items() if name not in AUGMENTATION_RANGES}
            if wrong:
                raise ConfigError(
                    f"There is no augmentation setting {', '.join(map(str, wrong))}. Received {wrong!r}.",
                    f"Expected some of {', '.join(AUGMENTATION_RANGES)}.",
                )
            augmentation = Augmentation(**augmentation)
        if not isinstance(augmentation, Augmentation):
            raise ConfigError(
                f"augmentation must be an object of settings. Received {augmentation!r}.",
                'For example {"flip": 0.5}; as a change of a recipe, none leaves all of it out.',
            )
        sizes, epochs = values.get("sizes") or [], values.get("epochs", cls.epochs)
        _type("sizes", sizes, list[list[int]])
        _type("epochs", epochs, int)
        values["sizes"] = rescale_sizes(sizes, epochs)
        return cls(augmentation=augmentation, **values)


def config_of_entry(entry: Mapping, changes: Mapping | None = None) -> TrainConfig:
    """The recipe of an entry of ``MODELS`` with ``changes``.

    Progressive ``sizes`` that are not among the changes are scaled to a changed ``input_size``, and to ``epochs``; of
    the recipe's augmentation what the changes do not name stays as it is, unless they say :data:`NONE`.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    recipe, changes = entry["recipe"], dict(changes or {})
    if "augmentation" in changes:
        changes["augmentation"] = merged_augmentation(recipe.get("augmentation", {}), changes["augmentation"])
    own, wanted = recipe.get("input_size") or entry["input_size"], changes.get("input_size")
    if isinstance(wanted, int) and wanted and recipe.get("sizes") and "sizes" not in changes:
        changes["sizes"] = [[round(size * wanted / own), epochs] for size, epochs in recipe["sizes"]]
    return TrainConfig.from_dict(recipe | changes)


def needed_changes(entry: Mapping, changes: Mapping) -> dict:
    """Those of ``changes`` of the recipe of ``entry`` that differ from it, with ``sizes`` where these are not implied.

    Raises:
        ConfigError: an unknown key or a value out of range.
    """
    wanted, own = config_of_entry(entry, changes), config_of_entry(entry).to_dict()
    needed = {name: value for name, value in changes.items() if name != "sizes" and value != own[name]}
    try:
        implied = config_of_entry(entry, needed).sizes
    except ConfigError:  # scaled, the recipe's would be too small, or too large
        implied = None
    return needed if implied == wanted.sizes else needed | {"sizes": wanted.sizes}


def merged_augmentation(before: Mapping, changed: object) -> object:
    """``before`` with what ``changed`` names; all of it off where that is :data:`NONE`."""
    if changed == NONE:
        return dataclasses.asdict(Augmentation())
    return dict(before) | dict(changed) if isinstance(changed, Mapping) else changed


def rescale_sizes(sizes: list[list[int]], epochs: int) -> list[list[int]]:
    """Stretch or shrink progressive resizing to ``epochs`` passes in all, keeping the shares."""
    total = sum(count for _, count in sizes)
    if total in (0, epochs):
        return [list(pair) for pair in sizes]
    bounds, seen = [], 0
    for _, count in sizes:
        seen += count
        bounds.append(round(epochs * seen / total))
    starts = [0, *bounds[:-1]]
    return [[size, end - start] for (size, _), start, end in zip(sizes, starts, bounds, strict=True) if end > start]


def _type(name: str, value: object, wanted: object) -> None:
    """Raise ConfigError where ``value`` is no ``wanted``, a field's type; whole numbers are floats too."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    if wanted == list[str]:
        fits, words = isinstance(value, list) and all(isinstance(item, str) for item in value), "a list of words"
    elif wanted == list[list[int]]:
        fits = isinstance(value, list) and all(_pair(item) for item in value)
        words = "a list of [side in pixels, epochs]"
    elif wanted is dict:
        fits, words = isinstance(value, dict), "an object of settings"
    elif wanted in kinds:
        allowed = (int, float) if wanted is float else wanted
        fits = isinstance(value, allowed) and (wanted is bool or not isinstance(value, bool))
        words = kinds[wanted]
    else:
        return
    if not fits:
        raise ConfigError(f"{name} must be {words}. Received {value!r}.")


def _pair(item: object) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and all(type(number) is int for number in item)


def _choice(name: str, value: str, options: tuple[str, ...]) -> None:
    if value not in options:
        raise ConfigError(f"{name} must be one of {', '.join(options)}. Received {value!r}.")


def _range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} must lie in {low}..{high}. Received {value}.")
