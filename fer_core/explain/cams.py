"""Class activation maps as formulas: a layer's feature maps, and the gradient of the class score in them -> a map.

Tensors (N, h, w, channels), twice -> tensor (N, h, w), not negative.
"""

from collections.abc import Callable


def _grad_cam(features, slopes):
    """Feature maps weighted by their mean gradient (Selvaraju et al. 2017, equations 1 and 2)."""
    import tensorflow as tf

    return tf.nn.relu(tf.reduce_sum(features * tf.reduce_mean(slopes, axis=(1, 2), keepdims=True), axis=-1))


def _grad_cam_pp(features, slopes):
    """Weights per pixel (Chattopadhay et al. 2018): alphas of equation 19, weights of equation 5 with its ReLU.

    One thing is not in the paper's equations: each channel's alphas are divided by their sum over all its places. The
    authors' program normalises as well (a later version sums only where the gradient is positive), and so does
    tf-keras-vis, in this form; it is kept so that maps are those of that library. A channel whose gradient is strong
    in few places gains by it, and where alphas of both signs nearly cancel, its weight is large.

    With exp(score) for the class score, its three derivatives are exp(score) times powers of the gradient; the factor
    exp(score) is the same everywhere in a picture and left out, so that it cannot overflow.
    """
    import tensorflow as tf

    square = slopes * slopes
    total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
    alphas = tf.math.divide_no_nan(square, 2 * square + square * slopes * total)
    alphas = tf.math.divide_no_nan(alphas, tf.reduce_sum(alphas, axis=(1, 2), keepdims=True))
    weights = tf.reduce_sum(tf.nn.relu(slopes) * alphas, axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(features * weights, axis=-1))


def _layer_cam(features, slopes):
    """Each place of a feature map weighted by its own positive gradient (Jiang et al. 2021, equations 7 and 8)."""
    import tensorflow as tf

    return tf.nn.relu(tf.reduce_sum(features * tf.nn.relu(slopes), axis=-1))


CAMS: dict[str, Callable] = {"grad_cam": _grad_cam, "grad_cam_pp": _grad_cam_pp, "layer_cam": _layer_cam}
