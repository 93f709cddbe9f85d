//! The kinds of findings: one table that the code, the command and docs/verify.md share.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, and as it may be: nothing is to be done.
    Note,
    /// Nothing is lost, but it is not as it should be; a repair puts it right.
    Untidy,
    /// Stored data is damaged or missing.
    Damage,
}

impl Severity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Untidy => "untidy",
            Self::Damage => "damage",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A part of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// The store's own directory.
    Store,
    /// Decisions.
    Decisions,
    /// Ticks.
    Ticks,
    /// Bars and other series.
    Series,
    /// The catalog, with the files that it names.
    Catalog,
    /// Documents.
    Documents,
}

impl Part {
    /// Every part.
    pub const ALL: &'static [Self] = &[
        Self::Store,
        Self::Decisions,
        Self::Ticks,
        Self::Series,
        Self::Catalog,
        Self::Documents,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Decisions => "decisions",
            Self::Ticks => "ticks",
            Self::Series => "series",
            Self::Catalog => "catalog",
            Self::Documents => "documents",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = Error;

    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a part that there is not.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|part| part.name() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|part| part.name()).collect();
            Error::invalid(format!(
                "\"{text}\" is no part of a store; the parts are {}",
                names.join(", ")
            ))
        })
    }
}

macro_rules! kinds {
    ($($name:ident = $text:literal, $part:ident, $severity:ident, $about:literal, $mend:literal;)*) => {
        /// What is the matter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum FindingKind {
            $(#[doc = $about] $name,)*
        }

        impl FindingKind {
            /// Every kind that there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in `kebab-case`. It stays what it is from release to release.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The part of a store in which it occurs; [`Part::Store`] for those that occur anywhere.
            pub const fn part(self) -> Part {
                match self { $(Self::$name => Part::$part,)* }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it is, in words.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }

            /// What mends it, in words.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $mend,)* }
            }
        }
    };
}

