"""MTCNN, the cascade of three small networks that finds faces and five landmarks in each.

Zhang, Zhang, Li and Qiao: Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks, IEEE
Signal Processing Letters 23(10), 2016; section II describes the stages and their thresholds.

Why MTCNN: eye positions are needed to align a face, the ``mtcnn`` package (MIT) carries its weights in the wheel, so
that nothing is downloaded, and it runs on the TensorFlow that is there anyway. OpenCV 5 has no Haar cascades any more,
and its YuNet, like RetinaFace and MediaPipe, needs a model file to be fetched first.

Only the networks are taken from the package; the cascade is run here, for two reasons found by trying. The package
holds the overlaps of all pairs of boxes in memory (a group photo of a thousand small faces asked for tens of GB), and
any ``min_face_size`` but 20 makes it return no face at all (its image pyramid then ends below 12 pixels). On pictures
where both work they agree within a third of a pixel at 48 x 48, and this one takes a third of the time. Pictures of one
size go through each network together: for small ones most of the time is the calls, not the arithmetic.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import cv2
import numpy as np

from fer_core.errors import ModelError

MIN_FACE = 20  # pixels in the picture that is searched
CELL, STRIDE, PYRAMID_FACTOR = 12, 2, 0.709
THRESHOLDS = (0.6, 0.7, 0.9)  # of proposal, refinement and output network
MAX_PROPOSALS = 2000  # kept per scale and altogether, the most certain first: bounds memory and time
TOGETHER = 2_000_000  # pixels of pictures that are searched at once, which bounds memory too

# One search at a time: the networks are small, and two cascades at once would only share the same cores.
_lock = threading.Lock()


def detect(image: np.ndarray, min_face: float = MIN_FACE) -> np.ndarray:
    """Faces in ``image`` uint8 (H, W, 3) RGB, the most certain first; see :func:`detect_each`."""
    return next(detect_each(image[None], min_face))


def detect_each(images: Sequence[np.ndarray], min_face: float = MIN_FACE) -> Iterator[np.ndarray]:
    """Faces in each of ``images``, all uint8 (H, W, 3) RGB of one size; as many as fit are searched together.

    What a picture is searched together with changes its numbers in the last digits of float32 only.

    Args:
        min_face: side of the smallest face looked for, in pixels, at least 12.

    Yields:
        float64 (N, 15) per picture, the most certain face first: left, top, right, bottom, score 0..1, then x, y of
        left eye, right eye, nose, left and right mouth corner ("left" as seen by the viewer); pixels, may lie outside
        of the picture.

    Raises:
        ModelError: TensorFlow or the ``mtcnn`` package is missing.
    """
    for part in _parts(images):
        with _lock:
            propose, refine, output = _networks()
            normalized = [(image.astype(np.float32) - 127.5) / 128.0 for image in part]
            boxes = _proposals(normalized, propose, max(min_face, CELL))
            boxes = _refined(normalized, boxes, refine)
            found = _landmarked(normalized, boxes, output)
        yield from found


def suppress(boxes: np.ndarray, threshold: float, by_smaller: bool = False) -> np.ndarray:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 5 or more): left, top, right, bottom, score, ...
        threshold: overlap beyond which the less certain of two boxes goes.
        by_smaller: overlap is the intersection over the smaller box rather than over the union.

    Returns:
        The rows kept, the most certain first.
    """
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    area = np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
    alive = np.ones(len(boxes), bool)
    for best in range(len(boxes)):
        if not alive[best]:
            continue
        rest = best + 1 + np.flatnonzero(alive[best + 1 :])
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:4], boxes[rest, 2:4])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        base = np.minimum(area[best], area[rest]) if by_smaller else area[best] + area[rest] - shared
        alive[rest[shared > threshold * np.maximum(base, 1e-9)]] = False
    return boxes[alive]


@cache
def _networks():
    """The three networks, each compiled once for pictures of any size and number."""
    try:
        import tensorflow as tf
        from mtcnn.stages import StageONet, StagePNet, StageRNet
    except ImportError as error:
        raise ModelError(
            f"Face detection cannot start: {error}.",
            "It needs TensorFlow and the mtcnn package: pip install -r requirements.txt",
        ) from error

    def compiled(stage, side):
        network = stage().model
        shape = tf.TensorSpec((None, side, side, 3), tf.float32)
        function = tf.function(lambda pictures: network(pictures), input_signature=[shape])

        def answer(pictures):
            asked = pictures if len(pictures) else np.zeros((1, *pictures.shape[1:]), np.float32)  # oneDNN needs one
            return [np.asarray(result, np.float64)[: len(pictures)] for result in function(tf.constant(asked))]

        return answer

    with tf.device("CPU:0"):
        return compiled(StagePNet, None), compiled(StageRNet, 24), compiled(StageONet, 48)


