"""How numbers are written in sentences, everywhere alike."""


def percent(share: float) -> str:
    """``0.7283`` -> ``72.8 %``."""
    return f"{100 * share:.1f} %"
