//! What a caller wants `Ok` to promise.

/// What `Ok` promises about a change.
///
/// In both cases a reader sees a document whole, old or new, and an operation changes nothing but what it was asked
/// to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// Content and name reached the device: the change survives a power cut.
    #[default]
    Synced,
    /// The change survives the death of any process. A power cut may lose it, but leaves absence or detectable damage
    /// (a document that is empty or cut short, a line that does not parse), never wrong data.
    Buffered,
}

impl Durability {
    /// Whether it is [`Durability::Synced`].
    pub fn is_synced(self) -> bool {
        self == Self::Synced
    }
}
