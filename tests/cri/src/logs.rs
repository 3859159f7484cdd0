//! The file in which a runtime keeps what a container said: `TIME STREAM F|P TEXT` lines.

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogLine<'a> {
    pub(crate) to_stderr: bool,
    pub(crate) text: &'a str,
    /// The container's line ends here; a long one comes in pieces.
    pub(crate) complete: bool,
}

/// Takes a line of the file apart; `None` if it is no such line.
pub(crate) fn parse(line: &str) -> Option<LogLine<'_>> {
    let mut parts = line.splitn(4, ' ');
    let (_time, stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let to_stderr = match stream {
        "stdout" => false,
        "stderr" => true,
        _ => return None,
    };
    Some(LogLine { to_stderr, text, complete: tag != "P" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_follows_the_three_first_words() {
        let line = parse("2026-01-01T00:00:00.1Z stderr F two  words").unwrap();
        assert_eq!(line, LogLine { to_stderr: true, text: "two  words", complete: true });
        assert!(!parse("T stdout P piece").unwrap().complete);
    }

    #[test]
    fn an_empty_line_of_the_container_is_a_line() {
        assert_eq!(parse("T stdout F ").unwrap().text, "");
    }

    #[test]
    fn another_format_is_refused() {
        assert_eq!(parse("half a line"), None);
        assert_eq!(parse("T console F text"), None);
    }
}
