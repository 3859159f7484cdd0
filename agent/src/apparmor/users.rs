//! Which processes and containers a profile holds.
//!
//! A container counts from its bundle on: between `create` and `start` its process is not held yet,
//! and if its profile were gone by then it would start unconfined, without a word from the kernel.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use bulkhead_policy::{verify::Label, workload};

/// Where bundles are, below the root: `DIRECTORY/*/FILE`, and the profile's place in the file.
const BUNDLES: [(&str, &str, &str); 3] = [
    (
        "var/lib/containers/storage/overlay-containers",
        "userdata/config.json",
        "/process/apparmorProfile",
    ),
    (
        "run/containers/storage/overlay-containers",
        "userdata/config.json",
        "/process/apparmorProfile",
    ),
    // Containers that nothing above the low-level runtime made.
    ("run/runc", "state.json", "/config/apparmor_profile"),
];
/// containerd's have a directory for each of its namespaces between.
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";
/// crun's state names the bundle.
const CRUN: &str = "run/crun";

/// A configuration has some tens of kilobytes.
const MAX_CONFIGURATION: u64 = 8 << 20;

/// The process id namespace of the node, by the kernel's fixed number.
const NODE_PIDS: &str = "pid:[4026531836]";

/// Who uses a profile.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    /// The profile, or several, as the kernel or the bundle has it.
    pub(crate) label: String,
    /// The container's id, where it is in one.
    pub(crate) container: Option<String>,
    /// The process; none for a container that is made and has no process under the profile yet.
    pub(crate) pid: Option<u32>,
    /// The program's own name for itself.
    pub(crate) comm: String,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A process calls itself what it likes: no control character of its comes further.
        let comm: String =
            self.comm.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        match (self.pid, &self.container) {
            (Some(pid), Some(container)) => write!(f, "{comm} ({pid}) of container {container}"),
            (Some(pid), None) => write!(f, "{comm} ({pid})"),
            (None, container) => {
                let container = container.as_deref().unwrap_or("unknown");
                write!(f, "container {container}, which names it")
            }
        }
    }
}

impl User {
    /// Whether this profile, or a child of it, is among those that hold it.
    pub(crate) fn is_held_by(&self, profile: &str) -> bool {
        self.label.split("//&").any(|one| {
            let below = one.strip_prefix(profile);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with("//"))
        })
    }
}

/// Why it cannot be told who uses what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsersError {
    /// The node's processes cannot be seen.
    #[error(
        "the node's processes cannot be seen from here, so it cannot be told whom a profile holds: \
         run it on the node, or in a pod with hostPID"
    )]
    NotTheNode,
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Every thread of the node that a profile holds, and every container that is to be held.
pub(crate) fn users() -> Result<Vec<User>, UsersError> {
    let own = Path::new("/proc/self/ns/pid");
    let namespace = fs::read_link(own).map_err(|source| read_error(own, source))?;
    if namespace != Path::new(NODE_PIDS) {
        return Err(UsersError::NotTheNode);
    }
    below(Path::new("/"))
}

fn below(root: &Path) -> Result<Vec<User>, UsersError> {
    let mut found = processes(&root.join("proc"))?;
    let made = bundles(root)?;
    // What a container is to be held by is news only where it does not hold it yet.
    let held = |made: &User| {
        found.iter().any(|it| it.container == made.container && it.is_held_by(&made.label))
    };
    let made: Vec<User> = made.into_iter().filter(|made| !held(made)).collect();
    found.extend(made);
    Ok(found)
}

fn processes(proc: &Path) -> Result<Vec<User>, UsersError> {
    let mut found = Vec::new();
    for process in numbered(proc)? {
        let path = proc.join(process.to_string());
        let mut labels: Vec<String> = Vec::new();
        // A label is a thread's; most processes have one.
        for thread in numbered(&path.join("task"))? {
            let current = path.join(format!("task/{thread}/attr/apparmor/current"));
            let Some(text) = text(&current)? else { continue };
            let label = Label::parse(&text).profile;
            if label != "unconfined" && !label.is_empty() && !labels.contains(&label) {
                labels.push(label);
            }
        }
        if labels.is_empty() {
            continue;
        }
        let comm = text(&path.join("comm"))?.unwrap_or_default();
        let container = text(&path.join("cgroup"))?.and_then(|text| container(&text));
        found.extend(labels.into_iter().map(|label| User {
            label,
            container: container.clone(),
            pid: Some(process),
            comm: comm.trim_end().to_owned(),
        }));
    }
    Ok(found)
}

/// The container of a process, from `/proc/PID/cgroup`.
fn container(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    workload::locate(path)?.container_id.map(str::to_owned)
}

