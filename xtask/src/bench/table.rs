//! The figures as a Markdown table: one row an operation, one column a configuration, each with
//! its ratio to the first.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The figures of one configuration.
#[derive(Debug)]
pub(crate) struct Column {
    name: &'static str,
    figures: Vec<(String, f64)>,
}

impl Column {
    /// Reads what `bulkhead-bench` printed.
    pub(crate) fn parse(name: &'static str, printed: &str) -> Result<Self> {
        let figure = |line: &str| -> Result<(String, f64)> {
            let value: Value = serde_json::from_str(line)?;
            let operation = value.get("operation").and_then(Value::as_str);
            let ns = value.get("ns").and_then(Value::as_f64);
            Ok((operation.context("no operation")?.to_owned(), ns.context("no ns")?))
        };
        let figures = printed
            .lines()
            .map(|line| figure(line).with_context(|| format!("no figure in `{line}`")))
            .collect::<Result<_>>()?;
        Ok(Self { name, figures })
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }
}

/// Columns of the same operations.
#[derive(Debug)]
pub(crate) struct Table(Vec<Column>);

impl Table {
    /// Puts the columns side by side; they must have the same operations.
    pub(crate) fn new(columns: Vec<Column>) -> Result<Self> {
        let operations = |column: &Column| -> Vec<String> {
            column.figures.iter().map(|(operation, _)| operation.clone()).collect()
        };
        for pair in columns.windows(2) {
            if let [one, other] = pair {
                let same = operations(one) == operations(other);
                ensure!(same, "`{}` and `{}` measured different things", one.name, other.name);
            }
        }
        Ok(Self(columns))
    }

    /// The table, with a closing newline.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::from("| operation |");
        let mut rule = String::from("|---|");
        for (index, column) in self.0.iter().enumerate() {
            push(&mut text, format_args!(" {} |", column.name));
            rule.push_str("---:|");
            if index > 0 {
                text.push_str(" ratio |");
                rule.push_str("---:|");
            }
        }
        push(&mut text, format_args!("\n{rule}\n"));
        let Some(first) = self.0.first() else { return text };
        for (row, (operation, base)) in first.figures.iter().enumerate() {
            push(&mut text, format_args!("| {operation} | {} |", grouped(*base)));
            for column in self.0.iter().skip(1) {
                let figure = column.figures.get(row).map_or(f64::NAN, |(_, figure)| *figure);
                push(&mut text, format_args!(" {} | ×{:.3} |", grouped(figure), figure / base));
            }
            text.push('\n');
        }
        text
    }
}

/// Writing to a string cannot fail.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap_or_default();
}

/// A whole number with commas between thousands.
pub(super) fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &'static str, figures: &[(&str, f64)]) -> Column {
        let figures = figures.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect();
        Column { name, figures }
    }

    #[test]
    fn each_later_column_has_its_ratio_to_the_first() {
        let columns = vec![
            column("no agent", &[("getpid", 310.4), ("stat", 1000.0)]),
            column("agent", &[("getpid", 310.4), ("stat", 1_030_000.0)]),
        ];
        let text = Table::new(columns).unwrap().markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| operation | no agent | agent | ratio |");
        assert_eq!(lines[1], "|---|---:|---:|---:|");
        assert_eq!(lines[2], "| getpid | 310 | 310 | ×1.000 |");
        assert_eq!(lines[3], "| stat | 1,000 | 1,030,000 | ×1030.000 |");
    }

    #[test]
    fn columns_of_different_operations_are_refused() {
        let columns = vec![column("a", &[("getpid", 1.0)]), column("b", &[("stat", 1.0)])];
        assert!(Table::new(columns).is_err());
    }

    #[test]
    fn a_line_that_is_no_figure_is_an_error() {
        assert!(Column::parse("a", "{\"operation\":\"stat\",\"ns\":1.5}").is_ok());
        assert!(Column::parse("a", "{\"operation\":\"stat\"}").is_err());
        assert!(Column::parse("a", "Killed").is_err());
    }
}
