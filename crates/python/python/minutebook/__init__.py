"""The store of record for trading systems: what was seen and what was decided, in open files."""

from ._errors import *  # noqa: F403
from ._errors import __all__ as _errors_all
from ._native import __version__

__all__ = ["__version__", *_errors_all]
