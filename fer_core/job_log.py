"""What the process of a job printed, from the end of its log: the last lines, and why it failed."""

import os
import re
from pathlib import Path

TAIL_BYTES = 64 * 1024
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OF_ABSL = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: [IWE] ")


def tail(folder: Path, lines: int = 20) -> str:
    """The last ``lines`` lines that the process printed, without colours, overwritten bars and what absl says."""
    try:
        with open(folder / "log.txt", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    kept = [line.rsplit("\r", 1)[-1].rstrip() for line in _ANSI.sub("", text).replace("\r\n", "\n").split("\n")]
    return "\n".join([line for line in kept if line and not _OF_ABSL.match(line)][-lines:])


def failure(folder: Path) -> str:
    """Why a failed job failed: the error and its remedy from the end of its log."""
    lines = tail(folder, 40).splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("Error: ")]
    if starts:
        return " ".join([lines[starts[-1]].removeprefix("Error: "), *lines[starts[-1] + 1 :]])
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    return "The process ended without a word: it was killed, or the machine was short of memory or went off."
