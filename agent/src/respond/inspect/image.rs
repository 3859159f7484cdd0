//! What a process runs, for lineages.

use procfs::process::Process;
use serde::{Deserialize, Serialize};

use super::bounded;

/// Bytes of a command line.
const MAX_ARGUMENTS: usize = bulkhead_abi::ARGUMENTS_LEN;

/// What a process runs. The bytes are its tenant's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningImage {
    pub(crate) start_ticks: u64,
    pub(crate) path: Vec<u8>,
    pub(crate) arguments: Option<Vec<u8>>,
    pub(crate) cut: bool,
}

/// Reads it, with its command line or without; nothing where the process is gone.
pub(super) fn read(pid: u32, with_arguments: bool) -> Option<RunningImage> {
    let stat = Process::new(pid.cast_signed()).and_then(|process| process.stat()).ok()?;
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let arguments = with_arguments
        .then(|| bounded::file(format!("/proc/{pid}/cmdline"), MAX_ARGUMENTS).ok())
        .flatten();
    let cut = arguments.as_ref().is_some_and(|(_, more)| *more);
    let arguments = arguments.map(|(bytes, _)| bytes).filter(|bytes| !bytes.is_empty());
    let path = path.into_os_string().into_encoded_bytes();
    Some(RunningImage { start_ticks: stat.starttime, path, arguments, cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_its_program() {
        let told = read(std::process::id(), true).unwrap();
        let own = std::env::current_exe().unwrap();
        assert_eq!(told.path, own.as_os_str().as_encoded_bytes());
        assert!(told.arguments.is_some_and(|words| words.contains(&0)));
        assert!(read(std::process::id(), false).unwrap().arguments.is_none());
        assert_eq!(read(5_000_000, true), None);
    }
}
