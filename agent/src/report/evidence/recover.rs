//! What a file of the log holds after its writer may have died at any point.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// What was found in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Bytes up to the end of the last whole line.
    pub(super) whole_bytes: u64,
    /// Bytes after it.
    pub(super) torn_bytes: u64,
    /// The number of the first line; `None` where that line cannot be read.
    pub(super) first: Option<u64>,
    /// The last number that the file accounts for: the last readable line's, and one for each
    /// line after it that cannot be read.
    pub(super) last: Option<u64>,
    /// Whole lines that cannot be read.
    pub(super) unreadable: u64,
}

impl Content {
    /// Whether every whole line can be read, or there is none.
    pub(super) fn is_sound(&self) -> bool {
        self.unreadable == 0
    }
}

/// What a reader must find in each line; the rest is not looked at.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Numbered {
    sequence: u64,
    last_sequence: Option<u64>,
}

/// Reads a file from its beginning to its end. A file has a bounded size, and this happens once a
/// start; in exchange nothing is assumed of where it may be damaged.
pub(super) fn content(mut file: impl BufRead + Seek) -> io::Result<Content> {
    file.seek(SeekFrom::Start(0))?;
    let mut content = Content::default();
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        // A line longer than any event ends the look at it: garbage without line ends must not
        // fill the memory.
        let length = file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            return Ok(content);
        }
        if line.last() != Some(&b'\n') {
            content.torn_bytes = length + skip_line(&mut file)?;
            if ended_in_line(&mut file)? {
                return Ok(content);
            }
            content.whole_bytes += std::mem::take(&mut content.torn_bytes);
            content.take(number, None);
        } else {
            content.whole_bytes += length;
            content.take(number, serde_json::from_slice(&line).ok());
        }
        number += 1;
    }
}

/// Far beyond the longest event.
const LONGEST_LINE: u64 = 1 << 20;

impl Content {
    fn take(&mut self, number: u64, line: Option<Numbered>) {
        match line {
            Some(Numbered { sequence, last_sequence }) => {
                if number == 0 {
                    self.first = Some(sequence);
                }
                self.last = Some(last_sequence.unwrap_or(sequence));
            }
            None => {
                self.unreadable += 1;
                self.last = self.last.map(|last| last.saturating_add(1));
            }
        }
    }
}

/// Skips to after the next line end, or to the end of the file; says how many bytes.
fn skip_line(file: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let (used, found) = {
            let buffer = file.fill_buf()?;
            match buffer.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            }
        };
        file.consume(used);
        skipped += used as u64;
        if found {
            return Ok(skipped);
        }
    }
}

/// Whether the byte before the reader's place is not a line end.
fn ended_in_line(file: &mut (impl BufRead + Seek)) -> io::Result<bool> {
    file.seek(SeekFrom::Current(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(byte != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn of(text: &[u8]) -> Content {
        content(Cursor::new(text)).unwrap()
    }

    #[test]
    fn a_whole_file_is_read_to_its_last_number() {
        let found = of(b"{\"sequence\":7,\"x\":1}\n{\"sequence\":8,\"lastSequence\":12}\n");
        let expected = Content { first: Some(7), last: Some(12), ..Content::default() };
        assert_eq!(Content { whole_bytes: 0, ..found }, expected);
        assert!(found.is_sound());
        assert_eq!(of(b""), Content::default());
    }

    #[test]
    fn a_torn_tail_is_told_from_the_whole_lines_before_it() {
        let found = of(b"{\"sequence\":7}\n{\"sequence\":8");
        assert_eq!((found.whole_bytes, found.torn_bytes, found.last), (15, 13, Some(7)));
    }

    #[test]
    fn unreadable_lines_count_as_one_number_each() {
        let found = of(b"{\"sequence\":7}\n\0\0\0\nnot json\n");
        assert_eq!((found.last, found.unreadable, found.torn_bytes), (Some(9), 2, 0));
        let found = of(b"garbage\n{\"sequence\":7}\n");
        assert_eq!((found.first, found.last), (None, Some(7)));
    }

    #[test]
    fn garbage_without_line_ends_is_bounded_in_memory_and_counted_in_full() {
        let mut text = b"{\"sequence\":7}\n".to_vec();
        text.resize(15 + 3 * LONGEST_LINE as usize, 0);
        assert_eq!(of(&text).torn_bytes, 3 * LONGEST_LINE);
        text.push(b'\n');
        let found = of(&text);
        assert_eq!((found.torn_bytes, found.unreadable, found.last), (0, 1, Some(8)));
        assert_eq!(found.whole_bytes, text.len() as u64);
    }

    proptest! {
        #[test]
        fn whole_and_torn_bytes_are_the_whole_file(text in "(\\{\"sequence\":[0-9]{1,3}\\}|[ab]{0,3}|\n){0,40}") {
            let found = of(text.as_bytes());
            prop_assert_eq!(found.whole_bytes + found.torn_bytes, text.len() as u64);
            let whole = text.rfind('\n').map_or(0, |at| at + 1) as u64;
            prop_assert_eq!(found.whole_bytes, whole);
        }
    }
}
