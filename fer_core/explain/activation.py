"""The picture that a network takes for the clearest example of a class: activation maximisation.

Gradient ascent on the class score from a grey picture (Simonyan, Vedaldi & Zisserman 2014, section 2). Without a
check the result is noise that no eye can read; three things keep it smooth: a penalty of the distance from grey, one of
the differences between neighbours (total variation; Mahendran & Vedaldi 2016, section 3), and a random shift before
each step (jitter; Mordvintsev et al. 2015, "Inceptionism").
"""

from dataclasses import dataclass

import numpy as np

from fer_core.errors import ConfigError
from fer_core.explain.gradients import class_scores, compiled, explainer, network_of, only
from fer_core.predictions import Classifier

GREY = 127.5
MOST_STEPS = 5000


@dataclass(frozen=True)
class Maximised:
    """What one class looks like to one network.

    Attributes:
        image: uint8 (H, W) or (H, W, 3), of the network's input size.
        probability: of the class, that the classifier gives this picture, 0..1.
        logits: float32 (steps + 1,), score of the class before each step and after the last.
        class_index: the class.
    """

    image: np.ndarray
    probability: float
    logits: np.ndarray
    class_index: int


def maximise(
    classifier: Classifier,
    class_index: int,
    steps: int = 200,
    seed: int = 0,
    *,
    rate: float = 16.0,
    decay: float = 0.05,
    smoothness: float = 1.0,
    jitter: int = 2,
) -> Maximised:
    """A picture that raises the score of a class as far as the penalties let it.

    The gradient of the score is brought to a mean square of 1, so that the settings mean the same for every network.

    Args:
        classifier: with ``.network`` and ``.preprocess``.
        class_index: position in ``class_names``.
        steps: of gradient ascent.
        seed: of the first picture's faint noise and of the shifts.
        rate: length of the first step in grey levels of 255; falls to a tenth by the last.
        decay: weight of the distance from grey.
        smoothness: weight of the total variation.
        jitter: largest shift in pixels.

    Raises:
        ModelError: the classifier has no network.
        ConfigError: no such class, or a setting out of range.
    """
    network = network_of(classifier, "Activation maximisation", "Choose a single network.")
    if not 0 <= class_index < len(classifier.class_names):
        raise ConfigError(f"class_index must lie in 0..{len(classifier.class_names) - 1}. Received {class_index}.")
    if not 1 <= steps <= MOST_STEPS or rate <= 0 or min(decay, smoothness, jitter) < 0:
        raise ConfigError(
            f"Expected steps in 1..{MOST_STEPS}, rate > 0, and decay, smoothness and jitter not negative. "
            f"Received {steps}, {rate}, {decay}, {smoothness} and {jitter}."
        )
    found = explainer(network)
    side = [length or 48 for length in network.input_shape[1:3]]
    rng = np.random.default_rng(seed)
    picture = (GREY + rng.normal(0, 2, (1, *side, network.input_shape[3]))).astype(np.float32)
    speed, target = np.zeros_like(picture), np.array([class_index], np.int32)
    step, logits = found.made("maximise", _step), []
    for turn in range(steps):
        shift = rng.integers(-jitter, jitter + 1, 2)
        length = rate * 0.1 ** (turn / max(steps - 1, 1))
        settings = np.array([length, decay, smoothness], np.float32)
        picture, speed, logit = found.run(step, picture, speed, target, shift, settings)
        logits.append(float(logit))
    image = np.rint(np.asarray(picture)[0]).astype(np.uint8)
    image = image[..., 0] if image.shape[-1] == 1 else image
    logits.append(float(found.logits(np.asarray(picture))[0, class_index]))
    probability = float(classifier.predict_proba(image[None])[0, class_index])
    return Maximised(image, probability, np.array(logits, np.float32), int(class_index))


def _step(model):
    """One step of gradient ascent with momentum as a graph.

    Takes picture and speed (1, H, W, C), class (1,), shift (2,), and (length, decay, smoothness); gives the next
    picture in 0..255, its speed, and the score before the step.
    """
    import tensorflow as tf

    def step(picture, speed, target, shift, settings):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(picture)
            shifted = tf.roll(picture, shift, axis=(1, 2))
            score = class_scores(only(model(shifted, training=False)), target)
        slope = tape.gradient(score, picture)
        slope = tf.math.divide_no_nan(slope, tf.sqrt(tf.reduce_mean(slope * slope)))
        pull = settings[1] * (picture - GREY) / GREY + settings[2] * _roughness_slope(picture)
        speed = 0.8 * speed + 0.2 * (slope - pull)
        return tf.clip_by_value(picture + settings[0] * speed, 0.0, 255.0), speed, score[0]

    shape = (1, *model.inputs[0].shape[1:])
    signature = [
        tf.TensorSpec(shape, tf.float32),
        tf.TensorSpec(shape, tf.float32),
        tf.TensorSpec((1,), tf.int32),
        tf.TensorSpec((2,), tf.int32),
        tf.TensorSpec((3,), tf.float32),
    ]
    return compiled(step, signature, model)


def _roughness_slope(picture):
    """Gradient of half the sum of squared differences between neighbours; beyond the border nothing differs."""
    import tensorflow as tf

    padded = tf.pad(picture, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="SYMMETRIC")
    around = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return (4 * picture - around) / GREY
