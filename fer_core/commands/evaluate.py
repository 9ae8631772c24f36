"""``python -m fer_core evaluate``: predict a split with a run's shipped weights and measure it."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from rich.progress import Progress

from fer_core import artifacts, metrics
from fer_core.commands.output import check_writable, write
from fer_core.commands.tables import metrics_table, print_table
from fer_core.datasets.split import Split
from fer_core.errors import DatasetError
from fer_core.labels import to_indices
from fer_core.predictions import Classifier, Predictions

CHUNK = 256


def evaluate(
    name: Annotated[str, typer.Argument(help="Name of a run with shipped weights, or the beginning of it.")],
    dataset: Annotated[
        str | None, typer.Argument(help="A registered dataset; the one the run was trained on by default.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    save: Annotated[Path | None, typer.Option(help="Write the predictions as CSV.")] = None,
) -> None:
    """Metrics with 95 % intervals of a run on any registered dataset.

    A run that was trained on masked pictures, on detected faces or on some classes only is measured on such pictures.
    """
    from fer_core import datasets
    from fer_core.models.registry import load_classifier
    from fer_core.training.preparation import as_evaluated

    check_writable(save)
    run = artifacts.find_run(name)
    config = run.run.get("config") or {}
    seen = {setting: config.get(setting) for setting in ("faces", "mask")}
    pictures = as_evaluated(datasets.load(dataset or run.dataset), split, seen)
    for setting, value in seen.items():
        if value:
            typer.echo(f"As in its training: {setting} {value if setting == 'mask' else 'detected and aligned'}.")
    classifier = load_classifier(run)
    pictures, unknown = with_known_classes(pictures, classifier.class_names)
    for label, count in unknown.items():
        typer.echo(f"Left out: {count:,} pictures of {label}, a class that {run.name} does not know.")
    predictions = predict(classifier, pictures)
    for table in metrics_table(metrics.evaluate(predictions), f"{run.name} on {dataset or run.dataset} {split}"):
        print_table(table)
    if save:
        write(save, to_frame(predictions).to_csv(index=False))
        typer.echo(f"Predictions written to {save}")


def with_known_classes(split: Split, class_names: tuple[str, ...]) -> tuple[Split, dict[str, int]]:
    """The pictures of a split whose class is among ``class_names``, and how many of each other class there were.

    CK+'s contempt is such a class for a run on FER2013.

    Raises:
        DatasetError: no picture is left.
    """
    kept = tuple(name for name in split.class_names if name in class_names)
    if kept == split.class_names:
        return split, {}
    names = np.array(split.class_names)[split.y_true]
    known = np.flatnonzero(np.isin(names, kept))
    if not len(known):
        raise DatasetError(
            f"No picture shows a class that the run knows ({', '.join(class_names)}).", "Choose another dataset."
        )
    labels = to_indices(names[known], kept)
    rest = Split(split.sample_ids[known], split.images[known], labels, kept, split.fingerprint)
    return rest, {
        str(name): int(count)
        for name, count in zip(*np.unique(names, return_counts=True), strict=True)
        if name not in kept
    }


def predict(classifier: Classifier, split: Split) -> Predictions:
    """Predict a split in chunks with a progress bar; the truth is mapped to the classifier's classes by name.

    Raises:
        DatasetError: the split has a class that the classifier does not know.
    """
    known = to_indices(split.class_names, classifier.class_names)
    probs = np.empty((len(split), len(classifier.class_names)), np.float32)
    with Progress(transient=True) as progress:
        task = progress.add_task("Predicting", total=len(split))
        for start in range(0, len(split), CHUNK):
            probs[start : start + CHUNK] = classifier.predict_proba(np.asarray(split.images[start : start + CHUNK]))
            progress.advance(task, min(CHUNK, len(split) - start))
    return Predictions(split.sample_ids, known[split.y_true], probs, classifier.class_names)


def to_frame(predictions: Predictions) -> pd.DataFrame:
    """One row per sample: id, true and predicted class, and a probability per class."""
    names = np.array(predictions.class_names)
    frame = pd.DataFrame(
        {
            "sample_id": predictions.sample_ids,
            "true": names[predictions.y_true],
            "predicted": names[predictions.y_pred],
        }
    )
    return frame.join(pd.DataFrame(predictions.pred_probs, columns=[f"p_{name}" for name in names]))
