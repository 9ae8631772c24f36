"""The file that a stored ensemble has in the place of weights: its members, as runs. Loads without TensorFlow."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_core import artifacts
from fer_core.errors import ModelError, RunError
from fer_core.models.ensemble import Ensemble
from fer_core.storage import sha256, to_json


@dataclass(frozen=True)
class Member:
    """One member of an ensemble.

    Attributes:
        run: name of the run.
        weights_sha256: of its weights, as in its ``run.json``.
        weight: how much it counts; they need not add up to 1.
    """

    run: str
    weights_sha256: str
    weight: float


def write_members(members: Iterable[Member], path: Path) -> None:
    """Write ``members`` as JSON."""
    path.write_text(to_json({"members": [asdict(member) for member in members]}), encoding="utf-8")


def read_members(path: Path) -> list[Member]:
    """Read what :func:`write_members` wrote.

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["members"]
        return [Member(str(row["run"]), str(row["weights_sha256"]), float(row["weight"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}.", "Restore it from git or make the ensemble again."
        ) from error


def load_ensemble(path: Path, class_names: tuple[str, ...], tta: str = "run") -> Ensemble:
    """The ensemble of the runs that ``path`` names, which lie beside its own.

    Args:
        class_names: in the order that the ensemble answers in.
        tta: see :func:`fer_core.models.registry.load_classifier`.

    Raises:
        ModelError: a member is not there, has other weights than it had, or knows other classes.
    """
    from fer_core.models.registry import load_classifier

    members = [member for member in read_members(path) if member.weight > 0]
    runs = [_run(member, path.parent.parent.parent) for member in members]
    classifiers = [load_classifier(run, tta) for run in runs]
    return Ensemble(classifiers, [one.weight for one in members], [one.run for one in members], class_names)


def _run(member: Member, root: Path) -> artifacts.Run:
    """The member's run, once it is sure that it is the one meant."""
    remedy = "Restore it from git, or make the ensemble again: python -m fer_core ensemble --help"
    try:
        run = artifacts.read_run(root / "runs" / Path(member.run).name)
    except RunError as error:
        raise ModelError(f"The ensemble needs the run {member.run}: {error.problem}", remedy) from error
    if run.weights_path is None:
        raise ModelError(f"The ensemble needs the weights of {member.run}, which it does not ship.", remedy)
    if sha256(run.weights_path) != member.weights_sha256:
        raise ModelError(f"The weights of {member.run} are not the ones the ensemble was made of.", remedy)
    return run
