//! Where things are: the one place that knows the names of directories and files. See `docs/format/series.md`.

use minutebook_core::{SeriesId, SeriesName, Symbol, Timeframe};
use minutebook_fs::names::{decode_folded, encode_folded};
use object_store::path::Path;

/// The directory of series that only have a name. `@` is in no encoded name, so no symbol meets it.
const NAMED: &str = "@named";
const TICKS: &str = "ticks";
const LOG: &str = "log";
const DATA: &str = "data";
const GROUPS: &str = "groups";
const HINT: &str = "hint.json";
const FLOOR: &str = "floor";
const MARK: &str = "kept";
/// The directory of named snapshots; as with [`NAMED`], no symbol meets it.
const SNAPSHOTS: &str = "@snapshots";

/// The directory of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesDir {
    dir: String,
}

impl SeriesDir {
    pub(crate) fn new(series: &SeriesId) -> Self {
        let fold = |text: &str| encode_folded(&text.to_ascii_lowercase());
        let dir = match series {
            SeriesId::Bars { symbol, timeframe } => {
                format!("{}/{timeframe}", fold(symbol.as_str()))
            }
            SeriesId::Ticks { symbol } => format!("{}/{TICKS}", fold(symbol.as_str())),
            SeriesId::Named { name } => format!("{NAMED}/{}", fold(name.as_str())),
        };
        Self { dir }
    }

    /// Everything of the series.
    pub(crate) fn root(&self) -> Path {
        raw(self.dir.clone())
    }

    pub(crate) fn log(&self) -> Path {
        raw(format!("{}/{LOG}", self.dir))
    }

    pub(crate) fn version(&self, version: u64) -> Path {
        raw(format!("{}/{LOG}/{version:020}.json", self.dir))
    }

    pub(crate) fn hint(&self) -> Path {
        raw(format!("{}/{LOG}/{HINT}", self.dir))
    }

    /// Says that versions before this one are removed, or about to be.
    pub(crate) fn floor(&self, version: u64) -> Path {
        raw(format!("{}/{LOG}/{version:020}.{FLOOR}", self.dir))
    }

    pub(crate) fn data_dir(&self) -> Path {
        raw(format!("{}/{DATA}", self.dir))
    }

    pub(crate) fn data(&self, file: &str) -> Path {
        raw(format!("{}/{DATA}/{file}", self.dir))
    }

    pub(crate) fn groups_dir(&self) -> Path {
        raw(format!("{}/{GROUPS}", self.dir))
    }

    pub(crate) fn group(&self, file: &str) -> Path {
        raw(format!("{}/{GROUPS}/{file}", self.dir))
    }
}

