"""From a name or a run directory to something that classifies faces."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.artifacts import ENSEMBLE
from fer_core.errors import ModelError
from fer_core.labels import CLASS_NAMES
from fer_core.models.arguments import check_arguments
from fer_core.models.members import load_ensemble
from fer_core.models.preprocess import preprocess
from fer_core.models.specs import spec
from fer_core.models.views import views

if TYPE_CHECKING:
    import keras

    from fer_core.artifacts import Run
    from fer_core.predictions import Classifier

BATCH = 64
CHUNK = 1024  # pictures that are turned into floats at once


def build_network(
    name: str,
    *,
    input_size: int | str | None = "spec",
    num_classes: int = len(CLASS_NAMES),
    fused: bool = False,
    arguments: Mapping | None = None,
) -> "keras.Model":
    """Build the network ``name``, with random weights.

    Args:
        input_size: side in pixels, None for any, ``"spec"`` for the spec's own.
        fused: use the fused batch normalisation, for training only.
        arguments: changes of the builder's arguments in ``MODELS``.

    Returns:
        A flat functional model: float32 (N, H, W, C) in 0..255 -> probabilities float32 (N, K).

    Raises:
        ModelError: no such model, it is no network, its builder has no such argument or cannot build what one says,
            or it takes no pictures as small as that.
    """
    from fer_core.models.builders import BUILDERS

    entry = spec(name)
    if entry["family"] != "network":
        raise ModelError(f"{name} is no neural network.", "It has no layers to build; train or load it as it is.")
    size = entry["input_size"] if input_size == "spec" else input_size
    changed = dict(arguments or {})
    chosen = entry["arguments"] | changed
    check_arguments(name, entry["builder"], chosen)
    builder = BUILDERS[entry["builder"]]
    try:
        return builder(input_size=size, channels=entry["channels"], num_classes=num_classes, fused=fused, **chosen)
    except (ValueError, TypeError) as error:
        if "zero or negative" in str(error):
            raise ModelError(
                f"{name} cannot take pictures of {size} x {size} pixels: its convolutions and poolings leave nothing "
                "of them.",
                f"Use a larger input_size; its own is {entry['input_size']}.",
            ) from error
        told = ", ".join(f"{argument} {value!r}" for argument, value in (changed or chosen).items())
        raise ModelError(
            f"{name} cannot be built with {told or 'these settings'} and input_size {size}: {error}",
            f"Change arguments or input_size, or leave them out; its own input_size is {entry['input_size']}.",
        ) from error


class NetworkClassifier:
    """A Keras network as a :class:`~fer_core.predictions.Classifier`.

    Attributes:
        network: flat functional model, float32 (N, H, W, C) in 0..255 -> probabilities (N, K).
        class_names, input_size (H, W), channels: what it takes and gives.
        tta: views averaged by :meth:`predict_proba`, see ``fer_core.models.views``.
        equalization: of every picture, see ``fer_core.models.preprocess.equalize``.
    """

    def __init__(
        self,
        network: "keras.Model",
        class_names: tuple[str, ...] = CLASS_NAMES,
        tta: str = "none",
        equalization: str = "",
    ) -> None:
        self.network = network
        self.class_names = tuple(class_names)
        self.input_size: tuple[int, int] = tuple(network.input_shape[1:3])
        self.channels: int = network.input_shape[3]
        self.tta = tta
        self.equalization = equalization

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """Bring uint8 (N, H, W) or (N, H, W, 3) to the network's input: float32 (N, H, W, C) in 0..255."""
        return preprocess(images, self.input_size, self.channels, self.equalization)

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        parts = [self._answer(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.class_names)), np.float32)

    def _answer(self, images: np.ndarray) -> np.ndarray:
        shown = views(self.preprocess(images), self.tta)
        total = sum(self._probabilities(view) for view in shown)
        return (total / len(shown)).astype(np.float32)

    def _probabilities(self, pixels: np.ndarray) -> np.ndarray:
        return np.asarray(self.network.predict(np.ascontiguousarray(pixels), batch_size=BATCH, verbose=0))


def load_classifier(run: "Run", tta: str = "run") -> "Classifier":
    """Load the classifier that a run directory ships.

    Args:
        tta: views to average; ``"run"`` takes what the stored predictions were made with.

    Raises:
        ModelError: the run has no weights, or they are damaged or another network's.
    """
    if run.weights_path is None:
        raise ModelError(
            f"{run.name} has no weights here.",
            f"Train them: {run.run.get('retrain') or f'python -m fer_core train {run.model} {run.dataset}'}",
        )
    class_names = tuple(run.run["class_names"])
    if run.model == ENSEMBLE:
        return load_ensemble(Path(run.weights_path), class_names, tta)
    entry = spec(run.model)
    if entry["family"] == "estimator":
        from fer_core.models.estimators import load_estimator

        fitted_with = (run.run.get("spec") or {}).get("arguments")
        return load_estimator(run.model, Path(run.weights_path), class_names, fitted_with)
    from fer_core.models.weights import load_weights

    config = run.run.get("config") or {}
    # what it was trained at, where MODELS may say something else today
    size = config.get("input_size") or (run.run.get("spec") or {}).get("input_size") or "spec"
    network = build_network(run.model, input_size=size, num_classes=len(class_names), arguments=config.get("arguments"))
    load_weights(network, Path(run.weights_path))
    return NetworkClassifier(
        network, class_names, config.get("tta", "none") if tta == "run" else tta, config.get("equalize", "")
    )
