//! Records as the kernel gave them, a line of hexadecimal each, for replay tests.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// A file of records.
pub(crate) struct Recorder {
    out: BufWriter<File>,
}

impl Recorder {
    /// Begins a new file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::new(File::create(path)?) })
    }

    /// Keeps one record. A recording that cannot go on says so; the agent goes on.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let line: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if let Err(error) = writeln!(self.out, "{line}").and_then(|()| self.out.flush()) {
            tracing::warn!(%error, "a record could not be copied to the recording");
        }
    }
}
