//! Which files of /proc and /sys a container's mounts hide or make read-only.

use std::{collections::BTreeSet, fmt};

/// Hidden by every runtime unless the pod is privileged or asks for procMount Unmasked (the OCI
/// runtime specification's example; containerd and CRI-O hide these and more).
pub const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// Made read-only by every runtime.
pub const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What is exposed although a runtime would hide it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Paths that should be hidden.
    pub unmasked: BTreeSet<&'static str>,
    /// Paths that should be read-only.
    pub writable: BTreeSet<&'static str>,
}

impl Exposure {
    /// Reads `/proc/PID/mountinfo`. `exists` says whether this kernel has a path at all: nothing
    /// need hide what is not there.
    pub fn of(mountinfo: &str, exists: impl Fn(&str) -> bool) -> Self {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let shown = |path: &&'static str| exists(path) && is_visible(&mounts, path);
        let unmasked = MASKED.iter().copied().filter(shown).filter(|path| {
            on(&mounts, path).is_none_or(|mount| matches!(mount.file_system, "proc" | "sysfs"))
        });
        let writable = READ_ONLY.iter().copied().filter(shown).filter(|path| {
            let covering = on(&mounts, path).or_else(|| on(&mounts, top(path)));
            covering.is_none_or(|mount| !mount.read_only)
        });
        Self { unmasked: unmasked.collect(), writable: writable.collect() }
    }

    /// Whether nothing is.
    pub fn is_nothing(&self) -> bool {
        self.unmasked.is_empty() && self.writable.is_empty()
    }

    /// What either exposes.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.unmasked.extend(other.unmasked);
        self.writable.extend(other.writable);
        self
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(" ");
        match (self.unmasked.is_empty(), self.writable.is_empty()) {
            (true, true) => f.write_str("masked and read-only"),
            (false, true) => write!(f, "visible: {}", list(&self.unmasked)),
            (true, false) => write!(f, "writable: {}", list(&self.writable)),
            (false, false) => {
                write!(f, "visible: {}; writable: {}", list(&self.unmasked), list(&self.writable))
            }
        }
    }
}

struct Mount<'a> {
    id: u32,
    parent: u32,
    point: &'a str,
    read_only: bool,
    file_system: &'a str,
}

impl<'a> Mount<'a> {
    /// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS`
    /// (proc_pid_mountinfo(5)). Spaces in a mount point are escaped, so that a name chosen by the
    /// tenant makes no new field.
    ///
    /// `None` for one that is of no interest, too: most are, and there may be hundreds.
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(' ');
        let (id, parent) = (fields.next()?, fields.next()?);
        let point = fields.nth(2).filter(|point| is_asked_for(point))?;
        let (_, file_system) = line.split_once(" - ")?;
        let (id, parent) = (id.parse().ok()?, parent.parse().ok()?);
        let read_only = fields.next()?.split(',').any(|option| option == "ro");
        Some(Self { id, parent, point, read_only, file_system: file_system.split(' ').next()? })
    }
}

/// Whether a mount there may be one of those that are listed above, or below one.
fn is_asked_for(point: &str) -> bool {
    point.starts_with("/proc") || point.starts_with("/sys")
}

/// `/proc` of `/proc/sys/kernel`.
fn top(path: &str) -> &str {
    path.get(1..).and_then(|rest| rest.find('/')).and_then(|at| path.get(..=at)).unwrap_or(path)
}

/// The uppermost mount at a path, where it lies on the uppermost mount at its top: a fresh /proc
/// over the old one hides the old one's masks and leaves them in the list.
fn on<'a, 'b>(mounts: &'b [Mount<'a>], path: &str) -> Option<&'b Mount<'a>> {
    let at = |point: &str| mounts.iter().rev().find(|mount| mount.point == point);
    let mount = at(path)?;
    let top = top(path);
    if top == path {
        return Some(mount);
    }
    // A mask that was mounted twice lies on itself.
    let base = at(top)?.id;
    let mut below = mount;
    for _ in 0..mounts.len() {
        if below.parent == base {
            return Some(mount);
        }
        below = mounts.iter().find(|it| it.id == below.parent && it.point == path)?;
    }
    None
}

/// Whether the container has a procfs or sysfs where the path would be.
fn is_visible(mounts: &[Mount<'_>], path: &str) -> bool {
    on(mounts, top(path)).is_some_and(|mount| matches!(mount.file_system, "proc" | "sysfs"))
}
