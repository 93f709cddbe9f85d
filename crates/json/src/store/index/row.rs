//! What is known of one file, and in which orders it stands.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::DecisionId;
use minutebook_fs::{FileId, Metadata};

use crate::codec::Token;
use crate::journal::Sight;
use crate::store::facts::Facts;

/// What a look at a file without reading it tells, to notice that it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) file: FileId,
    pub(crate) len: u64,
    pub(crate) changed_ns: i64,
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            file: meta.id,
            len: meta.len,
            changed_ns: i64::try_from(meta.changed_ns).unwrap_or(i64::MIN),
        }
    }
}

impl Stamp {
    /// As a checkpoint has it of a file in a directory of this device.
    pub(crate) fn of(sight: Sight, device: u64) -> Self {
        let inode = sight.inode;
        Self {
            file: FileId { device, inode },
            len: sight.len,
            changed_ns: sight.changed_ns,
        }
    }

    /// As a checkpoint keeps it. The device's number is not kept: it may be another after the machine was started anew.
    pub(crate) fn sight(self) -> Sight {
        Sight {
            inode: self.file.inode,
            len: self.len,
            changed_ns: self.changed_ns,
        }
    }
}

/// What is known of the decision in a file.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// Its effective time.
    pub(crate) time: DateTime<Utc>,
    /// When it was recorded.
    pub(crate) at: DateTime<Utc>,
    /// Which state it is.
    pub(crate) token: Token,
    /// Whether the journal has this state.
    pub(crate) journaled: bool,
    pub(crate) facts: Facts,
}

/// What is known of one file.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: Arc<str>,
    /// The decision in it; for a suspect the one that its name claims.
    pub(crate) id: Option<DecisionId>,
    /// `None` for a suspect.
    pub(crate) content: Option<Content>,
    /// How the file looked when the content was learned; `None` if a change could hide behind it.
    pub(crate) stamp: Option<Stamp>,
    /// Not in the directory, but in the journal, and the directory cannot be written.
    pub(crate) absent: bool,
    /// Whether the name tells another id than the file.
    pub(crate) misnamed: bool,
}

impl Row {
    /// By which times it is ordered (effective, recorded); `None` for a suspect.
    pub(crate) fn times(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        self.content
            .as_ref()
            .map(|content| (content.time, content.at))
    }

    /// Whether it holds this state.
    pub(crate) fn is(&self, token: Token, time: DateTime<Utc>, at: DateTime<Utc>) -> bool {
        let known = self.content.as_ref();
        known.is_some_and(|known| known.token == token && known.time == time && known.at == at)
    }
}

/// A row in an order by time, then id, then name.
macro_rules! ordered_row {
    ($(#[$doc:meta])* $name:ident, $key:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(pub(crate) Arc<Row>);

        impl $name {
            fn key(&self) -> (DateTime<Utc>, Option<&DecisionId>, &str) {
                let content = self.0.content.as_ref();
                let time = content.map_or(DateTime::UNIX_EPOCH, |content| content.$key);
                (time, self.0.id.as_ref(), &self.0.name)
            }

            /// The place before all rows of a time.
            pub(crate) fn edge(time: DateTime<Utc>) -> Self {
                Self(Arc::new(Row::edge(time)))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == Ordering::Equal
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.key().cmp(&other.key())
            }
        }
    };
}

ordered_row! {
    /// By effective time.
    ByTime, time
}
ordered_row! {
    /// By when it was recorded.
    ByWritten, at
}

impl Row {
    fn edge(time: DateTime<Utc>) -> Self {
        let content = Content {
            time,
            at: time,
            token: Token::NONE,
            journaled: false,
            facts: Facts::default(),
        };
        Self {
            name: "".into(),
            id: None,
            content: Some(content),
            stamp: None,
            absent: false,
            misnamed: false,
        }
    }
}

/// A row under its name.
#[derive(Debug)]
pub(super) struct ByName(pub(super) Arc<Row>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0.name).hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

/// A row under the id that its file claims.
#[derive(Debug)]
pub(super) struct ById(pub(super) Arc<Row>);

impl ById {
    fn id(&self) -> &str {
        self.0.id.as_ref().map_or("", DecisionId::as_str)
    }
}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.id()
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for ById {}
