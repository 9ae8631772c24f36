"""Files that commands write where they are told to: refused in words, and before the work."""

from pathlib import Path

from fer_core.errors import ConfigError


def check_writable(path: Path | None) -> None:
    """Before the work, not after it. Leaves no file behind that was not there.

    Raises:
        ConfigError: ``path`` cannot be written.
    """
    if path is None:
        return
    there = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise _refusal(path, error) from error


def write(path: Path, text: str) -> None:
    """Write UTF-8.

    Raises:
        ConfigError: the disk refuses.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path} cannot be written: {error.strerror}.", "Name another file.")
