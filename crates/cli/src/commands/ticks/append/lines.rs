//! Entries from a file, checked as a whole first, or from a stream as they come.

use std::io::{self, Read};
use std::path::Path;

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use minutebook::jsonl::TimeField;
use minutebook::{Problem, ProblemKind, ReadReport};

use super::batch::Batch;
use crate::failure::{Failure, Outcome};
use crate::input::entries::{Entries, EntryOptions, Rows};
use crate::input::records::{LineReader, Records};
use crate::input::source::{Format, Source};
use crate::input::times::TimeReader;
use crate::output::Output;
use crate::output::progress::Progress;

/// How long a line on standard input may be.
const MAX_LINE: usize = 64 << 20;

/// Where entries come from.
pub(super) enum Input<'a> {
    /// A feed: what has come is appended before more is waited for.
    Stream(Box<dyn Read + 'a>),
    /// A file, or CSV from wherever.
    File(Source),
}

impl<'a> Input<'a> {
    pub(super) fn open(path: &Path, stdin: &'a mut (dyn Read + Send)) -> Outcome<Self> {
        if path.as_os_str() != "-" {
            return Ok(Self::File(Source::open(path, stdin)?));
        }
        // The first bytes tell compression and format; they are put back in front.
        let failed = |error: io::Error| Failure::file("read", "standard input", &error);
        let (head, stdin) = peek(stdin, 2).map_err(failed)?;
        let whole = io::Cursor::new(head.clone()).chain(stdin);
        let mut plain: Box<dyn Read + 'a> = if head == [0x1f, 0x8b] {
            Box::new(MultiGzDecoder::new(whole))
        } else {
            Box::new(whole)
        };
        let (head, rest) = peek(&mut plain, 512).map_err(failed)?;
        let _ = rest;
        let json = head
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&head)
            .trim_ascii_start()
            .first()
            .is_none_or(|byte| *byte == b'{' || *byte == b'[');
        let mut whole: Box<dyn Read + 'a> = Box::new(io::Cursor::new(head).chain(plain));
        if json {
            return Ok(Self::Stream(whole));
        }
        Ok(Self::File(Source::open(Path::new("-"), &mut whole)?))
    }
}

