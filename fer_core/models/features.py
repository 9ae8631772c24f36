"""What estimators are fitted on: numbers drawn from grey face pictures by plain functions, registered in ``FEATURES``.

Each function takes uint8 (N, H, W) and settings, and gives float32 (N, D).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from fer_core import faces
from fer_core.datasets.split import picture_digests
from fer_core.errors import ModelError
from fer_core.models.hog import blocks
from fer_core.storage import sha256, write_atomically

ENLARGED = 192  # side in pixels at which landmarks are looked for: the detector needs faces of more than 48
STORE_EVERY = 1000  # pictures between two writes of the landmark cache
TOGETHER = 50  # pictures whose landmarks are looked for at once; STORE_EVERY is a multiple
PAIRS = tuple(combinations(range(len(faces.LANDMARKS)), 2))
CANONICAL = np.array([faces.FRAME[name] for name in faces.LANDMARKS])

Progress = Callable[[int, int], None]


def pixels(images: np.ndarray) -> np.ndarray:
    """Brightness of every pixel, row by row, in 0..1: float32 (N, H * W)."""
    return images.reshape(len(images), int(np.prod(images.shape[1:]))).astype(np.float32) / 255


def hog(images: np.ndarray, cells: Sequence[int] = (6,)) -> np.ndarray:
    """Histograms of oriented gradients (Dalal & Triggs 2005): float32 (N, D), for each size of cell one after another.

    Blocks of 2 x 2 cells with a stride of one cell, L2-Hys normalised.

    Args:
        cells: sides of the cells in pixels.

    Raises:
        ModelError: H and W are no multiples of a cell, or a block of four does not fit.
    """
    height, width = images.shape[1:]
    for cell in cells:
        if height % cell or width % cell or cell * 2 > min(height, width):
            raise ModelError(
                f"HOG cells of {cell} pixels do not tile pictures of {height} x {width} by two each way or more.",
                "Choose a smaller divisor of both.",
            )
    return np.hstack([blocks(images, cell) for cell in cells])


def landmarks(images: np.ndarray, cache: Path | None = None, on_progress: Progress | None = None) -> np.ndarray:
    """Distances and angles between the eyes, the nose and the corners of the mouth: float32 (N, 21).

    See :func:`landmark_geometry`; ``benchmarks/faces.py`` times how long finding them takes.

    Args:
        cache: file (``.npz``) that keeps the points of pictures seen before.
        on_progress: called with pictures done and pictures in all.
    """
    return landmark_geometry(*landmark_points(images, cache, on_progress))


def embedding(images: np.ndarray, run: str, weights_sha256: str) -> np.ndarray:
    """Output of the pooling layer of a stored run's network, the last before its classification: float32 (N, D).

    The network has been trained on its own training pictures, so what is fitted on their embeddings looks better there,
    in cross-validation too, than it is.

    Args:
        run: name of the run.
        weights_sha256: of its weights, as in its ``run.json``.

    Raises:
        ModelError: the run is not there, has no weights, or has others.
    """
    classifier, pooled = _pooled(str(_weights(run, weights_sha256)), run)
    if not len(images):
        return np.zeros((0, pooled.output_shape[-1]), np.float32)
    batches = [pooled.predict(classifier.preprocess(part), batch_size=256, verbose=0) for part in _chunks(images, 2048)]
    return np.concatenate(batches).astype(np.float32)


FEATURES: dict[str, Callable[..., np.ndarray]] = {
    "pixels": pixels,
    "hog": hog,
    "landmarks": landmarks,
    "embedding": embedding,
}


def extract(
    images: np.ndarray,
    names: Sequence[str],
    settings: dict[str, dict] | None = None,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> np.ndarray:
    """Several features side by side.

    Args:
        images: uint8 (N, H, W).
        names: keys of ``FEATURES``.
        settings: feature -> its keyword arguments.
        cache: folder that keeps what is slow to compute; nothing is kept without one.
        on_progress: called with pictures done and pictures in all by features that take long.

    Returns:
        float32 (N, D).

    Raises:
        ModelError: unknown feature, none at all, or one that cannot be computed.
    """
    unknown = [name for name in names if name not in FEATURES]
    if unknown or not names:
        raise ModelError(
            f"Unknown features {', '.join(unknown)}." if unknown else "No features were named.",
            f"Expected some of {', '.join(FEATURES)}.",
        )
    found = []
    for name in names:
        arguments = dict((settings or {}).get(name, {}))
        if name == "landmarks":
            arguments |= {"cache": cache / "landmarks.npz" if cache else None, "on_progress": on_progress}
        found.append(FEATURES[name](images, **arguments))
    return np.hstack(found)


def landmark_geometry(points: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Shape of a face, whatever its place, size and tilt: float32 (N, 21).

    Args:
        points: (N, 5, 2), x and y in the order of ``faces.LANDMARKS``; the eyes must not coincide.
        found: bool (N,), whether the points are of a face that was seen.

    Returns:
        For the 10 pairs of points their distances, in eye distances; then the angles from the line of the eyes to the
        lines of the pairs, in radians, clockwise as seen; then ``found``.
    """
    first, second = (points[:, [pair[end] for pair in PAIRS]] for end in (0, 1))
    lines = second - first  # the first pair is the two eyes
    length = np.linalg.norm(lines, axis=2)
    angle = np.arctan2(lines[..., 1], lines[..., 0])
    turned = angle - angle[:, :1]
    turned = np.arctan2(np.sin(turned), np.cos(turned))  # back into -pi..pi
    return np.column_stack([length / length[:, :1], turned, found]).astype(np.float32)


