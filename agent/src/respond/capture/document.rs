//! One capture as a JSON document, of bounded size whatever the container holds.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use bulkhead_policy::event::Text;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Job;
use crate::respond::Reader;

/// Bytes of a document, a little more or less.
const MAX_BYTES: usize = 8 << 20;
/// Processes that are told in full.
const MAX_PROCESSES: usize = 256;
/// Process ids that are listed at all.
const MAX_LISTED: usize = 16_384;
/// Cgroups inside the container that are looked at.
const MAX_CGROUPS: usize = 1_024;
/// Time for all of it.
const MAX_TIME: Duration = Duration::from_secs(30);

/// A document, and what to say of it elsewhere.
pub(super) struct Document {
    pub(super) text: Vec<u8>,
    pub(super) processes: u64,
    pub(super) cut: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    schema: &'static str,
    time: String,
    boot: String,
    container: &'a super::Response,
    /// What was left out, each in a sentence; empty where nothing was.
    cut: Vec<String>,
    /// Every process that is listed, in full or not.
    process_ids: Vec<u32>,
    processes: Vec<Value>,
}

impl Document {
    /// Reads the container of a job.
    pub(super) fn of(job: &Job) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut cut = Vec::new();
        let listed = members(&job.directory, &mut cut).context("cannot list its processes")?;
        if let Some(actor) = job.actor.filter(|actor| !listed.contains(actor)) {
            cut.push(format!("process {actor}, which acted, is not in the container (any more)"));
        }
        let mut processes = Vec::new();
        let mut bytes = 0;
        let mut reader = Reader::default();
        for pid in in_order(&listed, job.actor) {
            let left = listed.len() - processes.len();
            let full = if processes.len() >= MAX_PROCESSES {
                Some(format!("only {MAX_PROCESSES} processes are told in full"))
            } else if bytes >= MAX_BYTES {
                Some(format!("{bytes} bytes are enough"))
            } else if begun.elapsed() > MAX_TIME {
                Some(format!("{MAX_TIME:?} are over"))
            } else {
                None
            };
            if let Some(why) = full {
                cut.push(format!("{left} processes are listed alone: {why}"));
                break;
            }
            let line = reader.read(pid);
            bytes += line.len();
            processes.push(parsed(pid, &line));
        }
        let count = processes.len() as u64;
        let content = Content {
            schema: "bulkhead-capture/1",
            time: format!("{:.9}", Timestamp::now()),
            boot: crate::node::boot_id()?,
            container: &job.told,
            cut,
            process_ids: listed.into_iter().collect(),
            processes,
        };
        let cut = !content.cut.is_empty();
        Ok(Self { text: serde_json::to_vec(&content)?, processes: count, cut })
    }
}

fn parsed(pid: u32, line: &str) -> Value {
    serde_json::from_str(line)
        .unwrap_or_else(|error| serde_json::json!({ "pid": pid, "unread": error.to_string() }))
}

/// The one that acted first, then the rest: what is cut off is cut off at the end.
fn in_order(listed: &BTreeSet<u32>, actor: Option<u32>) -> Vec<u32> {
    let first = actor.filter(|actor| listed.contains(actor));
    let rest = listed.iter().copied().filter(|pid| Some(*pid) != first);
    first.into_iter().chain(rest).collect()
}

/// The processes of the cgroup at `top` and of those below it. Only files of the cgroup file
/// system are read here, which no process can hold up.
pub(crate) fn members(top: &Path, cut: &mut Vec<String>) -> io::Result<BTreeSet<u32>> {
    let mut pids = BTreeSet::new();
    let mut open: Vec<PathBuf> = vec![top.to_owned()];
    let mut seen = 0;
    while let Some(directory) = open.pop() {
        if seen == MAX_CGROUPS {
            cut.push(format!("only {MAX_CGROUPS} cgroups of the container were looked at"));
            break;
        }
        seen += 1;
        let listed = match fs::read_to_string(directory.join("cgroup.procs")) {
            Ok(listed) => listed,
            Err(error) if directory == top => return Err(error),
            Err(error) => {
                let name = directory.strip_prefix(top).unwrap_or(&directory).to_string_lossy();
                let name = Text::new(name.as_ref());
                cut.push(format!("the processes of cgroup {name} cannot be listed: {error}"));
                continue;
            }
        };
        for pid in listed.lines().filter_map(|line| line.parse().ok()) {
            if pids.len() == MAX_LISTED {
                cut.push(format!("only {MAX_LISTED} process ids are listed"));
                return Ok(pids);
            }
            pids.insert(pid);
        }
        // A directory that vanishes meanwhile has no processes.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use bulkhead_policy::{
        catalogue::Severity,
        event::{Action, Cause, Response},
    };

    use super::*;

    fn job(directory: &Path, actor: Option<u32>) -> Job {
        let told = Response {
            action: Action::Freeze,
            severity: Severity::Critical,
            tenant: Some(Text::new("a\nb")),
            pod: None,
            container: None,
            cgroup_id: 7,
            cause: Cause::Somebody,
            took_micros: None,
            capture: None,
            message: None,
        };
        let directory = directory.to_owned();
        Job { cgroup: 7, directory, actor, told, since: Timestamp::UNIX_EPOCH }
    }

    fn cgroup(pids: impl IntoIterator<Item = u32>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let listed: String = pids.into_iter().map(|pid| format!("{pid}\n")).collect();
        fs::write(directory.path().join("cgroup.procs"), listed).unwrap();
        directory
    }

    #[test]
    fn a_container_of_thousands_of_processes_stays_bounded_and_says_what_was_cut() {
        // Ids that no process has: each is told as unread.
        let directory = cgroup(5_000_000..5_020_000);
        let document = Document::of(&job(directory.path(), Some(5_000_099))).unwrap();
        assert!(document.text.len() < 2 * MAX_BYTES, "{}", document.text.len());
        assert!(document.cut);
        let content: Value = serde_json::from_slice(&document.text).unwrap();
        assert_eq!(content["processes"].as_array().unwrap().len(), MAX_PROCESSES);
        assert_eq!(content["processes"][0]["pid"], 5_000_099, "the one that acted comes first");
        assert_eq!(content["processIds"].as_array().unwrap().len(), MAX_LISTED);
        let cut: Vec<_> = content["cut"].as_array().unwrap().iter().map(Value::to_string).collect();
        assert!(cut.iter().any(|line| line.contains("16384 process ids")), "{cut:?}");
        assert!(
            cut.iter().any(|line| line.contains("16128 processes are listed alone")),
            "{cut:?}"
        );
    }

    #[test]
    fn nested_cgroups_are_a_part_of_the_container() {
        let directory = cgroup([5_000_001]);
        let inner = directory.path().join("a/b\nc");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("cgroup.procs"), "5000002\n").unwrap();
        fs::write(directory.path().join("a/cgroup.procs"), "").unwrap();
        let mut cut = Vec::new();
        let pids = members(directory.path(), &mut cut).unwrap();
        assert_eq!((pids, cut.len()), (BTreeSet::from([5_000_001, 5_000_002]), 0));
        fs::remove_file(inner.join("cgroup.procs")).unwrap();
        members(directory.path(), &mut cut).unwrap();
        assert!(cut[0].contains(r"a/b\x0ac"), "{cut:?}");
    }
}