/// The first bytes, as many as one look gives but at least one unless there is none.
fn peek<R: Read>(mut reader: R, most: usize) -> io::Result<(Vec<u8>, R)> {
    let mut head = vec![0; most];
    let mut n = 0;
    // Two bytes may come one by one; a whole line need not be waited for.
    while n < most.min(2) {
        match reader.read(&mut head[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(n);
    Ok((head, reader))
}

/// How entries are read.
pub(super) struct Job<'a> {
    pub(super) entries: &'a Entries<'a>,
    pub(super) options: &'a EntryOptions,
    pub(super) times: &'a TimeReader,
    pub(super) time: &'a TimeField,
    pub(super) skip_malformed: bool,
}

impl Job<'_> {
    /// Goes through a file twice: to check it, and to append it.
    pub(super) async fn file(
        &self,
        mut source: Source,
        batch: &mut Batch<'_>,
        output: &mut Output<'_>,
    ) -> Outcome {
        match source.format()? {
            Format::JsonLines => {}
            Format::Csv => return self.rows(source, batch, output).await,
            Format::Parquet => {
                return Err(Failure::data(format!(
                    "{}: ticks are taken from JSON Lines or CSV, and this is Parquet",
                    source.name
                )));
            }
        }
        let mut report = ReadReport::default();
        for writing in [false, true] {
            let doing = if writing { "appending" } else { "checking" };
            let progress = Progress::new(output.watched, doing, source.bytes);
            let mut lines = LineReader::new(source.reader(&progress)?);
            while let Some((line, bytes)) = lines.next().map_err(|error| source.broken(&error))? {
                let entry = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned());
                let checked = entry.and_then(|entry| Ok((self.entries.check(entry)?, entry)));
                match checked {
                    Ok((Some(symbol), entry)) if writing => {
                        if batch.push(symbol, entry.to_owned()) {
                            batch.flush(self.time).await?;
                        }
                    }
                    Ok(_) => {}
                    Err(_) if writing => {}
                    Err(what) => self.malformed(&source.name, line, &what, &mut report)?,
                }
            }
            progress.finish();
        }
        output.report(&report);
        batch.flush(self.time).await
    }

    /// Appends lines as they come.
    pub(super) async fn stream(
        &self,
        mut stream: Box<dyn Read + '_>,
        batch: &mut Batch<'_>,
        output: &mut Output<'_>,
    ) -> Outcome {
        const NAME: &str = "standard input";
        let mut chunk = vec![0; 256 * 1024];
        let mut text: Vec<u8> = Vec::new();
        let mut line = 0;
        loop {
            let n = match stream.read(&mut chunk) {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::file("read", NAME, &error)),
            };
            text.extend_from_slice(&chunk[..n]);
            // At the end what is left is the last line, with or without a line break.
            let complete = if n == 0 {
                text.len()
            } else {
                text.iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(0, |at| at + 1)
            };
            let mut report = ReadReport::default();
            let mut failed = None;
            for bytes in text[..complete].split_inclusive(|byte| *byte == b'\n') {
                line += 1;
                let bytes = if line == 1 {
                    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
                } else {
                    bytes
                };
                let entry = bytes.trim_ascii();
                if entry.is_empty() {
                    continue;
                }
                let entry = std::str::from_utf8(entry).map_err(|_| "not UTF-8".to_owned());
                match entry.and_then(|entry| Ok((self.entries.check(entry)?, entry))) {
                    Ok((Some(symbol), entry)) => {
                        batch.push(symbol, entry.to_owned());
                    }
                    Ok((None, _)) => {}
                    Err(what) => {
                        if let Err(failure) = self.malformed(NAME, line, &what, &mut report) {
                            failed = Some(failure);
                            break;
                        }
                    }
                }
            }
            output.report(&report);
            batch.flush(self.time).await?;
            if let Some(failure) = failed {
                return Err(failure);
            }
            if n == 0 {
                return Ok(());
            }
            text.drain(..complete);
            if text.len() > MAX_LINE {
                return Err(Failure::data(format!(
                    "{NAME}, line {}: longer than 64 MiB",
                    line + 1
                )));
            }
        }
    }

    /// Goes through CSV twice: to check it, and to append it.
    async fn rows(
        &self,
        mut source: Source,
        batch: &mut Batch<'_>,
        output: &mut Output<'_>,
    ) -> Outcome {
        let mut report = ReadReport::default();
        let mut record = StringRecord::new();
        // Rows are stored with their time as "timestamp".
        let time = TimeField::timestamp();
        for writing in [false, true] {
            let doing = if writing { "appending" } else { "checking" };
            let progress = Progress::new(output.watched, doing, source.bytes);
            let mut records = Records::open(&mut source, Format::Csv, &progress)?;
            let rows = Rows::new(records.columns(), self.options, &source.name)?;
            while let Some(line) = records.next(&mut record)? {
                let entry = rows.entry(&record, self.times).and_then(|(entry, symbol)| {
                    let symbol = match symbol {
                        None => self.options.symbol.clone(),
                        Some(value) => Some(self.entries.symbol_of(&value)?).filter(|found| {
                            self.options
                                .symbol
                                .as_ref()
                                .is_none_or(|wanted| wanted == found)
                        }),
                    };
                    Ok((symbol, entry))
                });
                match entry {
                    Ok((Some(symbol), entry)) if writing => {
                        if batch.push(symbol, entry) {
                            batch.flush(&time).await?;
                        }
                    }
                    Ok(_) => {}
                    Err(_) if writing => {}
                    Err(what) => self.malformed(&source.name, line, &what, &mut report)?,
                }
            }
            progress.finish();
        }
        output.report(&report);
        batch.flush(&time).await
    }

    fn malformed(&self, file: &str, line: u64, what: &str, report: &mut ReadReport) -> Outcome {
        if self.skip_malformed {
            report.add(
                Problem::new(ProblemKind::Malformed, file, format!("{what}; left out"))
                    .at_line(line),
            );
            return Ok(());
        }
        Err(Failure::data(format!(
            "{file}, line {line}: {what}; mend the line, or leave it out with --skip-malformed"
        )))
    }
}
