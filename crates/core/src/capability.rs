//! What a backend can do. What it cannot is [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).

use std::fmt;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $bit:literal => $text:literal,)*) => {
        /// One thing that a backend may or may not be able to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $name,)*
        }

        impl Capability {
            /// Every capability that there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in `kebab-case`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            const fn bit(self) -> u32 {
                match self { $(Self::$name => 1 << $bit,)* }
            }
        }
    };
}

capabilities! {
    /// What was acknowledged is there after the repository is dropped and opened again.
    Persistent = 0 => "persistent",
    /// What one handle writes, every other handle on the same store sees with its next call.
    Shared = 1 => "shared",
    /// Decisions, datasets: `SaveMode::Update` compares revisions, so that no update is lost.
    Revisions = 2 => "revisions",
    /// Series: `WriteMode::Upsert`.
    Upsert = 3 => "upsert",
    /// Series: `WriteMode::ReplaceRange`.
    ReplaceRange = 4 => "replace-range",
    /// Series: `delete` of a time range (deleting a whole series needs no capability).
    DeleteRange = 5 => "delete-range",
    /// Series: scans come in time order, whatever the order of the writes. Without it they come in the order written.
    TimeOrdered = 6 => "time-ordered",
    /// Series: earlier versions can be read (`ScanQuery::as_of`).
    AsOf = 7 => "as-of",
    /// Series: every Arrow type comes back exactly. Without it, types come back as JSON can hold them
    /// (`Int64`, `Float64`, `Boolean`, `Utf8`).
    ExactTypes = 8 => "exact-types",
    /// Decisions: earlier states and deletions are kept and can be read (`history`, `get_at`).
    History = 9 => "history",
    /// Decisions: changes can be followed as they come (`watch`).
    Watch = 10 => "watch",
    /// Series: scans can come the newest row first (`ScanQuery::newest_first`).
    NewestFirst = 16 => "newest-first",
    /// Series: a key of several columns can be declared (`declare_key`).
    Key = 17 => "key",
}

/// A set of [`Capability`]s.
///
/// ```
/// use minutebook_core::{Capabilities, Capability};
///
/// let can = Capabilities::of(&[Capability::Persistent, Capability::Upsert]);
/// assert!(can.has(Capability::Upsert));
/// assert!(!can.has(Capability::AsOf));
/// assert_eq!(can.to_string(), "persistent, upsert");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u32);

impl Capabilities {
    /// The set of these.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < capabilities.len() {
            bits |= capabilities[i].bit();
            i += 1;
        }
        Self(bits)
    }

    /// Whether the set has this one.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Those in the set, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .iter()
            .copied()
            .filter(move |capability| self.has(*capability))
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, capability) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(capability.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
