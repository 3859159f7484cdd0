//! Files of /proc and of cgroups, whose text the kernel makes up as it is read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Most of them are shorter.
const ROOM: usize = 8 << 10;

/// All of one. The library asks for its size first, which is none, and then for a few bytes, which the kernel
/// makes the whole text for: there are thousands of them a second.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ROOM);
    // Through `take`, so that it is not asked for its size here either.
    File::open(path)?.take(u64::MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same of one that holds text.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_whatever_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 10 * ROOM] {
            let text = "x".repeat(length);
            std::fs::write(&path, &text).unwrap();
            assert_eq!(read_text(&path).unwrap(), text, "{length} bytes");
        }
        assert!(read_text(Path::new("/proc/self/status")).unwrap().ends_with('\n'));
    }

    #[test]
    fn what_is_no_text_or_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
