//! `bulkhead-runtime`: stands in front of runc or crun. A container's configuration is tightened
//! before it is made, an exec's before it is run; then this process becomes the real runtime, with
//! the same arguments, environment and open files.

use std::{env, ffi::OsString, os::unix::process::CommandExt, process::Command, process::ExitCode};

use bulkhead_runtime::{
    arguments, prepare, real,
    refusal::{self, Refusal},
    settings::Settings,
};

fn main() -> ExitCode {
    let mut words = env::args_os();
    let invoked = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    let request = arguments::read(&words);
    let settings = Settings::of_this_node();
    let refused = match prepare::prepare(&request, &settings) {
        Ok(told) => {
            told.iter().for_each(|warning| refusal::warn(&request.log, warning));
            become_runtime(&invoked, &words, &settings)
        }
        Err(refused) => refused,
    };
    refusal::tell(&request.log, &refused);
    ExitCode::FAILURE
}

/// Returns only where the runtime cannot be started.
fn become_runtime(invoked: &OsString, words: &[OsString], settings: &Settings) -> Refusal {
    let runtime = match real::find(invoked, settings) {
        Ok(runtime) => runtime,
        Err(refused) => return refused,
    };
    let error = Command::new(&runtime).args(words).exec();
    Refusal::Start { runtime, source: error }
}
