"""libsvm's decisions of many pictures at once: one product of matrices in place of a loop over the support vectors."""

import numpy as np
from sklearn.svm import SVC

from fer_core.models.svm import machine_of, with_machine

CHUNK_BYTES = 64 * 2**20  # of kernel values at once


class BatchedSVC(SVC):
    """A fitted :class:`sklearn.svm.SVC` with an RBF or polynomial kernel on dense features; it answers the same."""

    @classmethod
    def of(cls, machine: SVC) -> "BatchedSVC":
        """Shares all arrays with ``machine``."""
        batched = cls(**machine.get_params())
        vars(batched).update(vars(machine))
        batched._pairs = pair_coefficients(machine._dual_coef_, machine._n_support)
        batched._squares = np.square(machine.support_vectors_).sum(axis=1)
        return batched

    def _dense_decision_function(self, X: np.ndarray) -> np.ndarray:
        """Decision value of each pair of classes: float64 (N, K * (K - 1) / 2)."""
        X = np.asarray(X, np.float64)
        chunk = max(1, CHUNK_BYTES // (8 * len(self.support_vectors_)))
        values = np.empty((len(X), self._pairs.shape[1]))
        for start in range(0, len(X), chunk):
            part = slice(start, start + chunk)
            values[part] = self._kernel_values(X[part]) @ self._pairs + self._intercept_
        return values

    def _kernel_values(self, X: np.ndarray) -> np.ndarray:
        """Kernel between rows of ``X`` and the support vectors: float64 (N, S)."""
        products = X @ self.support_vectors_.T
        if self.kernel == "poly":
            return (self._gamma * products + self.coef0) ** self.degree
        distances = np.square(X).sum(axis=1)[:, None] + self._squares
        distances -= 2 * products
        return np.exp(distances * -self._gamma, out=distances)


def batched(pipeline):
    """A copy of a fitted calibrated pipeline that answers in batches; the pipeline itself where it has no kernel."""
    machine = machine_of(pipeline)
    if not (type(machine) is SVC and machine.kernel in ("rbf", "poly") and not machine._sparse):
        return pipeline
    return with_machine(pipeline, BatchedSVC.of(machine))


def pair_coefficients(dual: np.ndarray, n_support: np.ndarray) -> np.ndarray:
    """libsvm's packed coefficients as one column per pair of classes: float64 (S, K * (K - 1) / 2).

    Args:
        dual: (K - 1, S); for the pair of classes i < j, row j - 1 holds the coefficients of the support vectors of i,
            and row i those of j.
        n_support: (K,), support vectors per class, which lie one class after another.
    """
    ends = np.cumsum(n_support)
    of_class = [slice(end - count, end) for end, count in zip(ends, n_support, strict=True)]
    pairs = [(i, j) for i in range(len(n_support)) for j in range(i + 1, len(n_support))]
    out = np.zeros((dual.shape[1], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        out[of_class[i], column] = dual[j - 1, of_class[i]]
        out[of_class[j], column] = dual[i, of_class[j]]
    return out
