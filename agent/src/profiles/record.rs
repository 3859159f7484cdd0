//! The system calls that a container makes, from the kernel's counts to what a profile is made of.

use std::path::{Path, PathBuf};

use bulkhead_seccomp::{
    Arch, calls,
    learn::{Observed, WATCHED},
};

use crate::{
    kernel::{LoadError, MapError, Recorded, RecordedCall, Recorder},
    node::cgroupfs::{Cgroup, CgroupError, CgroupTree},
};

/// A shorter name would fit too many.
const SHORTEST_ID: usize = 4;

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The cgroups could not be read.
    #[error(transparent)]
    Cgroups(#[from] CgroupError),
    /// No cgroup bears the name.
    #[error(
        "no cgroup of this node belongs to {0:?}: give a container's id (at least {SHORTEST_ID} \
         characters of it) as `crictl ps` shows it, or the path of a cgroup that begins with `/`"
    )]
    NoContainer(String),
    /// More than one does.
    #[error("{name:?} fits more than one container: {fitting}. Give more of the id")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The cgroups.
        fitting: String,
    },
    /// The kernel side could not be loaded.
    #[error("cannot record")]
    Load(#[from] LoadError),
    /// Its counts could not be read.
    #[error("cannot read what was recorded")]
    Read(#[from] MapError),
}

/// A recording that goes on.
pub(crate) struct Recording {
    recorder: Recorder,
    tree: CgroupTree,
    /// The container's own cgroup.
    path: PathBuf,
}

impl Recording {
    /// Begins to record a container.
    pub(crate) fn start(container: &str) -> Result<Self, RecordError> {
        let tree = CgroupTree::find()?;
        let path = find(&tree, container)?;
        let cgroups: Vec<u64> =
            tree.walk_from(&path)?.cgroups.into_iter().map(|cgroup| cgroup.id).collect();
        let recorder = Recorder::start(&cgroups, &watched())?;
        Ok(Self { recorder, tree, path })
    }

    /// The container's cgroup.
    pub(crate) fn cgroup(&self) -> &Path {
        &self.path
    }

    /// Whether the container is still there.
    pub(crate) fn goes_on(&self) -> bool {
        self.tree.id(&self.path).is_ok()
    }

    /// What was seen so far, and the calls with numbers that nobody can name.
    pub(crate) fn observed(&self) -> Result<(Observed, u64), RecordError> {
        let recorded = self.recorder.read()?;
        Ok((observed(&recorded), recorded.other))
    }
}

/// The cgroup of a container: by its path, or by the id that the runtime puts into its name.
fn find(tree: &CgroupTree, container: &str) -> Result<PathBuf, RecordError> {
    if container.starts_with('/') {
        tree.id(Path::new(container))?;
        return Ok(PathBuf::from(container));
    }
    let fitting = named(tree.walk()?.cgroups, container);
    match fitting.as_slice() {
        [] => Err(RecordError::NoContainer(container.to_owned())),
        [one] => Ok(one.clone()),
        several => {
            let shown: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(RecordError::Ambiguous { name: container.to_owned(), fitting: shown.join(", ") })
        }
    }
}

/// The topmost cgroups whose name has the id: `ID`, `cri-containerd-ID.scope`, `crio-ID.scope`.
fn named(cgroups: Vec<Cgroup>, id: &str) -> Vec<PathBuf> {
    let mut fitting: Vec<PathBuf> = Vec::new();
    if id.len() < SHORTEST_ID {
        return fitting;
    }
    // Parents come before their children.
    for path in cgroups.into_iter().map(|cgroup| cgroup.path) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let own = name.strip_suffix(".scope").unwrap_or(name);
        let own = own.rsplit(['-', ':']).next().unwrap_or(own);
        if own.starts_with(id) && !fitting.iter().any(|above| path.starts_with(above)) {
            fitting.push(path);
        }
    }
    fitting
}

/// The calls whose first argument a profile may depend on.
fn watched() -> Vec<RecordedCall> {
    let entries = [(Arch::native(), false), (compat(), true)];
    let numbers = WATCHED.iter().flat_map(|(name, _)| {
        entries.map(|(arch, compat)| Some((calls::number(arch, name)?, compat)))
    });
    numbers.flatten().map(|(number, compat)| RecordedCall { number, compat }).collect()
}

/// The 32-bit entry of this machine.
fn compat() -> Arch {
    if Arch::native() == Arch::Aarch64 { Arch::Arm } else { Arch::X86 }
}

fn observed(recorded: &Recorded) -> Observed {
    let arch = |call: &RecordedCall| if call.compat { compat() } else { Arch::native() };
    let mut observed = Observed { values_lost: recorded.values_lost, ..Observed::default() };
    for (call, count) in &recorded.calls {
        observed.calls.insert((arch(call), call.number), *count);
    }
    for (call, value) in &recorded.values {
        let key = (arch(call), call.number, 0);
        observed.values.entry(key).or_default().insert(u64::from(*value));
    }
    observed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named_in(paths: &[&str], id: &str) -> Vec<PathBuf> {
        let cgroups = paths.iter().map(|path| Cgroup { id: 1, path: PathBuf::from(path) });
        named(cgroups.collect(), id)
    }

    #[test]
    fn a_container_is_found_by_a_part_of_its_id_in_every_runtimes_form() {
        for path in [
            "/kubepods/pod1/3f1c9a",
            "/kubepods.slice/pod1.slice/cri-containerd-3f1c9a.scope",
            "/kubepods.slice/pod1.slice/crio-3f1c9a.scope",
        ] {
            assert_eq!(named_in(&["/", "/other", path], "3f1c"), [PathBuf::from(path)]);
        }
        assert_eq!(named_in(&["/kubepods/pod1/3f1c9a"], "3f1"), Vec::<PathBuf>::new());
        assert_eq!(named_in(&["/kubepods/pod1/3f1c9a"], "f1c9"), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_lies_below_the_container_is_no_second_one() {
        let paths = ["/pods/3f1c9a", "/pods/3f1c9a/3f1c9a", "/pods/3f1c77"];
        assert_eq!(named_in(&paths, "3f1c9").len(), 1);
        assert_eq!(named_in(&paths, "3f1c").len(), 2);
    }

    #[test]
    fn counts_become_calls_of_their_entry() {
        let call = |number, compat| RecordedCall { number, compat };
        let recorded = Recorded {
            calls: vec![(call(41, false), 3), (call(102, true), 1)],
            values: vec![(call(41, false), 2), (call(41, false), 10)],
            other: 0,
            values_lost: 0,
        };
        let observed = observed(&recorded);
        assert_eq!(observed.calls[&(Arch::native(), 41)], 3);
        assert_eq!(observed.calls[&(compat(), 102)], 1);
        assert_eq!(observed.values[&(Arch::native(), 41, 0)].len(), 2);
    }
}
