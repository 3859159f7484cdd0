//! Reading files and strings of any size as far as is wanted.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use bulkhead_policy::event::Text;

/// Bytes of one string.
pub(super) const STRING: usize = 4_096;

/// The first bytes of a file, and whether there are more.
pub(super) fn file(path: impl AsRef<Path>, most: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    let more = bytes.len() > most;
    bytes.truncate(most);
    Ok((bytes, more))
}

/// A string that a tenant chose.
pub(super) fn text(bytes: impl AsRef<[u8]>) -> Text {
    let bytes = bytes.as_ref();
    Text::new(bytes.get(..STRING).unwrap_or(bytes))
}
