"""How long do explanations take? Compiled batches beside what one writes with tf-keras-vis and Keras, in one run.

    python benchmarks/explain.py                       the stored run of `compact`
    python benchmarks/explain.py --model vgg16         another one; with random weights where no run has any
    python benchmarks/explain.py --faces 2 --masked-faces 1 --rounds 1 --calls 5 --output /dev/null   rehearsal

Both ways explain the same drawn faces, all of them, with the same linear clone or the same network, in turn, so that a
busy machine slows both; the median of the rounds is kept, and how far the maps differ is said. tf-keras-vis is called
as its manual does: one object, picture by picture. Hidden pictures are classified one `model.predict` per mask, as its
own loop would. Writes benchmarks/results/explain.json, and fails where a ratio of GOALS is missed.
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

from timing import compare, judge, missed, stored_run  # noqa: E402

from fer_core import artifacts, masks, regions  # noqa: E402
from fer_core.datasets import synthetic  # noqa: E402
from fer_core.explain import gradients, occlusion, perturbation, saliency, shapley  # noqa: E402

GOALS = {"grad_cam": 10, "smoothgrad": 5, "occlusion_map": 20, "shapley": 20}  # times as fast
SAMPLES, NOISE = 20, 0.15
CLASS = 3


def against_tf_keras_vis(classifier, images: np.ndarray, rounds: int) -> dict:
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

    n = len(images)
    smooth = ours("smoothgrad", samples=SAMPLES, noise=NOISE)
    found = {
        "grad_cam": {"layer": layer} | compare(ours("grad_cam"), their_cam, n, n, rounds),
        "smoothgrad": {"samples": SAMPLES} | compare(smooth, their_smoothgrad, n, n, rounds),
    }
    # Each draws its own noise, so the maps are compared without any.
    few = min(n, 2)
    exact, other = ours("smoothgrad", samples=2, noise=0.0)(few), their_smoothgrad(few, noise=0.0)
    found["smoothgrad"]["largest_difference"] = float(np.abs(exact - other).max() / other.max())
    return found


def against_predict(classifier, images: np.ndarray, rounds: int) -> dict:
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

    n = len(images)
    return {
        "occlusion_map": {"masks": len(patches)} | compare(batch(patches), loop(patches), n, n, rounds),
        "shapley": {"masks": len(hidden)} | compare(batch(hidden), loop(hidden), n, n, rounds),
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
    parser.add_argument("--faces", type=int, default=256, help="to explain, by both ways")
    parser.add_argument("--masked-faces", type=int, default=4, help="to classify under every mask, by both ways")
    parser.add_argument("--calls", type=int, default=200, help="after which the growth of memory is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    parser.add_argument("--output", type=Path, default=PROJECT / "benchmarks" / "results" / "explain.json")
    args = parser.parse_args()
    from fer_core.models.registry import NetworkClassifier, build_network, load_classifier

    run = stored_run(args.model)
    classifier = load_classifier(run, tta="none") if run else NetworkClassifier(build_network(args.model))
    images = synthetic.faces(max(args.faces, args.masked_faces), size=48, seed=0).images
    height, width, channels = classifier.network.input_shape[1:]
    conditions = {"model": args.model, "weights": run.name if run else "random", "rounds": args.rounds}
    conditions |= {"input": f"{height} x {width} x {channels}"}
    conditions |= {"faces": args.faces, "masked_faces": args.masked_faces}
    conditions |= {"tf-keras-vis": metadata.version("tf-keras-vis")}
    conditions |= artifacts.environment() | {"load_average": os.getloadavg()[0]}
    conditions |= {"note": args.note} if args.note else {}
    compared = against_tf_keras_vis(classifier, images[: args.faces], args.rounds)
    compared |= against_predict(classifier, images[: args.masked_faces], args.rounds)
    result = {"conditions": conditions, "goals": judge(GOALS, compared)} | compared
    result["memory"] = memory(classifier, images, args.calls)
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    raise SystemExit(missed(result["goals"]) or 0)


if __name__ == "__main__":
    main()
