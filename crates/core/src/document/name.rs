//! Names of documents.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use crate::error::{Error, Result};
use crate::id::{check_file_text, shown, text_newtype};
use crate::time::parse_timestamp;

/// The longest part, so that its file name fits even if every byte of it is escaped.
const MAX_PART: usize = 80;

text_newtype! {
    /// The name of a document: parts separated by `/`, as in `runs/2025-01-02/params`. At most 400 bytes; each part has 1 to 80 bytes without
    /// control characters, begins with no `.` and has no `\` and no `..`; one before a `/` does not end in `.json`. Compared exactly.
    DocumentName, |text| {
        check_name(text)?;
        Ok(text.into())
    }
}

fn check_name(text: &str) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid(why).with_resource(shown(text)));
    if text.len() > 400 {
        return refuse(format!(
            "the document name has {} bytes; at most 400 are allowed",
            text.len()
        ));
    }
    let mut parts = text.split('/').peekable();
    while let Some(part) = parts.next() {
        check_file_text("part of the document name", part, MAX_PART)?;
        if part.starts_with('.') {
            return refuse("a part of the document name begins with a dot".to_owned());
        }
        let ending = part.get(part.len().saturating_sub(5)..);
        if parts.peek().is_some() && ending.is_some_and(|it| it.eq_ignore_ascii_case(".json")) {
            return refuse(
                "a part of the document name before a \"/\" ends in \".json\", as files do"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

impl DocumentName {
    /// The instant that the name tells: of its last part that is a timestamp or begins with a date (`runs/2025-01-02/params`,
    /// `2025-01-02T10:15:00Z`, `2025-01-02_first`). A date is its midnight, UTC.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        self.as_str().rsplit('/').find_map(time_of)
    }
}

fn time_of(part: &str) -> Option<DateTime<Utc>> {
    let date = part.get(..10)?;
    if !date.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    parse_timestamp(part).ok().or_else(|| {
        let rest = part.get(10..).unwrap_or_default();
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric());
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        ends.then(|| date.and_time(NaiveTime::MIN).and_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_directory_or_meet_a_file() {
        for name in ["a", "runs/2025-01-02/params", "a b/é", "x.json", "a/x.json"] {
            assert!(DocumentName::new(name).is_ok(), "{name}");
        }
        let long = "x".repeat(81);
        for name in [
            "", "/", "a/", "/a", "a//b", "..", "a/../b", "a..b", ".a", "a/.b", r"a\b", "a\0", " a",
            "a /b", "x.json/a", "x.JSON/a", &long,
        ] {
            assert!(DocumentName::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_name_tells_its_time() {
        for (name, time) in [
            ("runs/2025-01-02/params", Some("2025-01-02")),
            ("2025-01-02/2025-01-03_x", Some("2025-01-03")),
            ("r/2025-01-02T10:15:00Z", Some("2025-01-02T10:15:00Z")),
            ("2025-01-021", None),
            ("2025-13-01", None),
            ("params", None),
            ("ééééééé", None),
        ] {
            let expected = time.map(|time| parse_timestamp(time).unwrap());
            assert_eq!(DocumentName::new(name).unwrap().time(), expected, "{name}");
        }
    }
}
