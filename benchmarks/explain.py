"""How long do explanations take? Compiled batches beside what one writes with tf-keras-vis and Keras, in one run.

    python benchmarks/explain.py                       the stored run of `compact`
    python benchmarks/explain.py --model vgg16         another one; with random weights where no run has any
    python benchmarks/explain.py --faces 2 --masked-faces 1 --rounds 1 --calls 5 --output /dev/null   rehearsal

Both ways explain the same drawn faces, all of them, with the same linear clone or the same network, in turn, so that a
busy machine slows both; the median of the rounds is kept, and how far the maps differ is said. tf-keras-vis is called
as its manual does: one object, picture by picture. Hidden pictures are classified one `model.predict` per mask, as its
own loop would. Writes benchmarks/results/explain.json, and fails where a ratio of GOALS is missed or
memory grows.
"""

import argparse
import gc
import json
import os
import sys
import tracemalloc
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from timing import compare, judge, judge_growth, missed, stored_run  # noqa: E402

from fer_core import artifacts, masks, regions  # noqa: E402
from fer_core.datasets import synthetic  # noqa: E402
from fer_core.explain import gradients, occlusion, saliency, shapley  # noqa: E402

GOALS = {"grad_cam": 10, "smoothgrad": 5, "occlusion_map": 20, "shapley": 20}  # times as fast
MOST_GROWTH_KIB = 16 * 1024  # of the peak of memory, over the calls
FEW = {  # of what methods repeat, for calls whose memory alone is of interest
    "smoothgrad": {"samples": 2},
    "integrated_gradients": {"steps": 4},
    "score_cam": {"channels": 4},
    "lime": {"samples": 64},
    "kernel_shap": {"samples": 128},
}
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
    """An occlusion map, and what eight parts of a face are worth, by what the page calls and by one `model.predict` per
    mask.
    """
    from fer_core.inference import Predictor

    network, fast = classifier.network, Predictor(classifier)
    shape = images.shape[1:3]
    patches, _ = occlusion.patch_masks(shape)
    parts = regions.region_masks(regions.CANONICAL, shape)
    hidden = np.tensordot(~shapley.coalitions(len(parts)), np.stack(list(parts.values())), axes=1) > 0

    def predict(image):
        return network.predict(classifier.preprocess(image[None]), verbose=0)[0, CLASS]

    def loop(image, all_masks, whole=False):
        return np.array([predict(masks.apply(image, mask, "mean", whole=whole)) for mask in all_masks])

    def our_maps(n):
        return occlusion.occlusion_map(fast, images[:n], np.full(n, CLASS))[0]

    def their_maps(n):
        falls = [predict(image) - loop(image, patches) for image in images[:n]]
        return np.stack([np.tensordot(fall, patches, axes=1) / patches.sum(axis=0) for fall in falls])

    def our_worths(n):
        return np.stack([shapley.explain(fast, image, parts).values[:, CLASS] for image in images[:n]])

    def their_worths(n):
        return np.stack([shapley.shapley_values(loop(image, hidden, whole=True)) for image in images[:n]])

    n = len(images)
    return {
        "occlusion_map": {"masks": len(patches)} | compare(our_maps, their_maps, n, n, rounds),
        "shapley": {"masks": len(hidden)} | compare(our_worths, their_worths, n, n, rounds),
    }


def memory(classifier, images: np.ndarray, calls: int) -> dict:
    """Growth over ``calls`` explanations by every method of a map, parts' worths and masks, in turn.

    Each has been called five times before, once for every number of pictures.
    """
    from fer_core.inference import Predictor

    fast, shape = Predictor(classifier), images.shape[1:3]
    parts, mouth = regions.region_masks(regions.CANONICAL, shape), masks.region_mask("mouth", shape)

    def saliency_map(some, name):
        saliency.explain(fast, some, CLASS, name, **FEW.get(name, {}))

    every = [partial(saliency_map, name=name) for name in saliency.METHODS]
    every += [lambda some: shapley.explain(fast, some[0], parts)]
    every += [lambda some: occlusion.mask_effect(fast, some[0], mouth, "mean", range(5))]

    def call(n: int) -> None:
        for turn in range(n):
            every[turn % len(every)](images[: 1 + turn // len(every) % 5])
        gc.collect()

    call(5 * len(every))
    tracemalloc.start()
    call(5 * len(every))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: that of the warm-up would hide a growth
    call(5 * len(every))
    before, peak = tracemalloc.get_traced_memory()[0], peak_resident_kib()
    call(calls)
    grown, risen = tracemalloc.get_traced_memory()[0] - before, peak_resident_kib() - peak
    tracemalloc.stop()
    return {"calls": calls, "methods": len(every), "python_bytes": grown, "peak_resident_kib": risen}


def peak_resident_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


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
    result["goals"]["memory"] = judge_growth(MOST_GROWTH_KIB, result["memory"]["peak_resident_kib"])
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    raise SystemExit(missed(result["goals"]) or 0)


if __name__ == "__main__":
    main()
