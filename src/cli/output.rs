//! Where answers and talk are written, also when whoever read them has gone.

use std::io::{self, ErrorKind, Write};

/// Writes until the reader has gone, as of `tidegate history | head -1`, and from then on says nothing.
///
/// The command goes on to its end: what it found out is its exit code, which must not depend on how much of the answer
/// was read. One that only shows things ([`super::demo`]) finds out by flushing, and ends. Any other failure to write, of
/// a full disk for one, is an error as ever.
pub(super) struct Output<W> {
    inner: W,
    gone: bool,
}

impl<W: Write> Output<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, gone: false }
    }

    /// Whether the reader has gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        match self.inner.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(bytes.len())
            }
            done => done,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let done = self.inner.flush();
        self.gone = matches!(&done, Err(error) if error.kind() == ErrorKind::BrokenPipe);
        done
    }
}
