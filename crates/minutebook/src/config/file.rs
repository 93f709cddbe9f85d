//! Settings from and to TOML.

use std::path::Path;

use minutebook_fs::Fs;

use super::Config;
use crate::error::{Error, Result};

/// Settings are short; what is longer is another file.
const MAX_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads settings from the text of a `minutebook.toml`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) with line and column for text that is no TOML, a key that there is not, and a
    /// value of the wrong type or out of its range.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let place = error
                .span()
                .map_or(String::new(), |span| place(text, span.start));
            // One line; the parser's own message may go on with a list of what it expected.
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Error::invalid(format!("{place}{message}"))
        })?;
        config.checked()
    }

    /// Refuses numbers that no store can work with.
    pub(super) fn checked(self) -> Result<Self> {
        let zero = [
            (
                "decisions.max_document_bytes",
                self.decisions.max_document_bytes == Some(0),
            ),
            ("ticks.max_line_bytes", self.ticks.max_line_bytes == Some(0)),
        ];
        if let Some(columns) = &self.ticks.columns {
            columns.check()?;
        }
        match zero.iter().find(|(_, zero)| *zero) {
            Some((key, _)) => Err(Error::invalid(format!("{key} is 0; it must be 1 or more"))),
            None => Ok(self),
        }
    }

    /// Reads settings from a file, or `None` if there is no such file.
    pub(crate) fn read(fs: &dyn Fs, path: &Path) -> Result<Option<Self>> {
        let target = match fs.canonicalize(path) {
            Ok(target) => target,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(crate::error::io("read the settings", path, error)),
        };
        let bytes = minutebook_fs::read(fs, &target, MAX_BYTES)
            .map_err(|error| crate::error::fs("read the settings", path, error))?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            Error::invalid("the settings are not UTF-8")
                .with_resource(path.display())
                .with_source(error)
        })?;
        Self::from_toml(text)
            .map(Some)
            .map_err(|error| error.with_resource(path.display()))
    }
}

fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("line {line}, column {column}: ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::config::Durability;

    #[test]
    fn what_was_said_is_read_and_the_rest_left_open() {
        let config = Config::from_toml(
            "durability = \"buffered\"\n[decisions]\nstorage_path = \"data/decisions\"\nmax_decisions = 1000\n",
        )
        .unwrap();
        assert_eq!(config.durability, Some(Durability::Buffered));
        assert_eq!(config.decisions.max_decisions, Some(1000));
        assert_eq!(config.ticks.storage_path, None);
        assert_eq!(Config::from_toml("").unwrap(), Config::new());
    }

    #[test]
    fn a_wrong_key_or_value_is_named_with_its_line() {
        for (text, line, word) in [
            (
                "\n[decisions]\nstorage_pth = \"x\"\n",
                "line 3",
                "storage_pth",
            ),
            ("[decision]\n", "line 1", "decision"),
            ("durability = \"maybe\"\n", "line 1", "maybe"),
            ("[decisions]\nmax_decisions = -5\n", "line 2", "-5"),
            (
                "[decisions]\nmax_decisions = \"many\"\n",
                "line 2",
                "string",
            ),
            ("[decisions\n", "line 1", ""),
            (
                "[ticks.columns]\nn = \"int64\"\nprice = \"decimal\"\n",
                "line 3",
                "decimal",
            ),
            ("[ticks]\ncolumns = \"price\"\n", "line 2", "string"),
            ("[ticks.columns]\nprice = 8\n", "line 2", ""),
        ] {
            let error = Config::from_toml(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            let message = error.to_string();
            assert!(
                message.contains(line) && message.contains(word),
                "{message}"
            );
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let error = Config::from_toml("[ticks]\nmax_line_bytes = 0\n").unwrap_err();
        assert!(error.message().contains("ticks.max_line_bytes"));
        let error = Config::from_toml("[ticks.columns]\ntimestamp = \"utf8\"\n").unwrap_err();
        assert!(error.message().contains("ticks.columns"), "{error}");
    }

    #[test]
    fn toml_out_is_toml_in() {
        let config = Config::new()
            .max_decisions(7)
            .ticks_path("feed")
            .columns("price=float64,a b=timestamp".parse().unwrap())
            .durability(Durability::Synced);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(Config::from_toml(&text).unwrap(), config);
    }
}
