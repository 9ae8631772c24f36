"""How long do explanations take? Compiled batches beside what one writes with tf-keras-vis and Keras, in one run.

    python benchmarks/explain.py                       the stored run of `compact`
    python benchmarks/explain.py --model vgg16         another one; with random weights where no run has any

Both ways explain the same drawn faces with the same linear clone or the same network, in turn, so that a busy machine
slows both; the median of the rounds is kept, and how far the maps differ is said. tf-keras-vis is called as its manual
does: one object, picture by picture. Hidden pictures are classified one `model.predict` per mask, as its own loop
would. Writes benchmarks/results/explain.json.
"""

import argparse
import gc
import json
import os
import resource
import sys
import tracemalloc
from importlib import metadata
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from timing import compare, stored_run  # noqa: E402

from fer_core import artifacts, masks, regions  # noqa: E402
from fer_core.datasets import synthetic  # noqa: E402
from fer_core.explain import gradients, occlusion, perturbation, saliency, shapley  # noqa: E402

GOALS = {"grad_cam": 10, "smoothgrad": 5, "occlusion_map": 20, "shapley": 20}
SAMPLES, NOISE = 20, 0.15
CLASS = 3


def against_tf_keras_vis(classifier, images: np.ndarray, theirs: int, rounds: int) -> dict:
    """Grad-CAM and SmoothGrad of all faces at once, and by one tf-keras-vis object, face by face."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    layer, score = gradients.default_layer(classifier).name, CategoricalScore(CLASS)
    cam = Gradcam(classifier.network, model_modifier=ReplaceToLinear(), clone=True)
    sensitivity = Saliency(classifier.network, model_modifier=ReplaceToLinear(), clone=True)
    pixels = classifier.preprocess(images)

    def their_cam(n):
        settings = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}
        return np.concatenate([cam(score, pixels[i : i + 1], penultimate_layer=layer, **settings) for i in range(n)])

    def their_smoothgrad(n, noise=NOISE):
        settings = {"smooth_samples": SAMPLES, "smooth_noise": noise, "normalize_map": False}
        return np.concatenate([sensitivity(score, pixels[i : i + 1], **settings) for i in range(n)])

    def ours(method, **options):
        return lambda n: saliency.explain(classifier, images[:n], CLASS, method, **options).raw

    found = {
        "grad_cam": {"layer": layer} | compare(ours("grad_cam"), their_cam, len(images), theirs, rounds),
        "smoothgrad": {"samples": SAMPLES}
        | compare(
            ours("smoothgrad", samples=SAMPLES, noise=NOISE), their_smoothgrad, len(images), max(theirs // 8, 4), rounds
        ),
    }
    # Each draws its own noise, so the maps are compared without any.
    exact, other = ours("smoothgrad", samples=2, noise=0.0)(2), their_smoothgrad(2, noise=0.0)
    found["smoothgrad"]["largest_difference"] = float(np.abs(exact - other).max() / other.max())
    return found


def against_predict(classifier, images: np.ndarray, theirs: int, rounds: int) -> dict:
    """An occlusion map, and all coalitions of eight parts of a face, by one `model.predict` per mask."""
    from fer_core.inference import Predictor

    network, fast = classifier.network, Predictor(classifier)
    shape = images.shape[1:3]
    patches, _ = occlusion.patch_masks(shape)
    parts = regions.region_masks(regions.CANONICAL, shape)
    hidden = np.tensordot(~shapley.coalitions(len(parts)), np.stack(list(parts.values())), axes=1) > 0

    def loop(all_masks):
        def predict(n):
            answers = []
            for image in images[:n]:
                for mask in all_masks:
                    pixels = classifier.preprocess(masks.apply(image, mask, "mean")[None])
                    answers.append(network.predict(pixels, verbose=0)[0, CLASS])
            return np.array(answers).reshape(n, -1)

        return predict

    def batch(all_masks):
        return lambda n: perturbation.masked_probabilities(fast, images[:n], all_masks, np.full(n, CLASS), "mean")

    return {
        "occlusion_map": {"masks": len(patches)} | compare(batch(patches), loop(patches), 8, theirs, rounds),
        "shapley": {"masks": len(hidden)} | compare(batch(hidden), loop(hidden), 4, theirs, rounds),
    }


def memory(classifier, images: np.ndarray, calls: int) -> dict:
    """Growth over ``calls`` explanations by all methods that need a network, after each has been called five times."""
    methods = [name for name, method in saliency.METHODS.items() if method.needs_network]
    few = {"smoothgrad": {"samples": 2}, "integrated_gradients": {"steps": 4}, "score_cam": {"channels": 4}}

    def call(n: int) -> None:
        for turn in range(n):
            name = methods[turn % len(methods)]
            saliency.explain(classifier, images[: 1 + turn % 5], CLASS, name, **few.get(name, {}))
        gc.collect()

    call(5 * len(methods))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    call(len(methods))
    before = tracemalloc.get_traced_memory()[0]
    call(calls)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return {
        "calls": calls,
        "python_bytes": grown,
        "peak_resident_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--faces", type=int, default=256)
    parser.add_argument("--theirs", type=int, default=32, help="faces that the slow ways do; they are timed per face")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "explain.json")
    args = parser.parse_args()
    from fer_core.models.registry import NetworkClassifier, build_network, load_classifier

    run = stored_run(args.model)
    classifier = load_classifier(run, tta="none") if run else NetworkClassifier(build_network(args.model))
    images = synthetic.faces(args.faces, size=48, seed=0).images
    height, width, channels = classifier.network.input_shape[1:]
    conditions = {"model": args.model, "weights": run.name if run else "random", "rounds": args.rounds}
    conditions |= {"input": f"{height} x {width} x {channels}", "faces": args.faces}
    conditions |= {"tf-keras-vis": metadata.version("tf-keras-vis")}
    conditions |= artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    result = {"conditions": conditions, "goals": GOALS}
    result |= against_tf_keras_vis(classifier, images, min(args.theirs, args.faces), args.rounds)
    result |= against_predict(classifier, images, 1, args.rounds)
    result["memory"] = memory(classifier, images, 200)
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