def landmark_points(
    images: np.ndarray, cache: Path | None = None, on_progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The five landmarks of the most certain face in each picture.

    Returns:
        points: float32 (N, 5, 2), x and y as shares of the picture's width and height; those of ``faces.FRAME`` where
            no face is found.
        found: bool (N,).
    """
    known = _read_points(cache)
    digests = picture_digests(images).tolist()
    where = {digest: index for index, digest in enumerate(digests) if digest not in known}
    unknown = sorted(where.values())
    for start in range(0, len(unknown), TOGETHER):
        part = unknown[start : start + TOGETHER]
        known |= zip([digests[index] for index in part], _landmarks_of([images[index] for index in part]), strict=True)
        done = start + len(part)
        if done % STORE_EVERY == 0 or done == len(unknown):
            _write_points(cache, known)
        if on_progress:
            on_progress(len(images) - len(unknown) + done, len(images))
    if on_progress and not unknown:
        on_progress(len(images), len(images))
    rows = np.array([known[digest] for digest in digests], np.float32).reshape(-1, 11)
    return rows[:, :10].reshape(-1, 5, 2), rows[:, 10] > 0


def _landmarks_of(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Ten coordinates as shares of the picture, and 1 or 0 for found or not: float32 (11,) per picture."""
    side = (ENLARGED, ENLARGED)
    large = [cv2.resize(np.ascontiguousarray(image), side, interpolation=cv2.INTER_CUBIC) for image in images]
    return [_landmark_row(found) for found in faces.detect_each(large)]


def _landmark_row(found: list[faces.Face]) -> np.ndarray:
    points = CANONICAL
    if found:
        best = max(found, key=lambda face: face.score)
        points = np.array([best.landmarks[name] for name in faces.LANDMARKS]) / ENLARGED
    usable = bool(found) and np.linalg.norm(points[1] - points[0]) > 1 / ENLARGED
    return np.append(points if usable else CANONICAL, usable).astype(np.float32)


def _read_points(cache: Path | None) -> dict[str, np.ndarray]:
    if cache is None or not cache.is_file():
        return {}
    try:
        with np.load(cache, allow_pickle=False) as stored:
            return dict(zip(stored["digests"].tolist(), stored["rows"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ModelError(f"{cache} is damaged: {error}.", "Delete it; it will be computed again.") from error


def _write_points(cache: Path | None, known: dict[str, np.ndarray]) -> None:
    if cache is None:
        return
    digests, rows = np.array(list(known), "U64"), np.array(list(known.values()), np.float32)
    write_atomically(cache, lambda file: np.savez_compressed(file, digests=digests, rows=rows))


def _weights(run: str, weights_sha256: str) -> Path:
    """Path of the run's weights, once it is sure that they are the ones meant."""
    from fer_core import artifacts
    from fer_core.errors import RunError

    remedy = "Restore it from git, or name another run and its weights_sha256 in the model's arguments and train again."
    try:
        path = artifacts.find_run(run).weights_path
    except RunError as error:
        raise ModelError(f"Embeddings need the run {run}, which is not there: {error.problem}", remedy) from error
    if path is None:
        raise ModelError(f"Embeddings need the weights of {run}, which it does not ship.", remedy)
    if sha256(path) != weights_sha256:
        raise ModelError(f"The weights of {run} are not the ones the embeddings were made with.", remedy)
    return path


@lru_cache(maxsize=1)
def _pooled(path: str, run: str):
    """The run's classifier, and its network up to the pooling layer; ``path`` tells artifacts folders apart."""
    import keras

    from fer_core import artifacts
    from fer_core.models.registry import load_classifier

    classifier = load_classifier(artifacts.find_run(run))
    try:
        pooled = classifier.network.get_layer("pool")
    except (AttributeError, ValueError) as error:
        raise ModelError(f"{run} has no layer called pool.", "Choose the run of a network that ends in one.") from error
    return classifier, keras.Model(classifier.network.inputs, pooled.output)


def _chunks(images: np.ndarray, size: int):
    return (images[start : start + size] for start in range(0, len(images), size))
