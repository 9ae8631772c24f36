"""Weights as half-precision ``.npz``: small, no pickle, the same on every Keras backend.

Arrays with a value that half precision cannot hold stay in single precision: batch normalisation of pixels in 0..255
can have variances above 65504, which would become infinite and silence their channels.
"""

from pathlib import Path

import keras
import numpy as np

from fer_core.errors import ModelError


def half_precision(values: list[np.ndarray]) -> list[np.ndarray]:
    """Round arrays to what :func:`save_weights` keeps of them; float32 stays the type."""
    return [_small(value).astype(np.float32) for value in values]


def save_weights(network: keras.Model, path: Path) -> None:
    """Write the network's weights, in its own order, as float16 (float32 where they are too large for that)."""
    arrays = {f"{index:03d}": _small(value) for index, value in enumerate(network.get_weights())}
    np.savez_compressed(path, **arrays)


def load_weights(network: keras.Model, path: Path) -> None:
    """Set the weights that :func:`save_weights` wrote.

    Raises:
        ModelError: the file is damaged, or its shapes are another network's.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = [archive[name].astype(np.float32) for name in sorted(archive.files)]
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing.", "Train the model again.") from error
    except Exception as error:  # BadZipFile, zlib.error, ValueError: all mean a damaged archive
        raise ModelError(f"{path} is damaged: {error}.", "Restore it from git or train the model again.") from error
    expected = [tuple(value.shape) for value in network.weights]
    received = [value.shape for value in arrays]
    if expected != received:
        raise ModelError(
            f"{path} holds weights of another network: expected {len(expected)} arrays, received {len(received)}"
            f"{_first_difference(expected, received)}.",
            "Check the model name in run.json.",
        )
    network.set_weights(arrays)


def _small(value: np.ndarray) -> np.ndarray:
    largest = np.abs(value).max(initial=0)
    return np.asarray(value, np.float16 if largest <= np.finfo(np.float16).max else np.float32)


def _first_difference(expected: list, received: list) -> str:
    for index, (want, got) in enumerate(zip(expected, received, strict=False)):
        if want != got:
            return f"; array {index} is {got}, not {want}"
    return ""