fn bundles(root: &Path) -> Result<Vec<User>, UsersError> {
    let mut found = Vec::new();
    let mut take = |path: &Path, id: &str, place: &str| -> Result<(), UsersError> {
        if let Some(label) = named(path, place)? {
            let container = Some(id.to_owned());
            found.push(User { label, container, pid: None, comm: String::new() });
        }
        Ok(())
    };
    for (directory, file, place) in BUNDLES {
        for (id, path) in entries(&root.join(directory))? {
            take(&path.join(file), &id, place)?;
        }
    }
    for (_, namespace) in entries(&root.join(CONTAINERD))? {
        for (id, path) in entries(&namespace)? {
            take(&path.join("config.json"), &id, "/process/apparmorProfile")?;
        }
    }
    for (id, path) in entries(&root.join(CRUN))? {
        if let Some(status) = json(&path.join("status"))?
            && let Some(bundle) = status.get("bundle").and_then(serde_json::Value::as_str)
        {
            let bundle = root.join(bundle.trim_start_matches('/'));
            take(&bundle.join("config.json"), &id, "/process/apparmorProfile")?;
        }
    }
    Ok(found)
}

/// The profile that a configuration names.
fn named(path: &Path, place: &str) -> Result<Option<String>, UsersError> {
    let Some(configuration) = json(path)? else { return Ok(None) };
    let name = configuration.pointer(place).and_then(serde_json::Value::as_str);
    Ok(name.filter(|name| !name.is_empty() && *name != "unconfined").map(str::to_owned))
}

/// `None` where there is none, or none yet: a file that is being written is no JSON, and its
/// container is far from its first instruction.
fn json(path: &Path) -> Result<Option<serde_json::Value>, UsersError> {
    use io::Read;
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(source) => return Err(read_error(path, source)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_CONFIGURATION)
        .read_to_end(&mut bytes)
        .map_err(|source| read_error(path, source))?;
    Ok(serde_json::from_slice(&bytes).ok())
}

fn entries(directory: &Path) -> Result<Vec<(String, PathBuf)>, UsersError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(source) => return Err(read_error(directory, source)),
    };
    let named = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path()));
    Ok(entries.flatten().filter_map(named).collect())
}

fn numbered(directory: &Path) -> Result<Vec<u32>, UsersError> {
    Ok(entries(directory)?.into_iter().filter_map(|(name, _)| name.parse().ok()).collect())
}

/// A file of /proc; `None` when its process has ended.
fn text(path: &Path) -> Result<Option<String>, UsersError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(source) => Err(read_error(path, source)),
    }
}

fn is_gone(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let codes = [Errno::ENOENT, Errno::ESRCH, Errno::ENOTDIR].map(|it| Some(it as i32));
    codes.contains(&error.raw_os_error())
}

fn read_error(path: &Path, source: io::Error) -> UsersError {
    UsersError::Read { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn user(label: &str) -> User {
        User { label: label.to_owned(), container: None, pid: Some(1), comm: String::new() }
    }

    #[test]
    fn a_process_is_held_by_each_profile_of_its_label_and_by_their_parents() {
        assert!(user("a").is_held_by("a"));
        assert!(user("a//hat").is_held_by("a"));
        assert!(user("b//&a").is_held_by("a") && user("b//&a").is_held_by("b"));
        assert!(!user("ab").is_held_by("a") && !user("b").is_held_by("a"));
    }

    #[test]
    fn every_thread_and_every_container_in_the_making_is_found() {
        let root = tempfile::tempdir().unwrap();
        let id = "a".repeat(64);
        write(root.path(), "proc/7/task/7/attr/apparmor/current", "unconfined\n");
        write(root.path(), "proc/7/task/8/attr/apparmor/current", "x//hat (enforce)\n");
        write(root.path(), "proc/7/comm", "worker\n");
        write(root.path(), "proc/7/cgroup", &format!("0::/kubepods/pod1/{id}\n"));
        write(root.path(), "proc/9/task/9/attr/apparmor/current", "unconfined\n");
        let process = |name: &str| format!("{{\"process\":{{\"apparmorProfile\":\"{name}\"}}}}");
        write(root.path(), &format!("{CONTAINERD}/k8s.io/c1/config.json"), &process("y"));
        write(root.path(), &format!("{CONTAINERD}/k8s.io/c2/config.json"), &process("unconfined"));
        write(root.path(), &format!("{CONTAINERD}/k8s.io/c3/config.json"), "{\"pro");
        write(root.path(), "run/runc/r1/state.json", "{\"config\":{\"apparmor_profile\":\"z\"}}");
        write(root.path(), "run/crun/u1/status", "{\"bundle\":\"/b\"}");
        write(root.path(), "b/config.json", &process("w"));
        let found = below(root.path()).unwrap();
        let labels: Vec<_> =
            found.iter().map(|it| (it.label.as_str(), it.pid, it.container.as_deref())).collect();
        assert_eq!(labels[0], ("x//hat", Some(7), Some(id.as_str())));
        assert_eq!(found[0].comm, "worker");
        let made: Vec<_> = labels[1..].iter().map(|(label, _, id)| (*label, *id)).collect();
        assert_eq!(made, [("z", Some("r1")), ("y", Some("c1")), ("w", Some("u1"))]);
    }
}
