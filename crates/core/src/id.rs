//! Validated names, opaque revisions and versions, and the source of new ids.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::decision::DecisionId;
use crate::error::{Error, Result};
use crate::time::Clock;

/// What every name must hold: 1 to `max` bytes of UTF-8 without control characters.
pub(crate) fn check_text(what: &str, text: &str, max: usize) -> Result<()> {
    let reason = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > max {
        format!("has {} bytes; at most {max} are allowed", text.len())
    } else if text.trim() != text {
        "begins or ends with white space".to_owned()
    } else if let Some(c) = text.chars().find(|c| c.is_control()) {
        format!("contains the control character U+{:04X}", u32::from(c))
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("the {what} {reason}")).with_resource(shown(text)))
}

/// What names that become file names must hold as well: no separator and no `..`.
pub(crate) fn check_file_text(what: &str, text: &str, max: usize) -> Result<()> {
    check_text(what, text, max)?;
    let bad = ["/", "\\", ".."].into_iter().find(|bad| text.contains(bad));
    match bad {
        Some(bad) => Err(Error::invalid(format!(
            "the {what} contains \"{bad}\", which could leave the store's directory"
        ))
        .with_resource(shown(text))),
        None => Ok(()),
    }
}

/// A name cut to what fits on a line of an error message.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.escape_debug().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("\"{short}\"")
}

/// Makes a validated string newtype: `new`, `as_str`, `Display`, `FromStr`, serde as a string.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            ///
            /// # Errors
            /// [`InvalidInput`](crate::ErrorKind::InvalidInput) with the rule that the text breaks.
            pub fn new(text: impl AsRef<str>) -> $crate::Result<Self> {
                let check: fn(&str) -> $crate::Result<std::borrow::Cow<'_, str>> = $check;
                check(text.as_ref()).map(|text| Self(text.as_ref().into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Error;

            fn try_from(text: String) -> $crate::Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::Error;

            fn try_from(text: &str) -> $crate::Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text_newtype;

text_newtype! {
    /// Which state of a document this is: an opaque token, compared for equality only.
    ///
    /// A save returns one; [`SaveMode::Update`](crate::SaveMode::Update) with it succeeds only while it is
    /// still the document's own. Backends make it from a counter and a digest, so that edits by other programs change it too.
    Revision, |text| {
        check_text("revision", text, 200)?;
        Ok(text.into())
    }
}

/// Which state of a series this is: grows with each change, comparable within one series only.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where new decision ids come from. Injected, so that tests and replays are deterministic.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// A new id, different from every one given before.
    fn next_id(&self) -> DecisionId;
}

/// Ids that carry their time: UUID version 7 (RFC 9562, section 5.7), ascending even within a millisecond.
#[derive(Debug)]
pub struct UuidV7Source {
    clock: Arc<dyn Clock>,
    context: Mutex<ContextV7>,
}

impl UuidV7Source {
    /// Ids after this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            context: Mutex::new(ContextV7::new()),
        }
    }
}

impl IdSource for UuidV7Source {
    fn next_id(&self) -> DecisionId {
        let now = self.clock.now();
        // Before 1970 UUIDv7 has no representation; the epoch keeps such ids unique and sortable.
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner);
        let time = Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos());
        DecisionId::from_uuid(Uuid::new_v7(time))
    }
}
