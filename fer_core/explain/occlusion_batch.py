"""Hide the same part of many faces, each at its own place: what changes, how often the class flips, and where to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_core import masks, metrics
from fer_core.errors import ConfigError
from fer_core.explain.conditions import control_seed
from fer_core.explain.ranking import estimates
from fer_core.metrics import FEWEST
from fer_core.predictions import Classifier

CHUNK = 256  # pictures per call of the classifier
N_BOOT = 1000


@dataclass(frozen=True)
class BatchEffect:
    """What one mask does to N faces, beside random masks of each one's area.

    Attributes:
        class_names: the K class names.
        before, after: float32 (N, K), probabilities of the whole and of the masked faces.
        controls: float32 (N, S, K), under S random masks of the same area.
        areas: float64 (N,), hidden share of each picture.
    """

    class_names: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray
    controls: np.ndarray
    areas: np.ndarray

    @property
    def flipped(self) -> np.ndarray:
        """Whether the mask changes the most probable class: bool (N,)."""
        return self.before.argmax(axis=1) != self.after.argmax(axis=1)

    @property
    def control_flips(self) -> np.ndarray:
        """Share of the random masks that change it: float64 (N,); NaN without any."""
        if not self.controls.shape[1]:
            return np.full(len(self.before), np.nan)
        return (self.controls.argmax(axis=2) != self.before.argmax(axis=1)[:, None]).mean(axis=1)


def draw_controls(hidden: Sequence[np.ndarray], seeds: Iterable[int], first: int = 0) -> list[np.ndarray]:
    """Random masks of each of several faces: bool (S, H, W) each, see :func:`fer_core.masks.moved_masks`.

    Args:
        hidden: bool (H, W) each.
        seeds: a random mask per face and seed; no two faces have the same.
        first: place of the first face among all, so that parts of a batch have the random masks of the whole.
    """
    seeds = list(seeds)
    return [
        masks.moved_masks(mask, [control_seed(seed, place) for seed in seeds])
        for place, mask in enumerate(hidden, start=first)
    ]


def batch_effect(
    classifier: Classifier,
    images: Sequence[np.ndarray],
    hidden: Sequence[np.ndarray],
    controls: Sequence[np.ndarray],
    fill: str = "zero",
) -> BatchEffect:
    """Classify faces whole, masked, and under random masks of the same area, in bounded batches.

    Args:
        images: uint8 (H, W) or (H, W, 3) each; sizes may differ.
        hidden: bool (H, W) each.
        controls: bool (S, H, W) each, the same for all classifiers that are compared: :func:`draw_controls`.
        fill: one of ``masks.FILLS``.

    Raises:
        ConfigError: unknown fill, or masks that do not fit.
    """
    counts = {len(drawn) for drawn in controls}
    if not len(images) == len(hidden) == len(controls) or len(counts) > 1:
        raise ConfigError(
            f"Expected a mask per face, and as many random ones for each. Received {len(images)} faces, {len(hidden)} "
            f"masks and random masks of {len(controls)} faces, {sorted(counts)} each."
        )
    answers = np.zeros((len(images), 2 + max(counts, default=0), len(classifier.class_names)), np.float32)
    for shape in sorted({image.shape for image in images}):
        where = [place for place, image in enumerate(images) if image.shape == shape]
        step = max(CHUNK // answers.shape[1], 1)
        for start in range(0, len(where), step):
            some = where[start : start + step]
            shown = [_versions(images[at], hidden[at], controls[at], fill) for at in some]
            answers[some] = classifier.predict_proba(np.concatenate(shown)).reshape(len(some), *answers.shape[1:])
    areas = np.array([mask.mean() for mask in hidden], np.float64)
    return BatchEffect(tuple(classifier.class_names), answers[:, 0], answers[:, 1], answers[:, 2:], areas)


def join(parts: Sequence[BatchEffect]) -> BatchEffect:
    """Parts of a batch, in order, as one."""
    arrays = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("before", "after", "controls", "areas")
    )
    return BatchEffect(parts[0].class_names, *arrays)


def face_frame(effects: Mapping[str, BatchEffect], faces: Sequence[Mapping]) -> pd.DataFrame:
    """A row per run and face.

    Args:
        effects: run -> its effect on the same faces.
        faces: what is known of each face; these columns come first.

    Returns:
        Columns run, those of ``faces``, whole and masked (most probable classes), flipped, p_whole and p_masked (of the
        class of the whole face), shift (the latter minus the former), control_flips (share of random masks that flip),
        control_shift (mean), hidden (share of the picture).
    """
    rows = []
    for run, effect in effects.items():
        flips, flipped = effect.control_flips, effect.flipped
        for place, face in enumerate(faces):
            top, after = int(effect.before[place].argmax()), int(effect.after[place].argmax())
            p_whole, p_masked = float(effect.before[place, top]), float(effect.after[place, top])
            others = effect.controls[place, :, top]
            row = {"run": run, **face, "whole": effect.class_names[top], "masked": effect.class_names[after]}
            row |= {"flipped": bool(flipped[place]), "p_whole": p_whole, "p_masked": p_masked}
            row |= {"shift": p_masked - p_whole, "control_flips": flips[place]}
            row |= {"control_shift": float(others.mean()) - p_whole if len(others) else np.nan}
            rows.append(row | {"hidden": effect.areas[place]})
    return pd.DataFrame(rows)


def summary_frame(effects: Mapping[str, BatchEffect], labels: Sequence[str] | None = None) -> pd.DataFrame:
    """A row per run with 95 % intervals over the faces (``_low``, ``_high``).

    Rates have Wilson's interval, which for the mean rate of several random masks is rather too wide. That of ``beyond``
    is a bootstrap interval, NaN below :data:`FEWEST` faces and where all faces say the same.

    Args:
        labels: the true class of each face, where it is known.

    Returns:
        Columns run, n, flips, flip_rate, control_flip_rate and beyond (flip_rate minus control_flip_rate; NaN without
        random masks); with labels also accuracy and masked_accuracy.
    """
    rows = []
    for run, effect in effects.items():
        n, values = len(effect.before), {"flip_rate": effect.flipped}
        if effect.controls.shape[1]:
            values["control_flip_rate"] = effect.control_flips
        if labels is not None:
            names, true = np.array(effect.class_names), np.asarray(labels)
            values |= {
                "accuracy": names[effect.before.argmax(axis=1)] == true,
                "masked_accuracy": names[effect.after.argmax(axis=1)] == true,
            }
        row: dict = {"run": run, "n": n, "flips": int(effect.flipped.sum())}
        for name, of_faces in values.items():
            rate = float(of_faces.mean())
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), (rate, *metrics.wilson(rate, n)), strict=True))
        rows.append(row | _beyond(effect))
    wanted = [
        "flip_rate",
        "control_flip_rate",
        "beyond",
        *(["accuracy", "masked_accuracy"] if labels is not None else []),
    ]
    columns = ["run", "n", "flips", *(name + end for name in wanted for end in ("", "_low", "_high"))]
    return pd.DataFrame(rows, columns=columns)


def flow_frame(effect: BatchEffect) -> pd.DataFrame:
    """Where predictions go under the mask: columns before, after, count, share (of those predicted as before).

    Pairs of classes that occur, in the order of the classes; faces that keep their class too.
    """
    k = len(effect.class_names)
    before, after = effect.before.argmax(axis=1), effect.after.argmax(axis=1)
    counts = np.bincount(before * k + after, minlength=k * k).reshape(k, k)
    rows = [
        (effect.class_names[i], effect.class_names[j], int(counts[i, j]), counts[i, j] / counts[i].sum())
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]
    return pd.DataFrame(rows, columns=["before", "after", "count", "share"])


def _beyond(effect: BatchEffect) -> dict[str, float]:
    """Flips beyond those by random masks, with their interval where there is one; nothing without random masks."""
    if not effect.controls.shape[1]:
        return {}
    values = effect.flipped - effect.control_flips
    found = {"beyond": float(values.mean()), "beyond_low": np.nan, "beyond_high": np.nan}
    if len(values) < FEWEST or not np.ptp(values):
        return found
    estimate = estimates({"beyond": values}, metrics.resamples(len(values), N_BOOT))["beyond"]
    return found | {"beyond_low": estimate.low, "beyond_high": estimate.high}


def _versions(image: np.ndarray, mask: np.ndarray, drawn: np.ndarray, fill: str) -> np.ndarray:
    """The face whole, masked, and under each random mask: uint8 (2 + S, ...)."""
    return np.concatenate([image[None], masks.apply(image, np.concatenate([mask[None], drawn]), fill)])
