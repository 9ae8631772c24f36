"""Errors that FERscope raises on purpose.

::

    FerError                 what went wrong, and how to mend it
    ├── ImageError           a picture cannot be read
    ├── DatasetError         a dataset, or a row of it, cannot be used
    ├── ModelError           a model name, its weights or its input do not fit
    ├── RunError             a run directory is missing, incomplete or contradicts itself
    │   └── WriteError       the disk refuses what was to be kept
    └── ConfigError          a setting has a value that makes no sense

Pages and the command line catch ``FerError`` and show ``str(error)``; anything else is a bug.
"""


class FerError(Exception):
    """Base of all errors a user can mend.

    Args:
        problem: one sentence that names the file or value and what is wrong with it.
        remedy: one sentence that says what to do about it; may be empty.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())


class ImageError(FerError):
    """A picture cannot be read: truncated, too large, of an unknown type or empty."""


class DatasetError(FerError):
    """A dataset, or a row of it, cannot be used."""


class ModelError(FerError):
    """A model name, its weights or its input do not fit."""


class RunError(FerError):
    """A run directory is missing, incomplete or contradicts itself."""


class WriteError(RunError):
    """The disk refuses what was to be kept: it is full, or may not be written."""


class ConfigError(FerError):
    """A setting has a value that makes no sense."""
