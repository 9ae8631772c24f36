"""Does a face of a photo reach the network framed as FER2013 frames it? Measures the frame, and what the way costs.

    python benchmarks/faces.py               where landmarks lie in FER2013, and how far off crops are
    python benchmarks/faces.py --run NAME    also the accuracy of a trained run on crops instead of the pictures

`landmarks` times finding the landmarks of the pictures as features and studies need them: one picture at a time, and
many together, in turns.

FER2013's pictures (split val, enlarged four times) are laid on a grey canvas twice as large, so that the detector meets
them as it meets a photo. A perfect crop then is the picture itself: `corner_shift` is how far a crop's corners lie from
the picture's, in pixels of 48 x 48, averaged over the four corners. Writes benchmarks/results/faces.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from fer_core import artifacts, datasets, faces  # noqa: E402
from fer_core.models.features import landmark_points  # noqa: E402

SIDE, ENLARGED, CANVAS = 48, 192, 384
OFFSET = (CANVAS - ENLARGED) // 2
GREY = 128
MARGINS = (-0.1, -0.05, 0.0, 0.05, 0.1)


def on_canvas(image: np.ndarray) -> np.ndarray:
    canvas = np.full((CANVAS, CANVAS, 3), GREY, np.uint8)
    large = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    canvas[OFFSET : OFFSET + ENLARGED, OFFSET : OFFSET + ENLARGED] = large[:, :, None]
    return canvas


def best_face(canvas: np.ndarray) -> faces.Face | None:
    return max(faces.detect(canvas), key=lambda face: face.score, default=None)


def landmarks(face: faces.Face) -> np.ndarray:
    """As shares of the picture's side: (5, 2)."""
    return (np.array([face.landmarks[name] for name in faces.LANDMARKS]) - OFFSET) / ENLARGED


def symmetric(points: np.ndarray) -> np.ndarray:
    """Mean of the five points and their mirror image: nobody knows why left should differ from right."""
    mirrored = (points * [-1, 1] + [1, 0])[[1, 0, 2, 4, 3]]
    return (points + mirrored) / 2


def corner_shifts(found: list[faces.Face], **how) -> np.ndarray:
    """Mean distance of the crop's corners from the picture's, per face, in pixels of 48 x 48."""
    picture = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * ENLARGED + OFFSET
    shifts = [np.linalg.norm(faces.frame_corners(face, **how) - picture, axis=1).mean() for face in found]
    return np.array(shifts) * SIDE / ENLARGED


def summary(values: np.ndarray) -> dict:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return {"mean": float(values.mean()), "p10": float(low), "median": float(middle), "p90": float(high)}


def framing(found: list[faces.Face]) -> dict:
    points = np.array([landmarks(face) for face in found])
    median = symmetric(np.median(points, axis=0))
    rounded = {name: [round(float(v), 3) for v in point] for name, point in zip(faces.LANDMARKS, median, strict=True)}
    sides = [np.linalg.norm(np.diff(faces.frame_corners(face)[:2], axis=0)) / ENLARGED for face in found]
    return {
        "median_landmarks": rounded,
        "landmark_spread": np.round(np.percentile(points, 75, axis=0) - np.percentile(points, 25, axis=0), 3).tolist(),
        "eyes_turned_degrees": summary(np.degrees([np.arctan2(*(face[1] - face[0])[::-1]) for face in points])),
        "crop_side_over_picture_side": summary(np.array(sides)),
        "corner_shift": {
            "eyes_level": summary(corner_shifts(found)),
            "upright": summary(corner_shifts(found, level_eyes=False)),
        },
    }


def taken_whole(images: np.ndarray) -> dict:
    """How the same pictures fare without a canvas, as somebody uploads an enlarged face crop."""
    reasons = [faces.find_faces(cv2.resize(image, (ENLARGED, ENLARGED)))[0].reason or "cropped" for image in images]
    return {reason: reasons.count(reason) / len(reasons) for reason in sorted(set(reasons))}


def landmark_times(images: np.ndarray, rounds: int) -> dict:
    """Milliseconds per picture, one at a time and together, the quickest of some rounds, and their ratio."""
    ways = {"one at a time": lambda: [landmark_points(image[None]) for image in images]}
    ways["together"] = lambda: landmark_points(images)
    seconds = {name: [] for name in ways}
    for way in ways.values():
        way()  # traces the shapes
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    ms = {name: 1000 * min(taken) / len(images) for name, taken in seconds.items()}
    return {"pictures": len(images), "rounds": rounds, "ms": ms, "ratio": ms["one at a time"] / ms["together"]}


def accuracies(run_name: str, images: np.ndarray, y_true: np.ndarray, canvases: list, found: list) -> dict:
    """Accuracy on the pictures as they are, and on crops of them, each on the same pictures."""
    from fer_core.inference import Predictor
    from fer_core.models.registry import load_classifier

    run = artifacts.find_run(run_name)
    classifier = Predictor(load_classifier(run))

    def share_right(pictures: list[np.ndarray]) -> float:
        return float((classifier.predict_proba(np.stack(pictures)).argmax(axis=1) == y_true).mean())

    ways = {f"margin {margin:+.2f}": {"margin": margin} for margin in MARGINS}
    ways |= {"upright": {"level_eyes": False}, "cropped at 48 pixels": {"size": SIDE}}
    crops = {
        name: [faces.crop(canvas, face, **how) for canvas, face in zip(canvases, found, strict=True)]
        for name, how in ways.items()
    }
    return {"run": run.name, "pictures as they are": share_right(list(images))} | {
        name: share_right(pictures) for name, pictures in crops.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fer2013")
    parser.add_argument("--sample", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", help="a run with weights")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "faces.json")
    args = parser.parse_args()

    split = datasets.load(args.dataset)["val"]
    chosen = np.random.default_rng(args.seed).permutation(len(split))[: args.sample]
    images, y_true = np.asarray(split.images[np.sort(chosen)]), split.y_true[np.sort(chosen)]
    canvases = [on_canvas(image) for image in images]
    faces.detect(canvases[0])  # loads the networks
    started = time.perf_counter()
    detected = [best_face(canvas) for canvas in canvases]
    seconds = time.perf_counter() - started
    where = [index for index, face in enumerate(detected) if face is not None]
    found = [detected[index] for index in where]
    result = {
        "conditions": {
            "dataset": args.dataset,
            "split": "val",
            "pictures": len(images),
            "seed": args.seed,
            "enlarged_to": ENLARGED,
            "canvas": CANVAS,
            "frame": {name: list(point) for name, point in faces.FRAME.items()},
        }
        | artifacts.environment(),
        "found": len(found) / len(images),
        "detection_ms": 1000 * seconds / len(images),
        "landmarks": landmark_times(images[:200], rounds=3),
        "framing": framing(found),
        "without_canvas": taken_whole(images[:200]),
    }
    if args.run:
        shown = [canvases[index] for index in where]
        result["accuracy"] = {"n": len(found)} | accuracies(args.run, images[where], y_true[where], shown, found)
    elif args.output.is_file():
        kept = json.loads(args.output.read_text(encoding="utf-8"))
        result |= {"accuracy": kept["accuracy"]} if "accuracy" in kept else {}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
