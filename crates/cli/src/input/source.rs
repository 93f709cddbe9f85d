//! An input that can be read more than once: a file as it is, anything else by way of a temporary copy.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::documents::line_breaks;
use crate::failure::{Failure, Outcome};
use crate::output::progress::{Lines, Progress};

/// What an input is, by its first bytes and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Rows of cells.
    Csv,
    /// A JSON object a line.
    JsonLines,
    /// Parquet.
    Parquet,
}

/// An input.
#[derive(Debug)]
pub(crate) struct Source {
    /// What it is called in messages.
    pub(crate) name: String,
    /// Where it is, unless it is a temporary copy of a stream.
    pub(crate) path: Option<PathBuf>,
    /// Its length in bytes as it is stored.
    pub(crate) bytes: u64,
    file: File,
    gzip: bool,
}

impl Source {
    /// Opens a file, or standard input for `-`. What cannot be read twice (standard input, a pipe) is copied to a temporary file first.
    pub(crate) fn open(path: &Path, stdin: &mut dyn Read) -> Outcome<Self> {
        if path.as_os_str() == "-" {
            return Self::copy("standard input".to_owned(), stdin);
        }
        let name = path.display().to_string();
        let failed = |error: &io::Error| Failure::file("read", &name, error);
        let mut file = File::open(path).map_err(|e| failed(&e))?;
        let metadata = file.metadata().map_err(|e| failed(&e))?;
        if metadata.is_dir() {
            return Err(Failure::data(format!(
                "{name}: this is a directory; name a file in it"
            )));
        }
        if !metadata.is_file() {
            return Self::copy(name, &mut file);
        }
        Self::of(name, Some(path.to_owned()), file)
    }

    fn copy(name: String, from: &mut dyn Read) -> Outcome<Self> {
        let copied = tempfile::tempfile().and_then(|mut file| {
            io::copy(from, &mut file)?;
            Ok(file)
        });
        let file = copied.map_err(|e| Failure::file("take a temporary copy", &name, &e))?;
        Self::of(name, None, file)
    }

    fn of(name: String, path: Option<PathBuf>, mut file: File) -> Outcome<Self> {
        let mut magic = [0; 2];
        let looked = file
            .rewind()
            .and_then(|()| read_up_to(&mut file, &mut magic));
        let n = looked.map_err(|e| Failure::file("read", &name, &e))?;
        let bytes = file
            .metadata()
            .map_err(|e| Failure::file("read", &name, &e))?
            .len();
        Ok(Self {
            gzip: magic[..n] == [0x1f, 0x8b],
            name,
            path,
            bytes,
            file,
        })
    }

    /// The content from its start, decompressed.
    pub(crate) fn reader(&mut self, progress: &Progress) -> Outcome<Lines> {
        let opened = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.try_clone());
        let file = opened.map_err(|e| Failure::file("read", &self.name, &e))?;
        let counted = progress.wrap(file);
        Ok(if self.gzip {
            Box::new(BufReader::with_capacity(
                256 * 1024,
                MultiGzDecoder::new(counted),
            ))
        } else {
            Box::new(BufReader::with_capacity(256 * 1024, counted))
        })
    }

    /// The whole content as text.
    pub(crate) fn text(&mut self) -> Outcome<String> {
        let mut bytes = Vec::new();
        self.reader(&Progress::new(false, "", 0))?
            .read_to_end(&mut bytes)
            .map_err(|e| self.broken(&e))?;
        String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let before = error.as_bytes().get(..valid).unwrap_or_default();
            let line = line_breaks(before) + 1;
            Failure::data(format!(
                "{}, line {line}: not UTF-8; convert the file to UTF-8 first",
                self.name
            ))
        })
    }

    /// What the content is.
    pub(crate) fn format(&mut self) -> Outcome<Format> {
        let mut head = [0; 512];
        let mut reader = self.reader(&Progress::new(false, "", 0))?;
        let n = read_up_to(&mut reader, &mut head).map_err(|e| self.broken(&e))?;
        let head = head.get(..n).unwrap_or_default();
        if head.is_empty() {
            return Err(Failure::data(format!("{}: the file is empty", self.name)));
        }
        if head.starts_with(b"PAR1") {
            return Ok(Format::Parquet);
        }
        let text = head
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(head)
            .trim_ascii_start();
        Ok(if text.starts_with(b"{") {
            Format::JsonLines
        } else {
            Format::Csv
        })
    }

    /// A failure while reading the content.
    pub(crate) fn broken(&self, error: &io::Error) -> Failure {
        if self.gzip {
            let what = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the gzip data is cut short".to_owned(),
                _ => format!("the gzip data is damaged ({error})"),
            };
            return Failure::data(format!("{}: {what}; fetch the file again", self.name));
        }
        Failure::file("read", &self.name, error)
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match reader.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn of(bytes: &[u8]) -> Source {
        Source::open(Path::new("-"), &mut &*bytes).unwrap()
    }

    #[test]
    fn the_format_is_told_by_the_content_also_inside_gzip() {
        for (bytes, format) in [
            (&b"Date,Open\n"[..], Format::Csv),
            (b"\xef\xbb\xbf  {\"a\": 1}\n", Format::JsonLines),
            (b"PAR1....", Format::Parquet),
        ] {
            assert_eq!(of(bytes).format().unwrap(), format);
        }
        assert_eq!(of(&gzipped(b"{}\n")).format().unwrap(), Format::JsonLines);
        assert!(of(b"").format().is_err());
    }

    #[test]
    fn a_stream_can_be_read_twice() {
        let mut source = of(&gzipped(b"hello"));
        assert_eq!(source.text().unwrap(), "hello");
        assert_eq!(source.text().unwrap(), "hello");
    }

    #[test]
    fn damage_is_told_with_a_place() {
        let whole = gzipped(&b"a,b\n".repeat(1_000));
        let message = |mut source: Source| match source.text() {
            Err(Failure::Message { text, .. }) => text,
            other => panic!("{other:?}"),
        };
        assert!(message(of(&whole[..whole.len() / 2])).contains("cut short"));
        assert!(message(of(b"ok\nbad \xff\n")).contains("line 2"));
    }
}
