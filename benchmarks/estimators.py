"""How long do support vector machines on HOG take? Batches beside scikit-image and scikit-learn, in one run.

    python benchmarks/estimators.py

The same drawn faces and the machine of the stored run of `svm_hog_rbf`, in turn, so that a busy machine slows both; the
median of the rounds is kept, and how far the answers differ is said. scikit-image describes one picture per call, as it
must; scikit-learn's pipeline gets all of them at once. `map` is an occlusion map of one face from picture to
probabilities. Writes benchmarks/results/estimators.json.
"""

import argparse
import json
import os
from importlib import metadata
from pathlib import Path

import numpy as np
from timing import PROJECT, compare, stored_run

from fer_core import artifacts, masks
from fer_core.datasets import synthetic
from fer_core.explain import occlusion
from fer_core.models.features import hog

MODEL = "svm_hog_rbf"


def hog_one_by_one(images: np.ndarray, cells: tuple[int, ...]) -> np.ndarray:
    from skimage.feature import hog as hog_of_one

    return np.array(
        [
            np.concatenate([hog_of_one(image, 9, (cell, cell), (2, 2), block_norm="L2-Hys") for cell in cells])
            for image in images
        ],
        np.float32,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "estimators.json")
    args = parser.parse_args()
    from fer_core.models import svm
    from fer_core.models.registry import load_classifier

    run = stored_run(MODEL)
    classifier = load_classifier(run)
    images = synthetic.faces(args.faces, size=48, seed=0).images
    cells = classifier.arguments["hog"]["cells"]
    values = hog(images, cells)
    patches, _ = occlusion.patch_masks(images.shape[1:])
    hidden = np.stack([masks.apply(images[0], patch, "mean") for patch in patches])
    conditions = {"weights": run.name, "faces": args.faces, "rounds": args.rounds}
    conditions |= {"support_vectors": len(svm.machine_of(classifier.estimator).support_vectors_)}
    conditions |= {"scikit-image": metadata.version("scikit-image")}
    conditions |= artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}

    def by_libraries(n: int) -> np.ndarray:
        return classifier.estimator.predict_proba(hog_one_by_one(hidden[:n], cells))

    n = len(images)
    result = {
        "conditions": conditions,
        "hog": compare(
            lambda k: hog(images[:k], cells), lambda k: hog_one_by_one(images[:k], cells), n, n, args.rounds
        ),
        "svm": compare(
            lambda k: classifier.serving.predict_proba(values[:k]),
            lambda k: classifier.estimator.predict_proba(values[:k]),
            n,
            n,
            args.rounds,
        ),
        "map": {"masks": len(patches)}
        | compare(lambda k: classifier.predict_proba(hidden[:k]), by_libraries, len(hidden), len(hidden), args.rounds),
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
