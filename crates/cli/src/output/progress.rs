//! A progress bar over the bytes of an input, while somebody watches standard error.

use std::io::{self, BufRead, Read};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress over an input of known length; invisible unless watched.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar that says what is being done.
    pub(crate) fn new(watched: bool, doing: &'static str, bytes: u64) -> Self {
        let target = if watched {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        // The template is a constant that parses; the default style is the harmless alternative.
        if let Ok(style) = ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ) {
            bar.set_style(style);
        }
        bar.set_message(doing);
        Self(bar)
    }

    /// Bytes that were worked through.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Where it is now, of how much in all.
    pub(crate) fn at(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }

    /// A reader that counts what passes through it.
    pub(crate) fn wrap<R: Read>(&self, inner: R) -> Counted<R> {
        Counted {
            inner,
            progress: self.clone(),
        }
    }
}

/// A reader whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Counted<R> {
    inner: R,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.progress.add(n as u64);
        Ok(n)
    }
}

/// A boxed reader of lines.
pub(crate) type Lines = Box<dyn BufRead + Send>;
