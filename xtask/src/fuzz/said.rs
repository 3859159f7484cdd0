//! What libFuzzer says of a search.

use std::fmt;

/// A search that was none: fewer inputs in a second, or fewer edges of the code in all.
const LEAST_A_SECOND: u64 = 20;
const LEAST_EDGES: u64 = 100;

/// How many lines of a failure are shown: the panic, its stack, the input.
const SHOWN: usize = 60;

/// The end of what it said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Inputs that were tried.
    executions: u64,
    /// Edges of the code that they took.
    edges: u64,
    /// Inputs that took new ones.
    added: u64,
    /// What came after the last line of progress.
    pub(super) last_words: String,
}

impl Said {
    pub(super) fn read(text: &str) -> Self {
        let mut said = Self::default();
        let mut last_words = Vec::new();
        for line in text.lines() {
            if let Some(edges) = line.strip_prefix('#').and_then(|_| after(line, " cov: ")) {
                said.edges = edges;
                last_words.clear();
            } else if let Some(figure) = line.strip_prefix("stat::") {
                match figure.split_once(':') {
                    Some(("number_of_executed_units", number)) => said.executions = read(number),
                    Some(("new_units_added", number)) => said.added = read(number),
                    _ => {}
                }
            } else {
                last_words.push(line);
            }
        }
        last_words.truncate(SHOWN);
        said.last_words = last_words.join("\n");
        said
    }

    /// Why the search was none.
    pub(super) fn fault(&self, seconds: usize) -> Option<String> {
        let least = LEAST_A_SECOND * seconds as u64;
        if self.executions < least {
            return Some(format!("only {} inputs were tried, not {least}", self.executions));
        }
        (self.edges < LEAST_EDGES).then(|| {
            format!("only {} edges of the code were taken: is it instrumented?", self.edges)
        })
    }
}

fn read(number: &str) -> u64 {
    number.trim().parse().unwrap_or_default()
}

fn after(line: &str, words: &str) -> Option<u64> {
    line.split_once(words)?.1.split(' ').next()?.parse().ok()
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, edges, added, .. } = self;
        write!(f, "{executions} inputs, {edges} edges, {added} inputs kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: &str = "INFO: Seed: 1\n\
        #8\tINITED cov: 127 ft: 173 corp: 6/304b exec/s: 0 rss: 31Mb\n\
        #742145\tDONE   cov: 240 ft: 1070 corp: 503/112Kb lim: 1908 exec/s: 57088 rss: 31Mb\n\
        stat::number_of_executed_units: 742145\n\
        stat::new_units_added:          17\n";

    #[test]
    fn a_search_is_told_by_its_last_line_of_progress_and_its_figures() {
        let said = Said::read(SEARCH);
        assert_eq!(said.to_string(), "742145 inputs, 240 edges, 17 inputs kept");
        assert_eq!(said.fault(12), None);
    }

    #[test]
    fn a_search_that_was_none_is_a_fault() {
        assert!(Said::read("").fault(1).unwrap().contains("only 0 inputs"));
        assert!(Said::read(SEARCH).fault(1_000_000).unwrap().contains("not 20000000"));
        let blind = SEARCH.replace("cov: ", "ft: ");
        assert!(Said::read(&blind).fault(1).unwrap().contains("only 0 edges"));
    }

    #[test]
    fn a_failure_is_what_comes_after_the_progress() {
        let said = Said::read(&format!("{SEARCH}thread panicked at a.rs:1\n"));
        assert_eq!(said.last_words, "thread panicked at a.rs:1");
    }
}
