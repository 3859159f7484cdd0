//! What stands on the stage before an act: laid out by the actor's process before it enters its
//! container and executes, in a mount namespace of its own, so that the guard has nothing to judge
//! and the kernel takes all of it away when the process ends.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsRawFd, IntoRawFd, RawFd},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::Signal,
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
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
    /// A user namespace of the actor's own, in which it is root, and mounts of its own in it.
    OwnUsers,
    /// An overlay file system on a directory of this name, with nothing below.
    Overlay(&'static str),
    /// The root directory of the node's mounts, open as descriptor [`OUTSIDE`].
    Outside,
    /// A unix socket of the node's, bound to this name.
    ListeningSocket(&'static str),
}

/// A descriptor number that nothing else has.
pub(crate) const OUTSIDE: RawFd = 200;

/// A file in the scratch directory as it is outside.
pub(crate) const OUTSIDE_FILE: &str = "outside";

/// No driver has this block major: the kernel's list keeps it for local experiments.
pub(crate) const NO_SUCH_BLOCK_MAJOR: u64 = 60;

/// A character device that no driver has: the kernel's list keeps the major for local experiments.
pub(crate) const UNGRANTED: (u32, u32) = (60, 0);
/// Why the steps cannot be laid down.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unset {
    /// A name holds a zero byte.
    #[error("a name holds a zero byte")]
    Name(#[from] std::ffi::NulError),
    /// A path is too long for a socket.
    #[error("a socket cannot have this name")]
    Address(#[source] Errno),
}

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
    Listen(UnixAddr),
    MapRoot,
    KeepRoot,
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
            Self::Listen(address) => listen_at(address),
            Self::MapRoot => map_root(),
            Self::KeepRoot => keep_root(),
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

/// Leaves the root directory open over the exec, as a runtime once did.
fn keep_root() -> nix::Result<()> {
    let root = open(c"/", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    sys::keep_as(&root, OUTSIDE)
}

/// Root of a new user namespace is the root that made it.
fn map_root() -> nix::Result<()> {
    let map = open(c"/proc/self/uid_map", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(&map, b"0 0 1").map(drop)
}

/// The socket stays open over the exec: somebody listens until the actor ends.
fn listen_at(address: &UnixAddr) -> nix::Result<()> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None)?;
    bind(socket.as_raw_fd(), address)?;
    listen(&socket, Backlog::new(1)?)?;
    let _kept_open = socket.into_raw_fd();
    Ok(())
}

/// The steps that lay out `props` in `scratch`, an existing directory.
pub(crate) fn steps(props: &[Prop], scratch: &Path) -> Result<Vec<Step>, Unset> {
    let mut steps = Vec::new();
    if props.iter().any(|prop| matches!(prop, Prop::Outside)) {
        // Before the mounts become private.
        steps.push(Step::KeepRoot);
    }
    steps.extend([Step::PrivateMounts, tmpfs_on(scratch)?]);
    for prop in props {
        steps.extend(steps_of(prop, scratch)?);
    }
    Ok(steps)
}

fn steps_of(prop: &Prop, scratch: &Path) -> Result<Vec<Step>, Unset> {
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
        Prop::Outside => Vec::new(),
        Prop::OwnUsers => vec![
            Step::Unshare(CloneFlags::CLONE_NEWUSER.union(CloneFlags::CLONE_NEWNS)),
            Step::MapRoot,
        ],
        Prop::Overlay(name) => overlay_on(scratch, name)?,
        Prop::ListeningSocket(name) => {
            vec![Step::Listen(UnixAddr::new(&scratch.join(name)).map_err(Unset::Address)?)]
        }
    })
}

fn tmpfs_on(path: &Path) -> Result<Step, Unset> {
    Ok(Step::Mount {
        kind: c"tmpfs".into(),
        target: c_path(path)?,
        options: c"size=1m,mode=700".into(),
    })
}

/// Its layers are directories beside it.
fn overlay_on(scratch: &Path, name: &str) -> Result<Vec<Step>, Unset> {
    let at = |part: &str| scratch.join(format!("{name}{part}"));
    let mut steps = Vec::new();
    for part in ["", ".lower", ".upper", ".work"] {
        steps.push(Step::MakeDir(c_path(&at(part))?));
    }
    let [lower, upper, work] = [".lower", ".upper", ".work"].map(&at);
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    steps.push(Step::Mount {
        kind: c"overlay".into(),
        target: c_path(&at(""))?,
        options: CString::new(options)?,
    });
    Ok(steps)
}

fn c_path(path: &Path) -> Result<CString, Unset> {
    use std::os::unix::ffi::OsStrExt;
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

/// Why a prop cannot stand on this node, told before anything is tried.
pub(crate) fn missing(prop: &Prop) -> Option<String> {
    match prop {
        // Mounting an unknown type would make the kernel look for a module.
        Prop::Overlay(_) if !file_systems().any(|known| known == "overlay") => {
            Some("this kernel has no overlayfs (or it is a module that is not loaded)".to_owned())
        }
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
