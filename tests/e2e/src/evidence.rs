//! The evidence log, as whoever reads it later sees it.

use std::{fs, io, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::wait_for;

/// The log in a directory.
#[derive(Clone, Debug)]
pub struct Evidence(PathBuf);

/// One event.
#[derive(Clone, Debug)]
pub struct Event(Value);

impl Event {
    /// The event of a line.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn parse(line: &str) -> Result<Self> {
        serde_json::from_str(line).map(Self).with_context(|| format!("no JSON: {line}"))
    }

    /// The text at a path of keys with dots between them, or nothing.
    #[must_use]
    pub fn text(&self, path: &str) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// The number at a path of keys, if there is one.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u64> {
        self.at(path).and_then(Value::as_u64)
    }

    /// The event's number in the log.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.number("sequence").unwrap_or_default()
    }

    /// Whether it tells of an act.
    #[must_use]
    pub fn is_act(&self) -> bool {
        self.text("kind") == "act"
    }

    /// Whether the actor is still the runtime's set-up of a container.
    #[must_use]
    pub fn is_of_setup(&self) -> bool {
        self.at("actor.process.setup").and_then(Value::as_bool) == Some(true)
    }

    /// What is at a path of keys; null where nothing is.
    #[must_use]
    pub fn value(&self, path: &str) -> &Value {
        self.at(path).unwrap_or(&Value::Null)
    }

    fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |value, key| value.get(key))
    }
}

/// In short, for the message of a test that fails.
impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |path| self.text(path);
        write!(f, "{} {} {}", self.sequence(), text("kind"), text("message"))?;
        write!(f, " {} {} {}", text("rule"), text("effect"), text("relation"))?;
        for end in ["actor", "target"] {
            let part = |path: &str| self.text(&format!("{end}.{path}"));
            let pid = self.number(&format!("{end}.process.pid")).unwrap_or_default();
            let (tenant, pod) = (part("tenant"), part("pod.name"));
            let (comm, how) = (part("process.comm"), part("attribution"));
            write!(f, " | {end}: {tenant}/{pod} {comm}[{pid}] {how}")?;
        }
        let [call, operation] = ["syscall.name", "operation"].map(|path| self.at(path));
        write!(f, " {}", text("target.path"))?;
        write!(f, " | {} {}", call.unwrap_or(&Value::Null), operation.unwrap_or(&Value::Null))
    }
}

impl Evidence {
    /// The log in this directory.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// All events, in their order.
    ///
    /// # Errors
    /// When a file cannot be read, or a whole line is no JSON.
    pub fn events(&self) -> Result<Vec<Event>> {
        let mut files = Vec::new();
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot list {}", self.0.display()))?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == "current.jsonl" || name.starts_with("evidence-") {
                files.push(path);
            }
        }
        let mut events = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            // What does not end with a line's end is being written.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            for line in whole.lines() {
                events.push(Event::parse(line)?);
            }
        }
        events.sort_by_key(Event::sequence);
        Ok(events)
    }

    /// The number of the newest event.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn newest(&self) -> Result<u64> {
        Ok(self.events()?.last().map_or(0, Event::sequence))
    }

    /// The events after this one.
    ///
    /// # Errors
    /// As [`Self::events`].
    pub fn after(&self, sequence: u64) -> Result<Vec<Event>> {
        let mut events = self.events()?;
        events.retain(|event| event.sequence() > sequence);
        Ok(events)
    }

    /// Waits for an event after this one.
    ///
    /// # Errors
    /// When it does not come: with those that came instead.
    pub fn await_one(
        &self,
        after: u64,
        what: &str,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        let found = wait_for(&format!("an event: {what}"), || {
            Ok(self.after(after)?.into_iter().find(|event| is_it(event)))
        });
        found.with_context(|| match self.after(after) {
            Ok(events) => {
                let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
                format!("{} others came:\n{}", lines.len(), lines.join("\n"))
            }
            Err(error) => format!("{error:#}"),
        })
    }
}
