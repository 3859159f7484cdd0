//! The figures of the agent itself as a Markdown table.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::table::grouped;

/// Reads what `bulkhead-bench --agent` printed: one figure a line.
pub(crate) fn markdown(printed: &str) -> Result<String> {
    let rows =
        printed.lines().map(|line| row(line).with_context(|| format!("no figure: `{line}`")));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    ensure!(!rows.is_empty(), "the guest measured nothing");
    Ok(format!("| the agent itself | | |\n|---|---:|---|\n{}", rows.concat()))
}

fn row(line: &str) -> Result<String> {
    let value: Value = serde_json::from_str(line)?;
    let text = |key| value.get(key).and_then(Value::as_str).context(key);
    let figure = value.get("value").and_then(Value::as_f64).context("value")?;
    Ok(format!("| {} | {} | {} |\n", text("figure")?, grouped(figure), text("unit")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_a_row_with_its_unit() {
        let printed = r#"{"figure":"in memory","value":21000.4,"unit":"KiB"}"#;
        assert!(markdown(printed).unwrap().ends_with("| in memory | 21,000 | KiB |\n"));
    }

    #[test]
    fn what_is_no_figure_is_an_error_that_shows_it() {
        for printed in ["", "not json", r#"{"figure":"x","unit":"KiB"}"#] {
            assert!(markdown(printed).is_err(), "{printed}");
        }
    }
}