/// The version that a log entry's file name says, if it is one.
pub(crate) fn version_of(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(".json")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// The version that a floor's file name says, if it is one.
pub(crate) fn floor_of(file: &str) -> Option<u64> {
    let digits = file.strip_suffix(FLOOR)?.strip_suffix('.')?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// The directory of snapshots of the whole repository.
pub(crate) fn snapshots_dir() -> Path {
    raw(SNAPSHOTS.to_owned())
}

/// The file of a named snapshot.
pub(crate) fn snapshot(name: &str) -> Path {
    let name = encode_folded(&name.to_ascii_lowercase());
    raw(format!("{SNAPSHOTS}/{name}.json"))
}

/// The mark of a named snapshot with this id.
pub(crate) fn snapshot_mark(name: &str, id: &str) -> Path {
    let name = encode_folded(&name.to_ascii_lowercase());
    raw(format!("{SNAPSHOTS}/{name}.{id}.{MARK}"))
}

/// The file of the snapshot to which a mark belongs, if it is one.
pub(crate) fn marked_snapshot(mark: &Path) -> Option<Path> {
    let name = mark.as_ref().strip_suffix(MARK)?.strip_suffix('.')?;
    let (snapshot, id) = name.rsplit_once('.')?;
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| raw(format!("{snapshot}.json")))
}

/// The file of a snapshot that a restoration holds while it lasts: a name that no user gives.
pub(crate) fn passing_snapshot(unique: u64) -> Path {
    raw(format!("{SNAPSHOTS}/~{unique:016x}.json"))
}

/// The name of a new segment or group file, written for `version`; `unique` tells it from those of other attempts.
pub(crate) fn file_name(version: u64, unique: u64, extension: &str) -> String {
    format!("{version:020}-{unique:016x}.{extension}")
}

/// The version for which a segment or group file was written.
pub(crate) fn written_for(file: &str) -> Option<u64> {
    let (digits, rest) = file.split_once('-')?;
    (digits.len() == 20 && rest.len() > 17)
        .then(|| digits.parse().ok())
        .flatten()
}

/// Whether a name from a log entry is one that [`file_name`] makes, so that no entry leads elsewhere.
pub(crate) fn is_file_name(file: &str) -> bool {
    written_for(file).is_some()
        && file
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// The series of a directory, given its two components; `None` if it is not one of ours.
pub(crate) fn series_of(outer: &str, inner: &str) -> Option<SeriesId> {
    let text = decode_folded(if outer == NAMED { inner } else { outer }).ok()?;
    let series = if outer == NAMED {
        SeriesId::named(SeriesName::new(text).ok()?)
    } else {
        let symbol = Symbol::new(text).ok()?;
        match inner {
            TICKS => SeriesId::ticks(symbol),
            _ => SeriesId::bars(symbol, inner.parse::<Timeframe>().ok()?),
        }
    };
    // Only the canonical spelling is ours: `60m` and `1h` must not be two directories of one series.
    (SeriesDir::new(&series).dir == format!("{outer}/{inner}")).then_some(series)
}

/// The directory of a symbol, for a listing of its series.
pub(crate) fn symbol_dir(symbol: &Symbol) -> Path {
    raw(encode_folded(&symbol.as_str().to_ascii_lowercase()))
}

/// A path as it stands: our names are safe already, and encoding them again would change them.
fn raw(text: String) -> Path {
    Path::parse(&text).unwrap_or_else(|_| Path::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_a_directory_of_its_own_and_back() {
        for text in [
            "BTC/USD@1h",
            "BTC-USD@1h",
            "A@B@ticks",
            "@vix daily",
            "@a@1h",
            "X@1mo",
            "X@1m",
            "@NAMED@1h",
            "\u{212A}@1h",
            "K@1h",
            "CON@1d",
            "@con",
            "..@1d",
            "@ü",
        ] {
            let Ok(series) = text.parse::<SeriesId>() else {
                continue;
            };
            let dir = SeriesDir::new(&series).dir;
            let (outer, inner) = dir.split_once('/').unwrap();
            assert_eq!(series_of(outer, inner), Some(series), "{dir}");
            assert_eq!(raw(dir.clone()).as_ref(), dir);
        }
        assert_eq!(series_of("btcusd", "60m"), None);
        assert_eq!(series_of("BTCUSD", "1h"), None);
        assert_eq!(series_of("btcusd", "soon"), None);
    }

    #[test]
    fn file_names_are_told_from_others() {
        assert_eq!(version_of("00000000000000000012.json"), Some(12));
        assert_eq!(version_of("hint.json"), None);
        assert_eq!(version_of("12.json"), None);
        assert_eq!(version_of("00000000000000000012.floor"), None);
        assert_eq!(floor_of("00000000000000000012.floor"), Some(12));
        assert_eq!(floor_of("00000000000000000012.json"), None);
        assert_eq!(series_of("@snapshots", "x"), None);
        let mark = snapshot_mark("a.b", "0f");
        assert_eq!(marked_snapshot(&mark), Some(snapshot("A.b")));
        assert_eq!(marked_snapshot(&snapshot("a.0f.kept")), None);
        let name = file_name(12, 0xabc, "parquet");
        assert_eq!(written_for(&name), Some(12));
        assert!(is_file_name(&name));
        assert!(!is_file_name("00000000000000000012-../../../etc/passwd00"));
    }
}
