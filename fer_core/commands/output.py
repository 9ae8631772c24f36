"""Files that commands write where they are told to: refused in words, and before the work."""

from pathlib import Path

from fer_core.errors import ConfigError
from fer_core.storage import write_text


def check_writable(path: Path | None) -> None:
    """Before the work, not after it. Leaves no file behind that was not there.

    Raises:
        ConfigError: ``path`` cannot be written.
    """
    if path is None:
        return
    try:
        there = path.exists()
        with path.open("a", encoding="utf-8"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise _refusal(path, error) from error


def write(path: Path, text: str) -> None:
    """Write UTF-8, the whole of it or nothing: what was there stays where the disk refuses.

    Raises:
        ConfigError, WriteError: the disk refuses.
    """
    if path.is_file():
        write_text(path, text)
        return
    try:
        path.write_text(text, encoding="utf-8")  # what is no file, as /dev/stdout, has no other to take its place
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error.strerror}.", "Name another file.")
