//! Says no where it is heard: in the runtime's log, from which containerd takes the message that
//! ends in the pod's events, and on standard error, from which CRI-O does.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

use jiff::Timestamp;
use serde_json::json;

use crate::{
    arguments::Log, demands::DemandError, json::JsonError, levels::LevelsError, owner::OwnerError,
};

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A file that the call names cannot be read or written.
    #[error("{path} cannot be {what}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Read or written.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that the call names is not what it should be.
    #[error("{path} is not understood: {source}")]
    Document {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: JsonError,
    },
    /// A container's owner cannot be told.
    #[error("whose container {path} is cannot be told: {source}")]
    Owner {
        /// The configuration.
        path: PathBuf,
        /// Why.
        #[source]
        source: OwnerError,
    },
    /// The wrapper's settings are broken.
    #[error("the container of {owner} cannot be confined: {fault}")]
    Settings {
        /// Whose container.
        owner: String,
        /// What is wrong.
        fault: String,
    },
    /// The levels are missing or broken.
    #[error("the container of {owner} cannot be confined: {source}")]
    Levels {
        /// Whose container.
        owner: String,
        /// Why.
        #[source]
        source: LevelsError,
    },
    /// What the level asks is not there.
    #[error("the container of {owner} cannot be confined: {source}")]
    Demand {
        /// Whose container.
        owner: String,
        /// Why.
        #[source]
        source: DemandError,
    },
    /// The container that a process is to join is not described anywhere.
    #[error("what container {container} is made of cannot be told: {why}")]
    Container {
        /// Its id.
        container: String,
        /// What is missing.
        why: String,
    },
    /// There is no runtime behind this one.
    #[error(
        "no `{name}` is behind this wrapper: it is neither named in the settings nor on the search \
         path"
    )]
    NoRuntime {
        /// Its name.
        name: String,
    },
    /// The runtime does not start.
    #[error("cannot start {runtime}: {source}")]
    Start {
        /// The runtime.
        runtime: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Tells why nothing was done.
pub fn tell(log: &Log, refused: &Refusal) {
    let message = format!("bulkhead: {refused}");
    write_line(log, "error", &message);
    write_stderr(&message);
}

/// Tells what was done otherwise than asked; the call goes on.
pub fn warn(log: &Log, warning: &str) {
    write_line(log, "warning", &format!("bulkhead: {warning}"));
}

fn write_line(log: &Log, level: &str, message: &str) {
    let Some(path) = &log.file else { return };
    let time = Timestamp::now();
    let line = if log.json {
        format!("{}\n", json!({"level": level, "msg": message, "time": time.to_string()}))
    } else {
        format!("time=\"{time}\" level={level} msg={message:?}\n")
    };
    let written = OpenOptions::new().create(true).append(true).open(path);
    let written = written.and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        write_stderr(&format!("bulkhead: {}: {error}", path.display()));
    }
}

/// Standard error that is closed has nobody behind it who could be told.
fn write_stderr(message: &str) {
    if writeln!(io::stderr(), "{message}").is_err() {}
}
