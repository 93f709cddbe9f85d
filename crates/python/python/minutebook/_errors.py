"""The exceptions of the package: one for each kind, each a subclass of the built-in that a Python program expects."""

from __future__ import annotations

from errno import ENOENT

__all__ = [
    "AlreadyExistsError",
    "ConflictError",
    "CorruptError",
    "InvalidInputError",
    "LockedError",
    "MinutebookError",
    "MissingFileError",
    "NotFoundError",
    "SchemaMismatchError",
    "UnavailableError",
    "UnsupportedError",
]


class MinutebookError(Exception):
    """Any error of the store. ``kind`` says what a caller can do, ``resource`` what it is about."""

    kind: str = "unavailable"
    message: str = ""
    resource: str | None = None
    operation: str | None = None
    backend: str | None = None
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.message:
            return Exception.__str__(self)
        place = " ".join(part for part in (self.backend, self.operation) if part)
        text = f"{self.resource}: {self.message}" if self.resource else self.message
        for cause in self.causes:
            if cause not in text:
                text += f": {cause}"
        return f"{text} ({place})" if place else text

    def __reduce__(self):
        args, filename = self.args, getattr(self, "filename", None)
        return (_again, (type(self), args if filename is None else (*args, filename), dict(self.__dict__)))


class NotFoundError(MinutebookError, KeyError):
    """An item that a call needs is not there."""

    kind = "not_found"


class MissingFileError(NotFoundError, FileNotFoundError):
    """A file or a store that a call needs is not there."""

    # KeyError comes first, and would leave errno and filename unset.
    def __new__(cls, *args):
        return OSError.__new__(cls, *args)

    def __init__(self, *args):
        OSError.__init__(self, *args)


class AlreadyExistsError(MinutebookError, ValueError):
    """What was to be created is there already."""

    kind = "already_exists"


class ConflictError(MinutebookError, RuntimeError):
    """Another writer was first: read again, then retry."""

    kind = "conflict"


class InvalidInputError(MinutebookError, ValueError):
    """The call itself is wrong; retrying cannot help."""

    kind = "invalid_input"


class SchemaMismatchError(MinutebookError, ValueError):
    """The columns or types of the data do not fit the series."""

    kind = "schema_mismatch"


class CorruptError(MinutebookError, ValueError):
    """Stored bytes are damaged; the message names the place."""

    kind = "corrupt"


class LockedError(MinutebookError, OSError):
    """Another process holds what the call needs."""

    kind = "locked"


class UnsupportedError(MinutebookError, NotImplementedError):
    """The backend cannot do this."""

    kind = "unsupported"


class UnavailableError(MinutebookError, OSError):
    """The storage failed (I/O, permission, disk full); it may work later."""

    kind = "unavailable"


_BY_KIND = {
    cls.kind: cls
    for cls in (
        NotFoundError,
        AlreadyExistsError,
        ConflictError,
        InvalidInputError,
        SchemaMismatchError,
        CorruptError,
        LockedError,
        UnsupportedError,
        UnavailableError,
    )
}


def _again(cls, args, state):
    error = cls(*args)
    error.__dict__.update(state)
    return error


def from_native(kind, message, resource, operation, backend, causes, errno):
    """The exception for an error of the native part."""
    cls = _BY_KIND.get(kind, UnavailableError)
    if cls is NotFoundError and (errno is not None or operation in ("open", "load")):
        cls, errno = MissingFileError, ENOENT if errno is None else errno
    error = cls(errno, message, resource) if errno is not None and issubclass(cls, OSError) else cls(message)
    error.message = message
    error.resource = resource
    error.operation = operation
    error.backend = backend
    error.causes = tuple(causes)
    return error