kinds! {
    Unreadable = "unreadable", Store, Damage,
        "the storage could not read it, so it was not checked",
        "nothing here: see what the storage says, then check again";
    NotAFile = "not-a-file", Store, Damage,
        "a link, a directory or a device where a plain file belongs; nothing reads it",
        "it is moved to quarantine";
    StrayTemporary = "stray-temporary", Store, Untidy,
        "a temporary file whose writer died before it was done; what it was to become was never acknowledged",
        "it is moved to quarantine";
    ForeignFile = "foreign-file", Store, Note,
        "a file that is none of the store's; nothing reads or changes it",
        "nothing: it is left alone";

    DecisionTorn = "decision-torn", Decisions, Damage,
        "a document that is empty, breaks off, or is no JSON",
        "the journal's text takes its place; if the journal does not have it, the file is moved to quarantine and the decision is lost";
    DecisionRefused = "decision-refused", Decisions, Note,
        "a whole file that is no decision: no id, a key twice, a timestamp that is none, too large",
        "nothing: it is left alone, as it may belong to another program";
    DecisionSpoiled = "decision-spoiled", Decisions, Damage,
        "the journal has the decision, and its file was changed into something that is none",
        "the journal's text takes its place";
    DecisionMarked = "decision-marked", Decisions, Untidy,
        "a document behind a byte order mark, as some editors write it; it is not read",
        "the mark is taken away";
    DecisionMissing = "decision-missing", Decisions, Damage,
        "the journal has the decision and its file is gone: lost, or removed by another program and not noted by a writer since",
        "the journal's text is written again; delete the decision if it was to go";
    DecisionEdited = "decision-edited", Decisions, Note,
        "the file holds another text than the journal: another program edited it; the file counts",
        "nothing: the next save takes it into the journal";
    DecisionDuplicate = "decision-duplicate", Decisions, Untidy,
        "several files claim one id; the newest counts and hides this one",
        "this one is moved to quarantine";
    DecisionMisnamed = "decision-misnamed", Decisions, Untidy,
        "the name says another id or date than the document; what is inside counts",
        "it is given its name";
    DecisionUnfinished = "decision-unfinished", Decisions, Untidy,
        "a writer died after it had journaled a change and before the files followed",
        "the change is carried out";
    JournalLineDamaged = "journal-line-damaged", Decisions, Damage,
        "a line of the journal whose content does not fit its hash, and that the chain needs: it was changed after it was written",
        "the journal is moved to quarantine and founded anew from its intact lines; what stood in the damaged ones alone is lost";
    JournalChainBroken = "journal-chain-broken", Decisions, Damage,
        "a line of the journal that does not follow the one before: lines are missing, were put in, or change places",
        "the journal is moved to quarantine and founded anew from its intact lines";
    JournalTornLine = "journal-torn-line", Decisions, Note,
        "what a crash left of a line of the journal; it was never acknowledged, and the chain goes on without it",
        "nothing: the journal is never rewritten for it";
    JournalTornTail = "journal-torn-tail", Decisions, Untidy,
        "bytes after the last line of the journal: a writer died while it wrote; nothing of it was acknowledged",
        "they are moved to quarantine";
    JournalSegmentOrphaned = "journal-segment-orphaned", Decisions, Untidy,
        "a sealed file of the journal that no file after it names: the journal was founded anew, or exchanged",
        "it is moved to quarantine";
    JournalMissing = "journal-missing", Decisions, Damage,
        "there is a checkpoint and no journal: the trail of changes was removed",
        "the checkpoint is moved to quarantine; documents stay, and the trail begins anew";
    JournalHeadMissing = "journal-head-missing", Decisions, Damage,
        "the hash that was given is that of no line: the end of the journal was cut, or it is another journal",
        "nothing here: restore the journal from a backup";
    CheckpointDamaged = "checkpoint-damaged", Decisions, Untidy,
        "a checkpoint that cannot be read or is of another journal; it is left aside, and opening takes longer",
        "it is moved to quarantine; it can be made anew at any time";

    TickLineMalformed = "tick-line-malformed", Ticks, Damage,
        "a line that is no JSON object: torn, overwritten, or not UTF-8; reads skip it",
        "it is taken out into quarantine; all other lines stay byte for byte";
    TickLineUntimed = "tick-line-untimed", Ticks, Note,
        "an entry without a readable time: no row, but an entry",
        "nothing: it is left alone";
    TickLineTooLong = "tick-line-too-long", Ticks, Note,
        "a line over the limit, which reads skip",
        "nothing: raise the limit (ticks.max_line_bytes) to read it";
    TickTornTail = "tick-torn-tail", Ticks, Untidy,
        "bytes after the last line: a writer died while it wrote; nothing of it was acknowledged",
        "they are moved to quarantine; a whole entry that lacks its newline alone gets it";
    TickFileMisnamed = "tick-file-misnamed", Ticks, Untidy,
        "a file that is called like a series and that no series has; reads leave it out",
        "it is given the name of the series that it means, if that is free";
    TickFileForeign = "tick-file-foreign", Ticks, Note,
        "a file that is called like a series, means none, or one that has a file already",
        "nothing: it is left alone";
    SealedSegmentDamaged = "sealed-segment-damaged", Ticks, Damage,
        "a sealed segment of ticks that does not fit its checksums or its digest",
        "it is moved to quarantine, and every line of it that can still be read is sealed anew under its number";
    SealedSegmentMissing = "sealed-segment-missing", Ticks, Damage,
        "the manifest of the sealed segments names a file that is not there; reads fail",
        "one that has the name of another gets its own back; else the manifest names it no more, and its lines are lost";
    SealedSegmentOrphaned = "sealed-segment-orphaned", Ticks, Untidy,
        "a sealed segment that the manifest does not name: left over of one that was moved away, a copy under another number, a plain one with other lines than the compressed one of its number, or put there by somebody; nothing reads it",
        "it is moved to quarantine";
    SealedManifestDamaged = "sealed-manifest-damaged", Ticks, Untidy,
        "the manifest of the sealed segments is missing, damaged, or older than the segments (it does not name one that came after it); reads put it together from them",
        "it is written again from what the segments say of themselves";
    SealingUnfinished = "sealing-unfinished", Ticks, Untidy,
        "what a rotation or compaction that was interrupted left: a segment that is not compressed, a part of one, or one that is to be removed; or a segment that came after a lost list of segments was put together. Reads see every line once, but of the last none",
        "the rotation is finished, and the segment taken into the series";
    TickIndexDamaged = "tick-index-damaged", Ticks, Untidy,
        "the index beside a tick file does not fit its checksum; it is left aside, and the file is read instead",
        "it is moved to quarantine; writers make another";
    TypesDamaged = "types-damaged", Ticks, Damage,
        "the file beside a series that says the types of columns of nulls and the unit of numeric times does not parse",
        "it is moved to quarantine: columns of nulls read as text, and numeric times need their unit from the settings";
    TypesOrphaned = "types-orphaned", Ticks, Untidy,
        "the file of types of a series that is not there; a new series would inherit it",
        "it is moved to quarantine";

    VersionDamaged = "version-damaged", Series, Damage,
        "an entry of a version log that does not fit its digest, does not parse, or is of another version or series",
        "it and the versions before it are moved to quarantine; if it is the newest, the series goes back to the version before, and what it added is lost";
    VersionMissing = "version-missing", Series, Damage,
        "a version is missing between others: who opens the series may take an earlier one for the newest",
        "the versions before the gap are moved to quarantine; the newest is complete in itself";
    VacuumUnfinished = "vacuum-unfinished", Series, Note,
        "old versions of which a vacuum has removed the first ones and was interrupted",
        "nothing: the next vacuum goes on";
    SegmentMissing = "segment-missing", Series, Damage,
        "a version names a file that is not there",
        "a new version is committed without it, and its rows are lost; where an earlier version has the same rows, or no others are left, the new one goes on with those";
    SegmentDamaged = "segment-damaged", Series, Damage,
        "a file of rows that does not fit its size, its digest or its checksums",
        "a new version is committed without it and with those of its rows that can still be read (those of pages with a checksum: of an adopted file without any none, since a wrong value reads as well as a right one), or goes on with those of an earlier version as for `segment-missing`; the file is moved to quarantine. Of ticks, the segment that was moved to it last is read from the tick files again if it is still there, nothing else changed rows since, and the version before it is kept or there was none";
    GroupDamaged = "group-damaged", Series, Damage,
        "a list of segments that is missing, or does not fit its digest",
        "a new version is committed without its segments, or goes on with those of an earlier version as for `segment-missing`; they are moved to quarantine";
    SegmentOrphaned = "segment-orphaned", Series, Untidy,
        "a file of rows, or a list of them, that no version names and that is too old to belong to a write that is under way",
        "it is moved to quarantine";
    HintDamaged = "hint-damaged", Series, Untidy,
        "the hint to the newest version does not parse, or points at nothing",
        "it is moved to quarantine; the next one is written by itself";

    RegistryDamaged = "registry-damaged", Catalog, Damage,
        "the registry does not parse; no call can use it",
        "it is moved to quarantine, and the entries that can still be read are written again";
    EntryDamaged = "entry-damaged", Catalog, Damage,
        "an entry of the registry that is no dataset",
        "it is taken out into quarantine";
    EntryDangling = "entry-dangling", Catalog, Damage,
        "an entry with statistics whose data is not there",
        "it is taken out into quarantine";
    EntryAwaiting = "entry-awaiting", Catalog, Note,
        "an entry whose data is not there yet, and of which nothing is known",
        "nothing: the data may still come";
    EntryDrifted = "entry-drifted", Catalog, Untidy,
        "an entry whose statistics are not those of its data",
        "its statistics are brought up to date";
    EntryOutside = "entry-outside", Catalog, Damage,
        "an entry whose relative path leads out of the store, which no call follows",
        "it is taken out into quarantine";
    EntryForeign = "entry-foreign", Catalog, Note,
        "an entry with a path of another platform or outside the store; its data was not looked at",
        "nothing: it is left alone";
    EntryDuplicate = "entry-duplicate", Catalog, Note,
        "two entries for the same data",
        "nothing: both may be wanted";
    DatasetDamaged = "dataset-damaged", Catalog, Damage,
        "a Parquet file that an entry names is damaged",
        "file and entry are moved to quarantine; get the data again from its source";

    DocumentTorn = "document-torn", Documents, Damage,
        "a document that is empty, breaks off, is no JSON or no UTF-8; reading it fails",
        "it is moved to quarantine; a backup may have it";
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FindingKind {
    type Err = Error;

    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a name that no kind has.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|kind| kind.name() == text);
        found
            .copied()
            .ok_or_else(|| Error::invalid(format!("\"{text}\" is no kind of finding")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in FindingKind::ALL {
            assert_eq!(kind.name().parse::<FindingKind>().unwrap(), *kind);
            assert!(!kind.about().is_empty() && !kind.remedy().is_empty());
        }
        assert!("rot".parse::<FindingKind>().is_err());
        for part in Part::ALL {
            assert_eq!(part.name().parse::<Part>().unwrap(), *part);
        }
        assert!("journal".parse::<Part>().is_err());
    }
}
