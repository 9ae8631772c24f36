"""How numbers and names are written, everywhere alike."""

from pathlib import Path


def percent(share: float) -> str:
    """``0.7283`` -> ``72.8 %``."""
    return f"{100 * share:.1f} %"


def printable(name: Path | str) -> str:
    """``name`` as text that can be stored and shown: bytes that are no UTF-8, as of an old disk, become escapes."""
    return str(name).encode("utf-8", "backslashreplace").decode()
