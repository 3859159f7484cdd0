//! Names that a tenant chose -> text that cannot break a line or pass for something else.

use std::fmt::{self, Write};

use serde::Serialize;

/// Bytes that a tenant chose (a path, a task's name), as text.
///
/// Printable characters stand for themselves, a backslash is `\\`, and every byte of anything else
/// (control characters, characters that reorder or separate lines, bytes that are not UTF-8) is
/// `\xNN`. The original bytes can be read back exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Escapes `bytes`.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        if let Some(plain) = plain(bytes) {
            return Self(plain.to_owned());
        }
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                push(&mut text, character);
            }
            chunk.invalid().iter().for_each(|byte| push_byte(&mut text, *byte));
        }
        Self(text)
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// For a line of words: quoted where it would not read as one word.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '(' | ')' | '=');
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(&self.0);
        }
        write!(f, "\"{}\"", self.0.replace('"', "\\x22"))
    }
}

/// Nearly every name: nothing in it needs to be escaped.
fn plain(bytes: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    if bytes.iter().all(is_plain) { std::str::from_utf8(bytes).ok() } else { None }
}

fn push(text: &mut String, character: char) {
    if character == '\\' {
        text.push_str("\\\\");
    } else if character.is_control() || reorders(character) {
        let mut buffer = [0; 4];
        character.encode_utf8(&mut buffer).bytes().for_each(|byte| push_byte(text, byte));
    } else {
        text.push(character);
    }
}

fn push_byte(text: &mut String, byte: u8) {
    // Writing to a String cannot fail; the result is looked at because nothing is dropped here.
    if write!(text, "\\x{byte:02x}").is_err() {
        text.push('\u{fffd}');
    }
}

/// Line and paragraph separators, marks that change the direction of the text around them, and
/// characters of no width: with these, one name can be made to look like another.
const fn reorders(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reader does: the inverse of the escape.
    fn unescape(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let escaped = &rest[at + 1..];
            if let Some(after) = escaped.strip_prefix('\\') {
                bytes.push(b'\\');
                rest = after;
            } else {
                bytes.push(u8::from_str_radix(&escaped[1..3], 16).unwrap());
                rest = &escaped[3..];
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(unescape(Text::new(&bytes).as_str()), bytes);
        }

        #[test]
        fn any_characters_can_be_read_back(name in "\\PC*|.*|[\\\\x0-9a-f]*") {
            prop_assert_eq!(unescape(Text::new(&name).as_str()), name.into_bytes());
        }

        #[test]
        fn no_name_can_break_a_line(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = Text::new(bytes);
            prop_assert!(!text.as_str().chars().any(char::is_control));
            prop_assert!(!text.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn hostile_names_are_shown_for_what_they_are() {
        assert_eq!(Text::new("évil 中").as_str(), "évil 中");
        assert_eq!(Text::new(b"a\nb\x1b[2J\x7f").as_str(), r"a\x0ab\x1b[2J\x7f");
        assert_eq!(Text::new(b"\xff\\x41").as_str(), r"\xff\\x41");
        assert_eq!(Text::new("\u{202e}txt.exe\u{9b}").as_str(), r"\xe2\x80\xaetxt.exe\xc2\x9b");
        assert_eq!(Text::new("a b").to_string(), "\"a b\"");
        assert_eq!(Text::new("").to_string(), "\"\"");
        assert_eq!(Text::new("x\" tenant=\"y").to_string(), r#""x\x22 tenant=\x22y""#);
    }
}