def _parts(images: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
    if not len(images):
        return
    height, width = images[0].shape[:2]
    size = max(1, TOGETHER // (height * width))
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _proposals(images: list[np.ndarray], network: Callable, min_face: float) -> list[np.ndarray]:
    height, width = images[0].shape[:2]
    found = [[np.zeros((0, 5))] for _ in images]
    scale = CELL / min_face
    while min(height, width) * scale >= CELL:
        size = (round(width * scale), round(height * scale))
        shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        offsets, classes = network(np.stack([cv2.resize(image, size, interpolation=shrinks) for image in images]))
        for rows, offset, scores in zip(found, offsets, classes[..., 1], strict=True):
            rows.append(suppress(_cells(offset, scores, np.array(size) / (width, height)), 0.5))
        scale *= PYRAMID_FACTOR
    return [_squares(suppress(_most_certain(np.concatenate(rows)), 0.7)) for rows in found]


def _cells(offsets: np.ndarray, scores: np.ndarray, scale: np.ndarray) -> np.ndarray:
    rows, cols = np.nonzero(scores > THRESHOLDS[0])
    corners = np.stack([cols, rows], axis=1) * float(STRIDE)
    boxes = np.concatenate([corners, corners + CELL], axis=1) + offsets[rows, cols] * CELL
    return _most_certain(np.column_stack([boxes / np.tile(scale, 2), scores[rows, cols]]))


def _refined(images: list[np.ndarray], boxes: list[np.ndarray], network: Callable) -> list[np.ndarray]:
    refined = []
    for found, (offsets, classes) in zip(boxes, _asked(network, images, boxes, 24), strict=True):
        moved = _moved(found, offsets, classes[:, 1])
        refined.append(_squares(suppress(moved[moved[:, 4] > THRESHOLDS[1]], 0.7)))
    return refined


def _landmarked(images: list[np.ndarray], boxes: list[np.ndarray], network: Callable) -> list[np.ndarray]:
    landmarked = []
    for found, (offsets, landmarks, classes) in zip(boxes, _asked(network, images, boxes, 48), strict=True):
        size = found[:, 2:4] - found[:, :2]
        points = found[:, None, :2] + landmarks.reshape(-1, 2, 5).transpose(0, 2, 1) * size[:, None]
        faces = np.column_stack([_moved(found, offsets, classes[:, 1]), points.reshape(-1, 10)])
        landmarked.append(suppress(faces[faces[:, 4] > THRESHOLDS[2]], 0.7, by_smaller=True))
    return landmarked


def _asked(network: Callable, images: list[np.ndarray], boxes: list[np.ndarray], side: int) -> list[list[np.ndarray]]:
    """What the network says of each picture's boxes: per picture its outputs, a row per box."""
    patches = np.concatenate([_patches(image, found, side) for image, found in zip(images, boxes, strict=True)])
    starts = range(0, max(len(patches), 1), MAX_PROPOSALS)
    answers = [network(patches[start : start + MAX_PROPOSALS]) for start in starts]
    ends = np.cumsum([len(found) for found in boxes])[:-1]
    outputs = [np.split(np.concatenate(parts), ends) for parts in zip(*answers, strict=True)]
    return [list(rows) for rows in zip(*outputs, strict=True)]


def _most_certain(boxes: np.ndarray) -> np.ndarray:
    return boxes[np.argsort(-boxes[:, 4], kind="stable")[:MAX_PROPOSALS]]


def _moved(boxes: np.ndarray, offsets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    size = np.tile(boxes[:, 2:4] - boxes[:, :2], 2)
    return np.column_stack([boxes[:, :4] + offsets * size, scores])


def _squares(boxes: np.ndarray) -> np.ndarray:
    centre = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) / 2
    return np.column_stack([centre - half, centre + half, boxes[:, 4:]])


def _patches(image: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """The boxes' contents, float32 (N, side, side, 3); mid-grey outside of the picture."""
    patches = np.empty((len(boxes), side, side, 3), np.float32)
    for patch, (left, top, right, bottom) in zip(patches, boxes[:, :4], strict=True):
        step = np.array([right - left, bottom - top]) / side
        matrix = np.array([[step[0], 0, left + step[0] / 2 - 0.5], [0, step[1], top + step[1] / 2 - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch[:] = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return patches
