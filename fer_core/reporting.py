"""How far a training is and how long it will take, written to a file for who watches from another process."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fer_core.storage import to_json, write_text

WRITE_EVERY_S = 0.5


class Reporter:
    """Writes ``progress.json`` of the job in ``folder``, whole or not at all, at most twice a second.

    Args:
        folder: of the job.
        costs: relative cost of each epoch, e.g. pixels of its pictures; all the same by default.
        may_end_early: the last epoch may never come, so that the time left is what it is at most.
    """

    def __init__(
        self,
        folder: Path,
        costs: Sequence[float] = (),
        clock: Callable[[], float] = time.monotonic,
        may_end_early: bool = False,
    ) -> None:
        self._folder, self._costs, self._clock = Path(folder), list(costs), clock
        self._may_end_early = may_end_early
        self._written, self._unwritten = -WRITE_EVERY_S, None
        self._what, self._epoch, self._first_step, self._since = "", 0, 0, clock()

    def begin(self) -> None:
        """The training starts: the job is no longer waiting or starting."""
        write_text(self._folder / "progress.json", to_json({"logs": {}}))

    def __call__(self, state) -> None:
        """Take ``fer_core.training.engine.Progress``."""
        now, what = self._clock(), getattr(state, "what", "")
        other = what != self._what  # told at once: the next state may be long in coming
        if other or (state.epoch != self._epoch and not what):
            self._what, self._epoch, self._first_step, self._since = what, state.epoch, state.step, now
        self._unwritten = state if now - self._written < WRITE_EVERY_S and not other else None
        if self._unwritten is None:
            self._write(state, now)

    def close(self) -> None:
        """Write the last state, if it came too soon after the one before."""
        if self._unwritten is not None:
            time.sleep(max(0.0, self._written + WRITE_EVERY_S - self._clock()))
            self._write(self._unwritten, self._clock())

    def _write(self, state, now: float) -> None:
        self._written, self._unwritten = now, None
        write_text(self._folder / "progress.json", to_json(self._record(state, now)))

    def _record(self, state, now: float) -> dict:
        steps_seen, own = state.step - self._first_step, (now - self._since)
        if self._what:  # before the first epoch or after the last one
            left = own / steps_seen * (state.steps - state.step) if steps_seen > 0 else None
            record = {"what": self._what, "epochs": state.epochs, "logs": state.logs, "time_left_s": left}
            record |= {"epoch": state.epoch} if state.logs else {}
            record |= {"stage": state.stage, "stages": state.stages} if getattr(state, "stages", 0) else {}
            return record | {"steps_done": state.step, "steps_total": state.steps}
        costs = self._costs if len(self._costs) == state.epochs else [1.0] * state.epochs
        pace = own / steps_seen * state.steps / costs[state.epoch - 1] if steps_seen else None
        last = state.logs.get("epoch")
        if last and state.logs.get("seconds"):  # a whole epoch, its evaluation too
            pace = state.logs["seconds"] / costs[int(last) - 1]
        left = costs[state.epoch - 1] * (1 - state.step / state.steps) + sum(costs[state.epoch :])
        record = {name: getattr(state, name) for name in ("epoch", "epochs", "step", "steps", "logs")}
        record["steps_done"] = (state.epoch - 1) * state.steps + state.step
        record["steps_total"] = state.epochs * state.steps
        record["seconds_per_epoch"] = None if pace is None else pace * costs[state.epoch - 1]
        record["time_left_s"] = None if pace is None else pace * left
        record["at_most"] = self._may_end_early
        return record


def doing_text(what: str, stage: int = 0, stages: int = 0) -> str:
    """``stage 2 of 8: calibration, fold 1 of 3``, or ``what`` alone where there are no stages."""
    return f"stage {stage} of {stages}: {what}" if stages else what


def left_text(shown: Mapping) -> str:
    """``12 min left``, or ``at most 12 min left``, of what :class:`Reporter` wrote; empty where it is not known.

    Outside of the epochs only the time of what is being done is known: ``30 s left of this stage``.
    """
    seconds = shown.get("time_left_s")
    if seconds is None:
        return ""
    of_what = " of this stage" if shown.get("what") else ""
    return f"{'at most ' if shown.get('at_most') else ''}{duration_text(seconds)} left{of_what}"


def duration_text(seconds: float) -> str:
    """``5400`` as ``1 h 30 min``."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
