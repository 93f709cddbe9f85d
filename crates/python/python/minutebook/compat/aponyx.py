"""The later name of :mod:`minutebook.compat.macrocredit`."""

from .macrocredit import *  # noqa: F403
from .macrocredit import __all__  # noqa: F401
