"""What a classifier says about a split: the one input of every metric."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from fer_core.errors import RunError


@runtime_checkable
class Classifier(Protocol):
    """Anything that turns face pictures into class probabilities.

    Resizing, grey/RGB conversion and scaling happen inside, so that no caller can get them wrong.
    """

    class_names: tuple[str, ...]

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Class probabilities float32 (N, K) of ``images`` uint8 (N, H, W) or (N, H, W, 3) in RGB order."""
        ...


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of one split, in the order of its samples.

    Attributes:
        sample_ids: str (N,), stable names of the pictures, unique.
        y_true: int64 (N,), positions in ``class_names``.
        pred_probs: float32 (N, K), rows that sum to 1.
        class_names: the K class names.

    Raises:
        RunError: shapes, ranges or ids contradict each other.
    """

    sample_ids: np.ndarray
    y_true: np.ndarray
    pred_probs: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_ids", np.asarray(self.sample_ids, dtype=str))
        object.__setattr__(self, "y_true", np.asarray(self.y_true, dtype=np.int64))
        object.__setattr__(self, "pred_probs", np.asarray(self.pred_probs, dtype=np.float32))
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        n, k = len(self.sample_ids), len(self.class_names)
        if self.y_true.shape != (n,) or self.pred_probs.shape != (n, k):
            raise RunError(
                f"Expected y_true ({n},) and pred_probs ({n}, {k}). "
                f"Received {self.y_true.shape} and {self.pred_probs.shape}."
            )
        if len(np.unique(self.sample_ids)) != n:
            raise RunError("Sample ids are not unique.")
        if n and (self.y_true.min() < 0 or self.y_true.max() >= k):
            raise RunError(f"y_true must lie in 0..{k - 1}. Received {self.y_true.min()}..{self.y_true.max()}.")
        if n and not np.allclose(self.pred_probs.sum(axis=1), 1.0, atol=1e-3):
            raise RunError("Rows of pred_probs must be finite and sum to 1.")

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def y_pred(self) -> np.ndarray:
        """Most probable class, int64 (N,)."""
        return self.pred_probs.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """Probability of the most probable class, float32 (N,)."""
        return self.pred_probs.max(axis=1)

    def take(self, where: np.ndarray) -> "Predictions":
        """The samples that ``where`` selects: a boolean mask (N,) or positions."""
        return Predictions(self.sample_ids[where], self.y_true[where], self.pred_probs[where], self.class_names)

    def save(self, path: Path) -> None:
        """Write a compressed ``.npz`` without pickled objects."""
        np.savez_compressed(
            path,
            sample_ids=self.sample_ids,
            y_true=self.y_true,
            pred_probs=self.pred_probs,
            class_names=np.array(self.class_names),
        )

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read what :meth:`save` wrote.

        Raises:
            RunError: the file is missing, is no such archive or lacks an array.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ("sample_ids", "y_true", "pred_probs", "class_names")}
        except FileNotFoundError as error:
            raise RunError(f"{path} is missing.", "Evaluate the run again.") from error
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise RunError(f"{path} is no predictions file: {error}.", "Evaluate the run again.") from error
        except Exception as error:  # zipfile.BadZipFile, zlib.error: a truncated archive
            raise RunError(f"{path} is damaged: {error}.", "Evaluate the run again.") from error
        return cls(**arrays)
