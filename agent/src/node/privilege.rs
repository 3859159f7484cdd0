//! The capabilities that the agent needs, and the end of those it no longer needs.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

const STATUS: &str = "/proc/thread-self/status";
const TASKS: &str = "/proc/self/task";
/// A thread that was joined is listed a moment longer.
const ENDING: Duration = Duration::from_secs(1);

/// What the agent needs, and what for. The DaemonSet lists the same.
///
/// Tried on 6.12 with each one taken away: CAP_BPF and CAP_PERFMON load and attach everything on
/// every rung, LSM included; CAP_SYS_ADMIN adds nothing.
pub(crate) const REQUIRED: &[Need] = &[
    Need {
        capability: Capability::CAP_BPF,
        needed_for: "load BPF programs and make their maps",
        indispensable: true,
    },
    Need {
        capability: Capability::CAP_PERFMON,
        needed_for: "attach BPF programs to LSM hooks and kernel functions, and let them read the \
                     kernel's structs",
        indispensable: true,
    },
    Need {
        capability: Capability::CAP_NET_ADMIN,
        needed_for: "attach BPF programs to cgroups, and see whether runtimes' own are still there",
        indispensable: false,
    },
    Need {
        capability: Capability::CAP_SYS_PTRACE,
        needed_for: "read the mounts and executables of containers' processes under /proc",
        indispensable: false,
    },
    Need {
        capability: Capability::CAP_DAC_READ_SEARCH,
        needed_for: "read container descriptions that belong to other users",
        indispensable: false,
    },
    Need {
        capability: Capability::CAP_MAC_ADMIN,
        needed_for: "load the levels' AppArmor profiles",
        indispensable: false,
    },
];

/// A capability and what the agent does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// The capability.
    pub(crate) capability: Capability,
    /// What for.
    pub(crate) needed_for: &'static str,
    /// Whether nothing works without it; without one of the others a part does not.
    pub(crate) indispensable: bool,
}

/// A needed capability that this process does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is missing: it is needed to {}. Run as root, or add it to the container's \
     securityContext.capabilities", .0.capability, .0.needed_for
)]
pub(crate) struct Missing(pub(crate) Need);

/// Why capabilities could not be looked at or dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    /// Something that the agent cannot do without.
    #[error("{}", list(.0))]
    Missing(Vec<Missing>),
    /// A set could not be read.
    #[error("cannot read this process's {set} capabilities")]
    Read {
        /// The set.
        set: &'static str,
        /// Why.
        #[source]
        source: CapsError,
    },
    /// A set could not be changed.
    #[error("cannot drop {set} capabilities")]
    Drop {
        /// The set.
        set: &'static str,
        /// Why.
        #[source]
        source: CapsError,
    },
    /// no_new_privs could not be set.
    #[error("cannot set no_new_privs")]
    NoNewPrivs(#[source] nix::Error),
    /// Capabilities are dropped for one thread, and there are more.
    #[error("capabilities must be dropped before threads start: there are {0} threads")]
    Threads(usize),
    /// The kernel's own account could not be read.
    #[error("cannot read {path}")]
    Look {
        /// The file or directory.
        path: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel's own account says otherwise.
    #[error("{field} in {STATUS} is {found} where {wanted} was asked for")]
    NotApplied {
        /// The line of the file.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        wanted: String,
    },
}

/// What dropping came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Whether the bounding set shrank too. It takes CAP_SETPCAP, which the agent does not ask
    /// for: with no_new_privs set, an exec cannot take from the bounding set anyway.
    pub(crate) bounding: bool,
}

/// Every needed capability that is not effective, so that one message names them all.
pub(crate) fn missing() -> Result<Vec<Missing>, PrivilegeError> {
    Ok(lacking(&read("effective", CapSet::Effective)?))
}

/// Fails with one message that names every privilege without which nothing works; what is missing
/// beside them is told and done without.
pub(crate) fn require() -> Result<(), PrivilegeError> {
    let (fatal, lesser): (Vec<_>, Vec<_>) =
        missing()?.into_iter().partition(|missing| missing.0.indispensable);
    for missing in &lesser {
        tracing::warn!("{missing}");
    }
    if fatal.is_empty() { Ok(()) } else { Err(PrivilegeError::Missing(fatal)) }
}

