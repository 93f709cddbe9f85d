//! The one error type: a kind that says what a caller can do, the resource it is about, the cause.

use std::error::Error as StdError;
use std::fmt;

/// The result of every fallible operation in Minutebook.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error. A kind exists only where callers would act differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A precondition named an item that is not there. Reading a missing item is `Ok(None)`, never this.
    NotFound,
    /// A create found the item already there.
    AlreadyExists,
    /// Another writer was first: read again, then retry.
    Conflict,
    /// The call itself is wrong; retrying cannot help.
    InvalidInput,
    /// The data's columns or types do not fit the series.
    SchemaMismatch,
    /// Stored bytes are damaged: restore them. The resource names the file, the message line or byte.
    Corrupt,
    /// Another process holds what this call needs; it may be free later.
    Locked,
    /// The backend cannot do this; its [`Capabilities`](crate::Capabilities) say so beforehand.
    Unsupported,
    /// The storage failed (I/O, permission, disk full, a task that died); it may work later.
    Unavailable,
}

impl ErrorKind {
    /// The kind's name in `snake_case`, as the command line and other languages show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::InvalidInput => "invalid_input",
            Self::SchemaMismatch => "schema_mismatch",
            Self::Corrupt => "corrupt",
            Self::Locked => "locked",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error of any Minutebook operation.
///
/// [`Display`](fmt::Display) gives one line (resource, message, operation and backend) and leaves out the
/// source, which [`std::error::Error::source`] reaches.
///
/// ```
/// use minutebook_core::{DecisionId, ErrorKind};
///
/// let error = DecisionId::new("../etc/passwd").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert!(error.to_string().contains("../etc/passwd"));
/// ```
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    backend: Option<&'static str>,
    operation: Option<&'static str>,
    resource: Option<String>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, with a message that says what is wrong and, where there is one, the way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                backend: None,
                operation: None,
                resource: None,
                message: message.into(),
                source: None,
            }),
        }
    }

    /// Shorthand for [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Shorthand for [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Names the backend, unless a deeper layer already has.
    #[must_use]
    pub fn with_backend(mut self, backend: &'static str) -> Self {
        self.inner.backend.get_or_insert(backend);
        self
    }

    /// Names the operation, unless a deeper layer already has.
    #[must_use]
    pub fn with_operation(mut self, operation: &'static str) -> Self {
        self.inner.operation.get_or_insert(operation);
        self
    }

    /// Names the resource (an id, a series, a file), unless a deeper layer already has.
    #[must_use]
    pub fn with_resource(mut self, resource: impl fmt::Display) -> Self {
        self.inner
            .resource
            .get_or_insert_with(|| resource.to_string());
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The backend that answered, for example `"parquet"`.
    pub fn backend(&self) -> Option<&'static str> {
        self.inner.backend
    }

    /// The operation that failed, for example `"save"`.
    pub fn operation(&self) -> Option<&'static str> {
        self.inner.operation
    }

    /// What it is about: an id, a series, a dataset or a file.
    pub fn resource(&self) -> Option<&str> {
        self.inner.resource.as_deref()
    }

    /// The message alone, without resource, operation and backend.
    pub fn message(&self) -> &str {
        &self.inner.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(resource) = &self.inner.resource {
            write!(f, "{resource}: ")?;
        }
        f.write_str(&self.inner.message)?;
        match (self.inner.backend, self.inner.operation) {
            (Some(backend), Some(operation)) => write!(f, " ({backend} {operation})"),
            (Some(one), None) | (None, Some(one)) => write!(f, " ({one})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("backend", &self.inner.backend)
            .field("operation", &self.inner.operation)
            .field("resource", &self.inner.resource)
            .field("message", &self.inner.message)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_without_the_source() {
        let error = Error::new(ErrorKind::Unavailable, "cannot write")
            .with_source(std::io::Error::other("disk on fire"))
            .with_operation("save")
            .with_operation("outer layers do not overwrite")
            .with_backend("json")
            .with_resource("d-1");
        assert_eq!(error.to_string(), "d-1: cannot write (json save)");
        assert_eq!(
            StdError::source(&error).unwrap().to_string(),
            "disk on fire"
        );
    }

    #[test]
    fn an_error_is_small_and_crosses_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
