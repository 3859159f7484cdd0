//! The report for a person: a table for each level and what it comes to.

use std::{
    cmp::Ordering,
    io::{self, Write},
};

use super::{Conclusion, Document, Latency, LevelReport, Row};
use crate::prove::outcome::Outcome;

/// Whether words may be coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Plain,
    Colour,
}

impl Paint {
    /// Pads first, so that colour never shifts a column.
    fn word(self, text: &str, width: usize, row: &Row) -> String {
        let padded = format!("{text:width$}");
        let code = match (self, row.outcome) {
            (Self::Plain, _) => return padded,
            _ if !row.as_promised => "31;1",
            (_, Outcome::Blocked) => "32",
            (_, Outcome::Seen) => "33",
            (_, Outcome::Missed) => "31",
            _ => return padded,
        };
        format!("\x1b[{code}m{padded}\x1b[0m")
    }
}

/// Writes the whole document.
pub(crate) fn write(out: &mut dyn Write, document: &Document, paint: Paint) -> io::Result<()> {
    for level in &document.levels {
        write_level(out, level, paint)?;
    }
    writeln!(
        out,
        "{} behaviours on Linux {}: {}",
        document.behaviours,
        document.kernel,
        conclusion(document)
    )
}

fn conclusion(document: &Document) -> String {
    let sum =
        |count: fn(&LevelReport) -> usize| -> usize { document.levels.iter().map(count).sum() };
    let lowered = sum(|level| level.summary.lowered);
    let cannot = format!(
        "this node's kernel cannot do all that the levels ask for: less was promised in {lowered} \
         trials (`bulkhead doctor` says why and what to change)"
    );
    match document.conclusion {
        Conclusion::AsPromised => "all as the levels promise.".into(),
        Conclusion::Wrong => {
            let wrong = sum(|level| level.summary.not_as_promised);
            let also = if lowered > 0 { format!(" Besides, {cannot}.") } else { String::new() };
            format!("{wrong} trials are NOT as promised (marked !).{also}")
        }
        Conclusion::NodeCannotEnforce => format!("{cannot}."),
    }
}

const HEADINGS: [&str; 9] =
    ["", "behaviour", "row", "rule", "target", "verdict", "outcome", "seen", "received"];

fn cells(row: &Row) -> [String; 9] {
    let target = if row.relation == "none" { "-" } else { row.relation };
    [
        if row.as_promised { " " } else { "!" }.into(),
        row.behaviour.into(),
        row.row.into(),
        row.rule.into(),
        target.into(),
        row.verdict.into(),
        row.outcome.word().into(),
        microseconds(row.seen_after_ns),
        microseconds(row.received_after_ns),
    ]
}

const OUTCOME: usize = 6;

fn write_level(out: &mut dyn Write, level: &LevelReport, paint: Paint) -> io::Result<()> {
    writeln!(out, "Level {} (times from the act, in µs)", level.level)?;
    let table: Vec<_> = level.trials.iter().map(|row| (row, cells(row))).collect();
    let widths: Vec<usize> = HEADINGS
        .iter()
        .enumerate()
        .map(|(column, heading)| {
            let cells = table.iter().filter_map(|(_, cells)| cells.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(heading.len())
        })
        .collect();
    let heading: Vec<_> =
        HEADINGS.iter().zip(&widths).map(|(text, width)| format!("{text:width$}")).collect();
    writeln!(out, "{}", heading.join("  ").trim_end())?;
    for (row, cells) in &table {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (text, width))| {
            match column.cmp(&OUTCOME) {
                Ordering::Less => format!("{text:width$}"),
                Ordering::Equal => paint.word(text, *width, row),
                // Numbers.
                Ordering::Greater => format!("{text:>width$}"),
            }
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        writeln!(out, "{line}{}", remark(row))?;
    }
    write_summary(out, level)
}

/// What stands behind the line.
fn remark(row: &Row) -> String {
    let mut remarks = Vec::new();
    if !row.as_promised {
        remarks.push(format!("promised: {}", row.promise.word()));
    } else if row.lowered {
        remarks.push(format!("this node: {}", row.rung_word()));
    }
    remarks.extend(row.decided_by.map(|rule| format!("by {rule}")));
    if !row.detail.is_empty() {
        remarks.push(row.detail.clone());
    }
    if remarks.is_empty() { String::new() } else { format!("  {}", remarks.join("; ")) }
}

impl Row {
    fn rung_word(&self) -> &'static str {
        if self.rung == "none" { "no hook" } else { self.rung }
    }
}

fn write_summary(out: &mut dyn Write, level: &LevelReport) -> io::Result<()> {
    let summary = &level.summary;
    let counts: Vec<_> = Outcome::ALL
        .iter()
        .filter_map(|outcome| Some((summary.outcomes.get(outcome)?, outcome.word())))
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    writeln!(out, "{}: {}", level.level, counts.join(", "))?;
    if let (Some(seen), Some(received)) = (summary.seen_after, summary.received_after) {
        writeln!(out, "act to record: {}; act to agent: {}", told(seen), told(received))?;
    }
    writeln!(out)
}

fn told(latency: Latency) -> String {
    format!(
        "median {} µs, at most {} µs",
        microseconds(Some(latency.median_ns)),
        microseconds(Some(latency.max_ns))
    )
}

fn microseconds(nanoseconds: Option<u64>) -> String {
    // Below 0.1 µs nothing here is exact.
    nanoseconds.map_or_else(|| "-".into(), |ns| format!("{}.{}", ns / 1000, ns % 1000 / 100))
}
