"""Several classifiers that answer as one: the weighted mean of their probabilities. Loads without TensorFlow."""

from collections.abc import Sequence

import numpy as np

from fer_core.errors import ModelError
from fer_core.predictions import Classifier


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


def _shares(weights: Sequence[float] | None, n: int) -> np.ndarray:
    given = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or given.min() < 0 or given.sum() == 0:
        raise ModelError(
            f"Expected {n} weights, none negative and not all 0. Received {weights}.", "Give one weight per classifier."
        )
    return given / given.sum()
