//! What stands on the stage before an act: laid out by the actor's process before it enters its
//! container and executes, in a mount namespace of its own, so that the guard has nothing to judge
//! and the kernel takes all of it away when the process ends.

use std::{
    ffi::{CStr, CString},
    os::fd::RawFd,
    path::Path,
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::Signal,
        stat::{Mode, SFlag, makedev, mknod},
    },
    unistd::{mkdir, write},
};

use super::sys::{self, BeforeExec};

/// One thing that an act finds in its scratch directory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prop {
    /// An empty directory.
    Dir(&'static str),
    /// A tmpfs on a directory of this name.
    Tmpfs(&'static str),
    /// A mounted instance of a kernel file system: type, options, name.
    Kernel(&'static str, &'static str, &'static str),
    /// A node of a block device that does not exist.
    NoSuchBlockDevice(&'static str),
    /// A node of a character device: name, major, minor.
    CharacterDevice(&'static str, u64, u64),
    /// A node of the device that the actor's container was not granted.
    UngrantedDevice(&'static str),
    /// A UTS namespace of the actor's own.
    OwnHostname,
}

/// No driver has this block major: the kernel's list keeps it for local experiments.
pub(crate) const NO_SUCH_BLOCK_MAJOR: u64 = 60;

/// A character device that no driver has: the kernel's list keeps the major for local experiments.
pub(crate) const UNGRANTED: (u32, u32) = (60, 0);

/// One step of the set-up, with everything that it needs already allocated: it runs between fork
/// and exec, where only system calls are allowed.
#[derive(Debug)]
pub(crate) enum Step {
    DieWithParent,
    PrivateMounts,
    Unshare(CloneFlags),
    MakeDir(CString),
    Mount { kind: CString, target: CString, options: CString },
    Node { path: CString, mode: SFlag, device: u64 },
    EnterCgroup(RawFd),
}

impl BeforeExec for Step {
    fn take(&self) -> nix::Result<()> {
        match self {
            Self::DieWithParent => prctl::set_pdeathsig(Signal::SIGKILL),
            Self::PrivateMounts => {
                unshare(CloneFlags::CLONE_NEWNS)?;
                let none = None::<&CStr>;
                mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            }
            Self::Unshare(flags) => unshare(*flags),
            Self::MakeDir(path) => mkdir(path.as_c_str(), Mode::S_IRWXU),
            Self::Mount { kind, target, options } => mount(
                Some(kind.as_c_str()),
                target.as_c_str(),
                Some(kind.as_c_str()),
                MsFlags::empty(),
                Some(options.as_c_str()),
            ),
            Self::Node { path, mode, device } => {
                mknod(path.as_c_str(), *mode, Mode::S_IRUSR | Mode::S_IWUSR, *device)
            }
            Self::EnterCgroup(procs) => enter(*procs),
        }
    }
}

/// Writes 0, "myself", to an open `cgroup.procs`.
fn enter(procs: RawFd) -> nix::Result<()> {
    match write(sys::borrow(procs), b"0")? {
        1 => Ok(()),
        _ => Err(Errno::EIO),
    }
}

/// The steps that lay out `props` in `scratch`, an existing directory.
pub(crate) fn steps(props: &[Prop], scratch: &Path) -> Result<Vec<Step>, std::ffi::NulError> {
    let mut steps = vec![Step::PrivateMounts, tmpfs_on(scratch)?];
    for prop in props {
        steps.extend(steps_of(prop, scratch)?);
    }
    Ok(steps)
}

fn steps_of(prop: &Prop, scratch: &Path) -> Result<Vec<Step>, std::ffi::NulError> {
    let at = |name: &str| c_path(&scratch.join(name));
    Ok(match *prop {
        Prop::Dir(name) => vec![Step::MakeDir(at(name)?)],
        Prop::Tmpfs(name) => {
            vec![Step::MakeDir(at(name)?), tmpfs_on(&scratch.join(name))?]
        }
        Prop::Kernel(kind, options, name) => vec![
            Step::MakeDir(at(name)?),
            Step::Mount {
                kind: CString::new(kind)?,
                target: at(name)?,
                options: CString::new(options)?,
            },
        ],
        Prop::NoSuchBlockDevice(name) => vec![Step::Node {
            path: at(name)?,
            mode: SFlag::S_IFBLK,
            device: makedev(NO_SUCH_BLOCK_MAJOR, 0),
        }],
        Prop::CharacterDevice(name, major, minor) => vec![Step::Node {
            path: at(name)?,
            mode: SFlag::S_IFCHR,
            device: makedev(major, minor),
        }],
        Prop::UngrantedDevice(name) => vec![Step::Node {
            path: at(name)?,
            mode: SFlag::S_IFCHR,
            device: makedev(UNGRANTED.0.into(), UNGRANTED.1.into()),
        }],
        Prop::OwnHostname => vec![Step::Unshare(CloneFlags::CLONE_NEWUTS)],
    })
}

fn tmpfs_on(path: &Path) -> Result<Step, std::ffi::NulError> {
    Ok(Step::Mount {
        kind: c"tmpfs".into(),
        target: c_path(path)?,
        options: c"size=1m,mode=700".into(),
    })
}

fn c_path(path: &Path) -> Result<CString, std::ffi::NulError> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes())
}

/// Why a prop cannot stand on this node, told before anything is tried.
pub(crate) fn missing(prop: &Prop) -> Option<String> {
    match prop {
        // Mounting an unknown type would make the kernel look for a module.
        Prop::Kernel(kind, ..) if !file_systems().any(|known| known == *kind) => Some(format!(
            "this kernel has no file system of type {kind} (or it is a module that is not loaded)"
        )),
        Prop::NoSuchBlockDevice(_) if block_majors().contains(&NO_SUCH_BLOCK_MAJOR) => {
            Some(format!("block device major {NO_SUCH_BLOCK_MAJOR} has a driver here"))
        }
        _ => None,
    }
}

/// The file system types that are registered now.
fn file_systems() -> impl Iterator<Item = String> {
    read_or_empty("/proc/filesystems")
        .lines()
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect::<Vec<_>>()
        .into_iter()
}

/// A registered file system type that lives on a block device.
pub(crate) fn disk_file_system() -> Option<String> {
    read_or_empty("/proc/filesystems")
        .lines()
        .filter(|line| !line.starts_with("nodev"))
        .find_map(|line| line.split_whitespace().last().map(str::to_owned))
}

fn block_majors() -> Vec<u64> {
    read_or_empty("/proc/devices")
        .lines()
        .skip_while(|line| !line.starts_with("Block"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

/// A list in /proc that cannot be read is an empty one: what depends on it is then unavailable,
/// and says so.
fn read_or_empty(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
