//! One process.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt};

use bulkhead_policy::event::Text;
use procfs::process::Process as Proc;
use serde::Serialize;

use super::{
    Depth, Known,
    binary::Binary,
    bounded,
    descriptors::{self, Descriptors},
    sockets::Socket,
};

const MAX_ARGUMENTS: usize = 16 << 10;
const MAX_ENVIRONMENT: usize = 128 << 10;
const MAX_NAMES: usize = 512;
const MAX_NAME: usize = 128;
const MAX_MAPS: usize = 128 << 10;

const NAMESPACES: [&str; 9] =
    ["cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "user", "uts"];
/// Lines of `status` that say who it is and what it may do.
const CREDENTIALS: [&str; 12] = [
    "Uid",
    "Gid",
    "Groups",
    "NSpid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
];

/// What there is to say of a process.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pid: u32,
    /// Why it could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<i32>,
    /// Clock ticks after boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ticks: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<i64>,
    name: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Part<Vec<Text>>>,
    binary: Binary,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Text>,
    cgroup: Option<Text>,
    credentials: BTreeMap<&'static str, Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_armor: Option<Text>,
    namespaces: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Part<Environment>>,
    descriptors: Descriptors,
    sockets: Vec<Socket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maps: Option<Part<Vec<Text>>>,
    /// Nothing of its memory was read: an attempt to read it hung.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    memory_hung: bool,
}

/// Something that may be larger than what is told of it.
#[derive(Debug, Serialize)]
struct Part<T> {
    told: T,
    cut: bool,
}

/// Names alone. What a process keeps under them is nobody's business but its tenant's.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Environment {
    names: Vec<Text>,
    /// Entries that are no `NAME=value`; a value may hide in them.
    others: usize,
}

/// Reads a process.
pub(super) fn read(pid: u32, depth: Depth, known: &mut Known) -> Process {
    let stat = match Proc::new(pid.cast_signed()).and_then(|process| process.stat()) {
        Ok(stat) => stat,
        Err(error) => {
            return Process { pid, unread: Some(error.to_string()), ..Process::default() };
        }
    };
    let full = depth == Depth::Full;
    let of = |name: &str| format!("/proc/{pid}/{name}");
    let link = |name: &str| {
        let target = fs::read_link(of(name)).ok()?;
        Some(bounded::text(target.as_os_str().as_encoded_bytes()))
    };
    let short = |name: &str| {
        let (text, _more) = bounded::file(of(name), bounded::STRING).ok()?;
        Some(bounded::text(text.trim_ascii_end()))
    };
    let namespaces = namespaces(pid);
    let descriptors = descriptors::read(pid);
    let network = namespaces.get("net").copied().unwrap_or_default();
    Process {
        pid,
        unread: None,
        parent: Some(stat.ppid),
        start_ticks: Some(stat.starttime),
        state: Some(stat.state),
        threads: Some(stat.num_threads),
        name: short("comm").unwrap_or_default(),
        arguments: full.then(|| arguments(pid)).flatten(),
        binary: known.binaries.of(pid, full),
        working_directory: link("cwd"),
        root: link("root"),
        cgroup: short("cgroup"),
        credentials: credentials(pid),
        app_armor: short("attr/current"),
        environment: full.then(|| environment(pid)).flatten(),
        sockets: known.sockets.of(pid, network, &descriptors.sockets),
        maps: full.then(|| maps(pid)).flatten(),
        memory_hung: !full,
        namespaces,
        descriptors,
    }
}

fn arguments(pid: u32) -> Option<Part<Vec<Text>>> {
    let (bytes, cut) = bounded::file(format!("/proc/{pid}/cmdline"), MAX_ARGUMENTS).ok()?;
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
    let told = if bytes.is_empty() {
        Vec::new()
    } else {
        bytes.split(|byte| *byte == 0).map(bounded::text).collect()
    };
    Some(Part { told, cut })
}

