"""Where a file is written: its directory made, a link followed, the permissions that a plain ``open`` would give."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _umask() -> int:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except (OSError, ValueError, IndexError):
        pass
    return 0o022


def in_place(path: Path) -> Path:
    """The file itself, where the path is a link to it."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def ready(path: Path) -> Iterator[Path]:
    """The file to replace; a new one can be read by whom the process lets read its files."""
    target = in_place(path)
    is_new = not target.exists()
    yield target
    if is_new and os.name == "posix":
        os.chmod(target, 0o666 & ~_umask())


def as_plainly_made(path: str) -> None:
    """Lets who may read what the process makes read a file that the store has made for itself alone."""
    if os.name == "posix":
        # Another program may have taken it away again.
        with suppress(FileNotFoundError):
            if stat.S_IMODE(os.stat(path).st_mode) == 0o600:
                os.chmod(path, 0o666 & ~_umask())


def is_synced(durability: str) -> bool:
    """Whether a write is to survive a power cut."""
    if durability not in ("buffered", "synced"):
        raise ValueError(f"durability is 'buffered' or 'synced', not {durability!r}")
    return durability == "synced"


class Guard:
    """A lock among the threads of a process: a copy, and a process that was forked, begin with one that nobody holds."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def __enter__(self) -> None:
        pid = os.getpid()
        if self._pid != pid:
            self._lock, self._pid = threading.RLock(), pid
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Guard], tuple[()]]:
        return (Guard, ())
