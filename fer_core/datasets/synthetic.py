"""Drawn faces for tests and for pages without a registered dataset; nobody's picture, and labelled as drawn.

Each expression is a set of action units of the Facial Action Coding System (Ekman & Friesen 1978) as EMFACS lists them
(Friesen & Ekman 1983); everything else about a face is drawn at random from its seed.
"""

import numpy as np

from fer_core.datasets.drawing import Look, draw
from fer_core.datasets.split import Dataset, Split, fingerprint, picture_digests
from fer_core.errors import DatasetError
from fer_core.labels import CLASS_NAMES, canonical_name

# Class -> action unit -> full strength.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "angry": {"AU4": 1.0, "AU5": 0.35, "AU7": 0.8, "AU23": 1.0, "AU17": 0.4},
    "disgust": {"AU9": 1.0, "AU10": 1.0, "AU4": 0.45, "AU7": 0.5, "AU15": 0.35, "AU17": 0.5, "AU25": 0.5},
    "fear": {"AU1": 1.0, "AU2": 0.55, "AU4": 0.6, "AU5": 1.0, "AU20": 1.0, "AU25": 1.0, "AU26": 0.12},
    "happy": {"AU6": 1.0, "AU12": 1.0, "AU25": 1.0},
    "sad": {"AU1": 1.0, "AU4": 0.45, "AU15": 1.0, "AU17": 0.7},
    "surprise": {"AU1": 1.0, "AU2": 1.0, "AU5": 0.9, "AU26": 1.0},
    "neutral": {},
}
WEAKEST = 0.65  # share of the full strength that every expression shows at least
STYLES = ("short", "short", "long", "fringe", "bald")


def random_look(rng: np.random.Generator) -> Look:
    """A look drawn at random: identity, pose, light and noise."""
    skin = rng.uniform(105, 215)
    uniform = rng.uniform
    return Look(
        skin=skin,
        hair=float(rng.choice([uniform(18, 60), uniform(18, 60), uniform(60, 110), uniform(140, 190)])),
        background=uniform(30, 200),
        style=str(rng.choice(STYLES)),
        width=uniform(0.64, 0.75),
        jaw=uniform(0.2, 0.6),
        eye_size=uniform(0.9, 1.12),
        eye_gap=uniform(0.94, 1.06),
        brow_weight=uniform(0.7, 1.5),
        nose_length=uniform(0.88, 1.15),
        mouth_width=uniform(0.88, 1.12),
        lips=uniform(0.7, 1.3),
        glasses=bool(rng.random() < 0.1),
        beard=float(uniform(0.3, 0.8)) if rng.random() < 0.15 else 0.0,
        age=uniform(0, 1),
        yaw=uniform(-0.28, 0.28),
        pitch=uniform(-0.12, 0.12),
        roll=uniform(-10, 10),
        scale=uniform(1.0, 1.2),
        shift=(uniform(-0.07, 0.07), uniform(-0.07, 0.07)),
        light=(uniform(-0.7, 0.7), uniform(-0.7, 0.1)),
        contrast=uniform(0.25, 0.75),
        gaze=(uniform(-0.6, 0.6), uniform(-0.4, 0.4)),
        blur=uniform(0, 0.7),
        noise=uniform(1, 7),
        seed=int(rng.integers(2**31)),
    )


def face(
    label: str,
    *,
    rng: np.random.Generator | int | None = None,
    look: Look | None = None,
    strength: float | None = None,
    size: int = 96,
) -> np.ndarray:
    """One drawn face: grey uint8 (size, size).

    Args:
        label: an expression or a usual variant of its name.
        rng: a generator or a seed; seed 0 by default.
        look: identity, pose and light; at random by default.
        strength: of the expression, 0..1; at random from ``WEAKEST`` to 1 by default.
        size: side in pixels, at least 16.

    Raises:
        DatasetError: the label is none of the seven expressions, or the size is too small.
    """
    if size < 16:
        raise DatasetError(f"Cannot draw a face of {size} pixels.", "Use 16 or more.")
    units = EXPRESSIONS[canonical_name(label)]
    rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(0 if rng is None else rng)
    look = look or random_look(rng)
    if strength is None:
        shown = {unit: full * rng.uniform(WEAKEST, 1) for unit, full in units.items()}
    else:
        shown = {unit: full * strength for unit, full in units.items()}
    return draw(shown, look, size)


def faces(
    n: int, *, size: int = 96, seed: int = 0, class_names: tuple[str, ...] = CLASS_NAMES, prefix: str = "Drawn"
) -> Split:
    """``n`` drawn faces, the classes in turn; face ``i`` depends on ``seed`` and ``i`` alone.

    Args:
        n: how many.
        size: side in pixels.
        seed: another seed draws other faces.
        class_names: classes to draw, any of the seven expressions.
        prefix: of the sample ids, ``Drawn_00000`` and so on.
    """
    y_true = np.arange(n, dtype=np.int64) % len(class_names)
    pictures = np.empty((n, size, size), np.uint8)
    for i in range(n):
        pictures[i] = face(class_names[y_true[i]], rng=np.random.default_rng([seed, i]), size=size)
    ids = np.array([f"{prefix}_{i:05d}" for i in range(n)], dtype=str)
    return Split(ids, pictures, y_true, tuple(class_names), _fingerprint({prefix: (pictures, y_true)}, class_names))


def dataset(n_train: int = 280, n_val: int = 70, n_test: int = 70, *, size: int = 48, seed: int = 0) -> Dataset:
    """A dataset of drawn faces, named ``drawn``; no face stands in two splits."""
    counts = {"train": n_train, "val": n_val, "test": n_test}
    drawn = {
        name: faces(n, size=size, seed=3 * seed + at, prefix=f"Drawn_{name}")
        for at, (name, n) in enumerate(counts.items())
        if n
    }
    found = _fingerprint({name: (split.images, split.y_true) for name, split in drawn.items()}, CLASS_NAMES)
    splits = {
        name: Split(split.sample_ids, split.images, split.y_true, split.class_names, found)
        for name, split in drawn.items()
    }
    info = {"format": "drawn by FERscope", "drawn": True, "notes": ["Drawn faces: no photographs."], "left_out": 0}
    return Dataset("drawn", splits, found, info)


def _fingerprint(splits: dict[str, tuple[np.ndarray, np.ndarray]], class_names: tuple[str, ...]) -> str:
    digested = {name: (picture_digests(pictures), y_true) for name, (pictures, y_true) in splits.items()}
    return fingerprint(digested, tuple(class_names))