fn environment(pid: u32) -> Option<Part<Environment>> {
    let (bytes, cut) = bounded::file(format!("/proc/{pid}/environ"), MAX_ENVIRONMENT).ok()?;
    let told = names(&bytes);
    let cut = cut || told.names.len() == MAX_NAMES;
    Some(Part { told, cut })
}

/// The names of an environment. Only what looks like a name is told as one: a process may have
/// written anything over its environment.
fn names(bytes: &[u8]) -> Environment {
    let mut told = Environment::default();
    for entry in bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let name = entry.iter().position(|byte| *byte == b'=').and_then(|at| entry.get(..at));
        match name.filter(|name| is_name(name)) {
            Some(name) if told.names.len() < MAX_NAMES => told.names.push(Text::new(name)),
            _ => told.others += 1,
        }
    }
    told
}

fn is_name(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MAX_NAME).contains(&bytes.len()) && bytes.iter().all(fits)
}

fn maps(pid: u32) -> Option<Part<Vec<Text>>> {
    let (bytes, cut) = bounded::file(format!("/proc/{pid}/maps"), MAX_MAPS).ok()?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Some(Part { told: lines.map(bounded::text).collect(), cut })
}

fn credentials(pid: u32) -> BTreeMap<&'static str, Text> {
    let (text, _more) = bounded::file(format!("/proc/{pid}/status"), 16 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut told = BTreeMap::new();
    for (key, value) in lines {
        // The name of the process stands first and may look like another line, but it is escaped
        // by the kernel: it has no line's end.
        if let Some(known) = CREDENTIALS.iter().find(|known| **known == key) {
            told.insert(*known, bounded::text(value.trim()));
        }
    }
    told
}

fn namespaces(pid: u32) -> BTreeMap<&'static str, u64> {
    let inode = |name: &&str| fs::metadata(format!("/proc/{pid}/ns/{name}")).map(|it| it.ino());
    NAMESPACES.iter().filter_map(|name| Some((*name, inode(name).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn values_of_the_environment_are_never_told() {
        let mut child = Command::new("sh")
            .args(["-c", "read line", "a\n\u{1b}"])
            .env_clear()
            .env("DB_PASSWORD", "hunter2=\nSECRET")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // Before exec it shows this test's own, in the midst of it nothing.
        let environment = || fs::read(format!("/proc/{}/environ", child.id())).unwrap();
        while !environment().starts_with(b"DB_PASSWORD") {
            std::thread::yield_now();
        }
        let told = read(child.id(), Depth::Full, &mut Known::default());
        let text = serde_json::to_string(&told).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(text.contains("DB_PASSWORD") && !text.contains("hunter2"), "{text}");
        assert!(!text.contains("SECRET") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn what_is_no_name_is_counted_alone() {
        let told = names(b"A=1\0hunter2\0B.c-d=\0=x\0a b=c\0\xff=1\0");
        assert_eq!(told.names, [Text::new("A"), Text::new("B.c-d")]);
        assert_eq!(told.others, 4);
        let many: Vec<u8> = (0..10_000).flat_map(|n| format!("N{n}=\0").into_bytes()).collect();
        let told = names(&many);
        assert_eq!((told.names.len(), told.others), (MAX_NAMES, 10_000 - MAX_NAMES));
    }

    #[test]
    fn this_process_is_told_in_full() {
        let pid = std::process::id();
        let told = read(pid, Depth::Full, &mut Known::default());
        assert_eq!(told.pid, pid);
        assert!(told.parent.is_some() && told.start_ticks.is_some());
        assert!(told.maps.is_some_and(|maps| maps.told.len() > 3));
        assert!(told.credentials.contains_key("CapEff"), "{:?}", told.credentials);
        assert!(told.namespaces.contains_key("mnt"));
        let light = read(pid, Depth::WithoutMemory, &mut Known::default());
        assert!(light.memory_hung && light.arguments.is_none() && light.maps.is_none());
    }

    #[test]
    fn a_process_that_is_gone_says_so() {
        assert!(read(5_000_000, Depth::Full, &mut Known::default()).unread.is_some());
    }
}
