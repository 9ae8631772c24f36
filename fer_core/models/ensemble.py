"""Several classifiers, or their stored answers, as one: the weighted mean of probabilities. Needs no TensorFlow."""

from collections.abc import Sequence

import numpy as np

from fer_core.errors import ModelError, RunError
from fer_core.predictions import Classifier, Predictions


class Ensemble:
    """A :class:`~fer_core.predictions.Classifier` made of others.

    Attributes:
        members: the classifiers, of any kind; ensembles too.
        weights: float64 (M,), how much each counts; they add up to 1.
        class_names: in the order of its answers. The members may name the same classes in other orders.

    Args:
        classifiers: at least one.
        weights: one per classifier, not negative; equal ones without.
        names: one per classifier, for messages; ``member 1``, ``member 2`` and so on without.
        class_names: the first member's without.

    Raises:
        ModelError: no member, other classes, or weights that do not fit.
    """

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        weights: Sequence[float] | None = None,
        names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.members: tuple[Classifier, ...] = tuple(classifiers)
        if not self.members:
            raise ModelError("An ensemble needs members.", "Give at least one classifier.")
        self.class_names: tuple[str, ...] = tuple(class_names or self.members[0].class_names)
        self.names: tuple[str, ...] = tuple(names or (f"member {place}" for place in range(1, len(self.members) + 1)))
        if len(self.names) != len(self.members):
            raise ModelError(f"Expected {len(self.members)} names. Received {len(self.names)}.")
        self.weights: np.ndarray = _shares(weights, len(self.members))
        self._orders = [self._order(place) for place in range(len(self.members))]

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Weighted mean probabilities float32 (N, K) of ``images`` uint8 (N, H, W) or (N, H, W, 3)."""
        answers = (
            weight * np.asarray(member.predict_proba(images), np.float64)[:, order]
            for member, weight, order in zip(self.members, self.weights, self._orders, strict=True)
            if weight > 0
        )
        return np.asarray(sum(answers), np.float32)

    def member_classes(self, place: int, classes: np.ndarray) -> np.ndarray:
        """Positions of this ensemble's ``classes`` int (N,) in the class names of the member at ``place``."""
        return self._orders[place][classes]

    def _order(self, place: int) -> np.ndarray:
        """Where the member at ``place`` has each class: int64 (K,)."""
        own = tuple(self.members[place].class_names)
        if len(own) != len(self.class_names) or set(own) != set(self.class_names):
            raise ModelError(
                f"{self.names[place]} knows {', '.join(own)}, and the ensemble {', '.join(self.class_names)}.",
                "Only models of the same classes can answer together.",
            )
        return np.array([own.index(name) for name in self.class_names])


def ensemble_of(classifier: Classifier) -> Ensemble | None:
    """The ensemble that ``classifier`` is, or answers for as a ``Predictor`` does; None for other models."""
    if getattr(classifier, "network", None) is None:
        classifier = getattr(classifier, "classifier", classifier)
    return classifier if isinstance(classifier, Ensemble) else None


def aligned(predictions: Sequence[Predictions], names: Sequence[str]) -> list[Predictions]:
    """The same samples in the same order, with classes in the order of the first.

    Raises:
        RunError: they are of other samples, or know other classes; ``names`` are for the message.
    """
    first = predictions[0]
    found = []
    for one, name in zip(predictions, names, strict=True):
        if set(one.class_names) != set(first.class_names):
            raise RunError(
                f"{name} knows {', '.join(one.class_names)}, and {names[0]} {', '.join(first.class_names)}.",
                "Only models of the same classes can answer together.",
            )
        rows = {sample_id: row for row, sample_id in enumerate(one.sample_ids.tolist())}
        if set(rows) != set(first.sample_ids.tolist()):
            raise RunError(f"{name} and {names[0]} were measured on other pictures.", "Choose runs of one dataset.")
        order = one.take(np.array([rows[sample_id] for sample_id in first.sample_ids.tolist()], np.int64))
        columns = [one.class_names.index(label) for label in first.class_names]
        found.append(Predictions(first.sample_ids, first.y_true, order.pred_probs[:, columns], first.class_names))
    return found


def mean_of(predictions: Sequence[Predictions], weights: Sequence[float]) -> Predictions:
    """Weighted mean of aligned predictions."""
    first, shares = predictions[0], np.asarray(weights, np.float64) / np.sum(weights)
    mean = np.tensordot(shares, np.stack([one.pred_probs for one in predictions]).astype(np.float64), axes=1)
    return Predictions(first.sample_ids, first.y_true, mean.astype(np.float32), first.class_names)


def _shares(weights: Sequence[float] | None, n: int) -> np.ndarray:
    given = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or given.min() < 0 or given.sum() == 0:
        raise ModelError(
            f"Expected {n} weights, none negative and not all 0. Received {weights}.", "Give one weight per classifier."
        )
    return given / given.sum()