/// Keeps `keep` of what this process has and gives up the rest for good, then reads the kernel's
/// account of it.
///
/// The sets belong to threads, so this must run while there is one thread only; it refuses
/// otherwise. Threads made later inherit what is left.
pub(crate) fn drop_to(keep: &[Capability]) -> Result<Dropped, PrivilegeError> {
    let until = Instant::now() + ENDING;
    loop {
        match entries(TASKS)? {
            1 => return drop_in_this_thread(keep),
            threads if Instant::now() > until => return Err(PrivilegeError::Threads(threads)),
            _ => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn drop_in_this_thread(keep: &[Capability]) -> Result<Dropped, PrivilegeError> {
    let permitted = read("permitted", CapSet::Permitted)?;
    let kept: CapsHashSet = keep.iter().copied().filter(|it| permitted.contains(it)).collect();
    nix::sys::prctl::set_no_new_privs().map_err(PrivilegeError::NoNewPrivs)?;
    let dropping = |set| move |source| PrivilegeError::Drop { set, source };
    // The bounding set first: it takes CAP_SETPCAP, which the steps after it give up.
    let bounding = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .map_err(|source| PrivilegeError::Read { set: "effective", source })?;
    if bounding {
        for capability in read("bounding", CapSet::Bounding)?.difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(dropping("bounding"))?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(dropping("ambient"))?;
    caps::clear(None, CapSet::Inheritable).map_err(dropping("inheritable"))?;
    caps::set(None, CapSet::Effective, &kept).map_err(dropping("effective"))?;
    caps::set(None, CapSet::Permitted, &kept).map_err(dropping("permitted"))?;
    verify(&kept, bounding)?;
    Ok(Dropped { bounding })
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn lacking(effective: &CapsHashSet) -> Vec<Missing> {
    let lacks = |need: &&Need| !effective.contains(&need.capability);
    REQUIRED.iter().filter(lacks).map(|need| Missing(*need)).collect()
}

fn read(name: &'static str, set: CapSet) -> Result<CapsHashSet, PrivilegeError> {
    caps::read(None, set).map_err(|source| PrivilegeError::Read { set: name, source })
}

/// Applied is verified: not what the calls returned, but what the kernel says afterwards.
fn verify(kept: &CapsHashSet, bounding: bool) -> Result<(), PrivilegeError> {
    let status = fs::read_to_string(STATUS)
        .map_err(|source| PrivilegeError::Look { path: STATUS, source })?;
    let mask = kept.iter().fold(0, |mask, capability| mask | capability.bitmask());
    let (kept, none) = (format!("{mask:016x}"), format!("{:016x}", 0));
    let mut wanted = vec![
        ("NoNewPrivs", "1"),
        ("CapEff", kept.as_str()),
        ("CapPrm", kept.as_str()),
        ("CapInh", none.as_str()),
        ("CapAmb", none.as_str()),
    ];
    if bounding {
        wanted.push(("CapBnd", kept.as_str()));
    }
    for (field, wanted) in wanted {
        let found = value(&status, field).unwrap_or("(absent)");
        if found != wanted {
            let (found, wanted) = (found.to_owned(), wanted.to_owned());
            return Err(PrivilegeError::NotApplied { field, found, wanted });
        }
    }
    Ok(())
}

fn value<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim()))
}

fn entries(path: &'static str) -> Result<usize, PrivilegeError> {
    let failed = |source| PrivilegeError::Look { path, source };
    Ok(fs::read_dir(path).map_err(failed)?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named_with_its_reason() {
        let all_but = |absent: Capability| {
            REQUIRED.iter().map(|need| need.capability).filter(|it| *it != absent).collect()
        };
        for need in REQUIRED {
            assert_eq!(lacking(&all_but(need.capability)), [Missing(*need)]);
        }
        let message = lacking(&all_but(Capability::CAP_BPF))[0].to_string();
        assert!(message.starts_with("CAP_BPF is missing: it is needed to load BPF programs"));
        let none = lacking(&CapsHashSet::new());
        assert_eq!(none.len(), REQUIRED.len());
        let fatal: Vec<_> = none.iter().filter(|it| it.0.indispensable).collect();
        assert_eq!(fatal.len(), 2, "{fatal:?}");
    }

    #[test]
    fn dropping_is_refused_where_it_would_leave_other_threads_as_they_are() {
        // The test harness runs this in a thread of its own.
        assert!(matches!(drop_to(&[]), Err(PrivilegeError::Threads(2..))));
    }

    #[test]
    fn what_is_dropped_is_gone_and_what_is_kept_stays() {
        // In a thread of its own: what this gives up, the other tests keep.
        let thread = std::thread::spawn(|| {
            let had = caps::read(None, CapSet::Permitted).unwrap();
            let keep = [Capability::CAP_BPF, Capability::CAP_KILL];
            drop_in_this_thread(&keep).unwrap();
            let left = caps::read(None, CapSet::Effective).unwrap();
            let expected: CapsHashSet = keep.into_iter().filter(|it| had.contains(it)).collect();
            assert_eq!(left, expected);
            assert_eq!(caps::read(None, CapSet::Permitted).unwrap(), expected);
            assert!(nix::sys::prctl::get_no_new_privs().unwrap());
            let gone = Capability::CAP_SYS_ADMIN;
            assert!(caps::raise(None, CapSet::Effective, gone).is_err(), "it can be had again");
            // A second drop keeps nothing that the first one gave up.
            drop_in_this_thread(&[gone]).unwrap();
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_status_that_says_otherwise_is_an_error() {
        let thread = std::thread::spawn(|| {
            drop_in_this_thread(&[]).unwrap();
            let error = verify(&CapsHashSet::from([Capability::CAP_BPF]), false).unwrap_err();
            assert!(error.to_string().starts_with("CapEff in /proc/thread-self/status is 0000"));
        });
        thread.join().unwrap();
    }
}
