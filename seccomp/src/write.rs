//! Profile to text that people read: a rule's comment first, names in lines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::profile::{Profile, Rule};

/// Where a line of names ends.
const WIDTH: usize = 100;

/// The profile as an OCI file.
pub fn to_text(profile: &Profile) -> String {
    let mut out = String::from("{\n");
    let action = Value::from(profile.default_action.oci_name());
    line(&mut out, &format!("  \"defaultAction\": {action},"));
    if let Some(errno) = profile.default_action.errno() {
        line(&mut out, &format!("  \"defaultErrnoRet\": {errno},"));
    }
    if !profile.architectures.is_empty() {
        let list = serde_json::to_value(&profile.architectures).unwrap_or_default();
        line(&mut out, &format!("  \"architectures\": {},", spaced(&list)));
    }
    if !profile.flags.is_empty() {
        line(&mut out, &format!("  \"flags\": {},", spaced(&json!(profile.flags))));
    }
    if let Some(path) = &profile.listener_path {
        line(&mut out, &format!("  \"listenerPath\": {},", Value::from(path.as_str())));
    }
    if let Some(metadata) = &profile.listener_metadata {
        line(&mut out, &format!("  \"listenerMetadata\": {},", Value::from(metadata.as_str())));
    }
    let rules: Vec<String> = profile.rules.iter().map(rule_text).collect();
    if rules.is_empty() {
        line(&mut out, "  \"syscalls\": []");
    } else {
        line(&mut out, "  \"syscalls\": [");
        line(&mut out, &rules.join(",\n"));
        line(&mut out, "  ]");
    }
    out.push_str("}\n");
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn rule_text(rule: &Rule) -> String {
    let mut fields = Vec::new();
    if !rule.comment.is_empty() {
        fields.push(format!("      \"comment\": {}", Value::from(rule.comment.as_str())));
    }
    fields.push(format!("      \"names\": {}", wrapped(&rule.names)));
    let mut action = format!("      \"action\": {}", Value::from(rule.action.oci_name()));
    if rule.errno_given
        && let Some(errno) = rule.action.errno()
    {
        action.push_str(&format!(", \"errnoRet\": {errno}"));
    }
    fields.push(action);
    if !rule.args.is_empty() {
        let conditions: Vec<_> = rule
            .args
            .iter()
            .map(|condition| {
                let mut value = serde_json::to_value(condition).unwrap_or_default();
                if let Some(object) = value.as_object_mut()
                    && object.get("valueTwo") == Some(&json!(0))
                    && condition.op != crate::profile::Operator::MaskedEqual
                {
                    object.remove("valueTwo");
                }
                spaced(&value)
            })
            .collect();
        fields.push(format!("      \"args\": [{}]", conditions.join(", ")));
    }
    for (name, filter) in [("includes", &rule.includes), ("excludes", &rule.excludes)] {
        if !filter.is_empty() {
            let value = serde_json::to_value(filter).unwrap_or_default();
            fields.push(format!("      \"{name}\": {}", spaced(&value)));
        }
    }
    let trimmed: Vec<_> = fields.iter().map(|field| field.trim_start()).collect();
    let one_line = format!("    {{ {} }}", trimmed.join(", "));
    if one_line.len() <= 2 * WIDTH && !one_line.contains('\n') && !rule.args.is_empty() {
        return one_line;
    }
    format!("    {{\n{}\n    }}", fields.join(",\n"))
}

/// JSON on one line, with a space where the eye wants one.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            format!("[{}]", list.iter().map(spaced).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let fields: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// A list of names over as many lines as it takes.
fn wrapped(names: &[String]) -> String {
    let words: Vec<String> =
        names.iter().map(|name| Value::from(name.as_str()).to_string()).collect();
    let one_line = format!("[{}]", words.join(", "));
    if one_line.len() + 15 <= WIDTH {
        return one_line;
    }
    let mut out = String::from("[");
    let mut column = WIDTH;
    for (index, word) in words.iter().enumerate() {
        if column + word.len() + 2 > WIDTH {
            out.push_str("\n        ");
            column = 8;
        } else {
            out.push(' ');
            column += 1;
        }
        let comma = if index + 1 < words.len() { "," } else { "" };
        // Writing to a string cannot fail.
        let _infallible: std::fmt::Result = write!(out, "{word}{comma}");
        column += word.len() + comma.len();
    }
    out.push_str("\n      ]");
    out
}
