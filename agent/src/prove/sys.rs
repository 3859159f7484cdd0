//! The system calls that nix does not wrap, and the one hook into a child between fork and exec.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, c_long},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::Pid,
};

/// What a child does between fork and exec. An implementation makes system calls alone: it
/// allocates nothing and takes no lock.
pub(crate) trait BeforeExec: Send + Sync + 'static {
    /// Does it.
    fn take(&self) -> nix::Result<()>;
}

/// Lends a descriptor number that the caller keeps open.
pub(crate) fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: used between fork and exec only, where every descriptor of the parent is open and
    // nothing closes one.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Lets the child of `command` take `steps` before it executes.
pub(crate) fn prepare<S: BeforeExec>(command: &mut Command, steps: Vec<S>) {
    // SAFETY: the closure does what `BeforeExec` promises.
    unsafe {
        command.pre_exec(move || steps.iter().try_for_each(S::take).map_err(std::io::Error::from));
    }
}

/// One raw call. All arguments are numbers or addresses of what outlives the call.
///
/// # Safety
/// The arguments must be valid for the call.
unsafe fn call(number: c_long, arguments: [usize; 5]) -> nix::Result<c_long> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the caller vouches for the arguments; unused ones are ignored by the kernel.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, e, 0usize) })
}

/// A call that takes no address.
///
/// # Safety
/// None of the arguments may be read by the kernel as an address.
unsafe fn call_numbers(number: c_long, arguments: [i64; 5]) -> nix::Result<c_long> {
    // SAFETY: passed on. Sign extension is what the C library does with an int.
    unsafe { call(number, arguments.map(|argument| argument as usize)) }
}

fn owned(fd: c_long) -> nix::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just handed this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An address as a call's argument.
fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance()
}

/// An address as the kernel's structures carry it.
pub(crate) fn user_address<T: ?Sized>(value: &T) -> u64 {
    address(value) as u64
}

pub(crate) fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: numbers alone.
    owned(unsafe { call_numbers(libc::SYS_pidfd_open, [pid.as_raw().into(), 0, 0, 0, 0]) }?)
}

pub(crate) fn pidfd_getfd(pidfd: &OwnedFd, fd: RawFd) -> nix::Result<OwnedFd> {
    let numbers = [pidfd.as_raw_fd().into(), fd.into(), 0, 0, 0];
    // SAFETY: numbers alone.
    owned(unsafe { call_numbers(libc::SYS_pidfd_getfd, numbers) }?)
}

pub(crate) fn pidfd_send_signal(pidfd: &OwnedFd, signal: Signal) -> nix::Result<()> {
    let numbers = [pidfd.as_raw_fd().into(), i64::from(signal as i32), 0, 0, 0];
    // SAFETY: numbers alone; the siginfo address is null, which the call allows.
    unsafe { call_numbers(libc::SYS_pidfd_send_signal, numbers) }.map(drop)
}

pub(crate) fn tgkill(pid: Pid, signal: Signal) -> nix::Result<()> {
    let pid = i64::from(pid.as_raw());
    // SAFETY: numbers alone. The main thread has the process's own id.
    unsafe { call_numbers(libc::SYS_tgkill, [pid, pid, i64::from(signal as i32), 0, 0]) }.map(drop)
}

pub(crate) fn sigqueue(pid: Pid, signal: Signal) -> nix::Result<()> {
    let value = libc::sigval { sival_ptr: std::ptr::null_mut() };
    // SAFETY: a plain call with values.
    Errno::result(unsafe { libc::sigqueue(pid.as_raw(), signal as i32, value) }).map(drop)
}

/// Compares a kernel object of two processes (KCMP_FILES).
pub(crate) fn kcmp_files(one: Pid, other: Pid) -> nix::Result<()> {
    const KCMP_FILES: i64 = 2;
    let numbers = [one.as_raw().into(), other.as_raw().into(), KCMP_FILES, 0, 0];
    // SAFETY: numbers alone.
    unsafe { call_numbers(libc::SYS_kcmp, numbers) }.map(drop)
}

/// Reads one limit of `pid` into place and hands it back.
pub(crate) fn core_limit_of(pid: Pid) -> nix::Result<libc::rlimit64> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the new limit is null, the old one a structure of ours.
    let result =
        unsafe { libc::prlimit64(pid.as_raw(), libc::RLIMIT_CORE, std::ptr::null(), &mut limit) };
    Errno::result(result).map(|_| limit)
}

pub(crate) fn set_core_limit_of(pid: Pid, limit: &libc::rlimit64) -> nix::Result<()> {
    // SAFETY: the new limit is a structure of ours, the old one null.
    let result =
        unsafe { libc::prlimit64(pid.as_raw(), libc::RLIMIT_CORE, limit, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

pub(crate) fn nice_of(pid: Pid) -> nix::Result<i32> {
    let numbers = [libc::PRIO_PROCESS.into(), pid.as_raw().into(), 0, 0, 0];
    // SAFETY: numbers alone. The raw call returns 20 - nice, so that it is never negative.
    let shifted = unsafe { call_numbers(libc::SYS_getpriority, numbers) }?;
    i32::try_from(20 - shifted).map_err(|_| Errno::ERANGE)
}

pub(crate) fn set_nice_of(pid: Pid, nice: i32) -> nix::Result<()> {
    let numbers = [libc::PRIO_PROCESS.into(), pid.as_raw().into(), nice.into(), 0, 0];
    // SAFETY: numbers alone.
    unsafe { call_numbers(libc::SYS_setpriority, numbers) }.map(drop)
}

/// The I/O priority that a process has without asking for one: class "none", level 0.
pub(crate) fn set_default_io_priority_of(pid: Pid) -> nix::Result<()> {
    const IOPRIO_WHO_PROCESS: i64 = 1;
    let numbers = [IOPRIO_WHO_PROCESS, pid.as_raw().into(), 0, 0, 0];
    // SAFETY: numbers alone.
    unsafe { call_numbers(libc::SYS_ioprio_set, numbers) }.map(drop)
}

/// Sets the ordinary scheduling policy, which the process has already.
pub(crate) fn set_ordinary_scheduler_of(pid: Pid) -> nix::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are a structure of ours.
    let result = unsafe { libc::sched_setscheduler(pid.as_raw(), libc::SCHED_OTHER, &parameters) };
    Errno::result(result).map(drop)
}

/// Asks where one page of another process lives, which is how moving it begins.
pub(crate) fn ask_page_of(pid: Pid, page: u64) -> nix::Result<()> {
    let pages = [usize::try_from(page).map_err(|_| Errno::EFAULT)?];
    let mut status = [0i32];
    let pid = usize::try_from(pid.as_raw()).map_err(|_| Errno::ESRCH)?;
    let state = status.as_mut_ptr().expose_provenance();
    // SAFETY: one page address and one status, both ours; no nodes, so nothing is moved.
    unsafe { call(libc::SYS_move_pages, [pid, 1, address(&pages), 0, state]) }.map(drop)
}

/// A child in namespaces of its own, by clone3, that ends at once.
pub(crate) fn clone3_and_reap(flags: i32) -> nix::Result<()> {
    let arguments = CloneArguments {
        flags: u64::from(flags.unsigned_abs()),
        exit_signal: u64::from((Signal::SIGCHLD as i32).unsigned_abs()),
        ..CloneArguments::default()
    };
    let size = size_of::<CloneArguments>();
    // SAFETY: the structure is ours. No memory is shared, so that the child has a copy of this
    // single-threaded process's, as after fork, and leaves it by _exit alone.
    let child = unsafe { call(libc::SYS_clone3, [address(&arguments), size, 0, 0, 0]) }?;
    leave_or_reap(child)
}

/// As [`clone3_and_reap`], by the older call.
pub(crate) fn clone_and_reap(flags: i32) -> nix::Result<()> {
    let numbers = [i64::from(flags | Signal::SIGCHLD as i32), 0, 0, 0, 0];
    // SAFETY: numbers alone; a null stack keeps the (copied) present one. As above.
    let child = unsafe { call_numbers(libc::SYS_clone, numbers) }?;
    leave_or_reap(child)
}

fn leave_or_reap(child: c_long) -> nix::Result<()> {
    if child == 0 {
        // SAFETY: ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    let child = i32::try_from(child).map_err(|_| Errno::ECHILD)?;
    nix::sys::wait::waitpid(Pid::from_raw(child), None).map(drop)
}

/// The head of the kernel's `struct clone_args`.
#[derive(Default)]
#[repr(C, align(8))]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// A mount of a new instance of `kind` that is attached nowhere.
pub(crate) fn detached_mount(kind: &CStr) -> nix::Result<OwnedFd> {
    const FSCONFIG_CMD_CREATE: i64 = 6;
    // SAFETY: the name outlives the call.
    let context = owned(unsafe { call(libc::SYS_fsopen, [kind.as_ptr().addr(), 0, 0, 0, 0]) }?)?;
    let context = i64::from(context.as_raw_fd());
    // SAFETY: numbers and nulls alone, which is what this command takes.
    unsafe { call_numbers(libc::SYS_fsconfig, [context, FSCONFIG_CMD_CREATE, 0, 0, 0]) }?;
    // SAFETY: numbers alone.
    owned(unsafe { call_numbers(libc::SYS_fsmount, [context, 0, 0, 0, 0]) }?)
}

/// Keeps a descriptor open over an exec, under a number that nothing else has.
pub(crate) fn keep_as(fd: &OwnedFd, number: RawFd) -> nix::Result<()> {
    // SAFETY: nobody owns a descriptor of that number.
    Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop)
}

/// Takes over a descriptor that the kernel has just given to this process.
pub(crate) fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller has it from a message that was received, and keeps no copy.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A System V shared memory segment that goes with this process: it stays attached, and is already
/// marked to be removed.
pub(crate) fn shared_memory() -> nix::Result<i32> {
    // SAFETY: numbers alone.
    let id = Errno::result(unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o600) })?;
    attach_memory(id)?;
    // SAFETY: the command takes no structure.
    Errno::result(unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) })?;
    Ok(id)
}

/// Attaches a shared memory segment, until the process ends.
pub(crate) fn attach_memory(id: i32) -> nix::Result<()> {
    // SAFETY: the kernel chooses a free address; nothing of ours lies there.
    let address = unsafe { libc::shmat(id, std::ptr::null(), libc::SHM_RDONLY) };
    if address.addr() == usize::MAX { Err(Errno::last()) } else { Ok(()) }
}

/// A key of this process, which goes with it.
pub(crate) fn own_key(name: &CStr) -> nix::Result<i32> {
    const PROCESS_KEYRING: usize = -2isize as usize;
    let kind = c"user";
    let arguments =
        [kind.as_ptr().addr(), name.as_ptr().addr(), name.as_ptr().addr(), 8, PROCESS_KEYRING];
    // SAFETY: both texts outlive the call, and the payload is as long as is said.
    let serial = unsafe { call(libc::SYS_add_key, arguments) }?;
    i32::try_from(serial).map_err(|_| Errno::ERANGE)
}

/// Asks what a key is: KEYCTL_DESCRIBE without room for the answer.
pub(crate) fn describe_key(serial: i32) -> nix::Result<()> {
    const KEYCTL_DESCRIBE: i64 = 6;
    // SAFETY: no buffer is given, and its length is zero.
    unsafe { call_numbers(libc::SYS_keyctl, [KEYCTL_DESCRIBE, serial.into(), 0, 0, 0]) }.map(drop)
}

pub(crate) fn move_mount(from: &CStr, to: &CStr) -> nix::Result<()> {
    let here = libc::AT_FDCWD as usize;
    let arguments = [here, from.as_ptr().addr(), here, to.as_ptr().addr(), 0];
    // SAFETY: both names outlive the call.
    unsafe { call(libc::SYS_move_mount, arguments) }.map(drop)
}

/// A socket of any family, by its numbers.
pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> nix::Result<OwnedFd> {
    let numbers = [family.into(), (kind | libc::SOCK_CLOEXEC).into(), protocol.into(), 0, 0];
    // SAFETY: numbers alone.
    owned(unsafe { call_numbers(libc::SYS_socket, numbers) }?)
}

/// bpf(2) with an attribute structure of the caller's.
pub(crate) fn bpf<T>(command: u32, attribute: &T) -> nix::Result<OwnedFd> {
    let command = usize::try_from(command).map_err(|_| Errno::EINVAL)?;
    let arguments = [command, address(attribute), size_of::<T>(), 0, 0];
    // SAFETY: the attribute outlives the call; both commands in use only read it.
    owned(unsafe { call(libc::SYS_bpf, arguments) }?)
}

/// perf_event_open(2) for this process on any CPU, with an attribute structure of the caller's.
pub(crate) fn perf_event_open<T>(attribute: &T) -> nix::Result<OwnedFd> {
    const ANY: usize = usize::MAX;
    // SAFETY: the attribute outlives the call, which only reads it.
    owned(unsafe { call(libc::SYS_perf_event_open, [address(attribute), 0, ANY, ANY, 0]) }?)
}

/// reboot(2) without its magic numbers, which the kernel refuses after the capability check.
pub(crate) fn reboot_without_magic() -> nix::Result<()> {
    // SAFETY: numbers alone; wrong magic numbers do nothing.
    unsafe { call_numbers(libc::SYS_reboot, [0, 0, 0, 0, 0]) }.map(drop)
}

/// finit_module(2) of no file, which the kernel refuses after the capability check.
pub(crate) fn load_no_module() -> nix::Result<()> {
    // SAFETY: the parameter string outlives the call; descriptor -1 is never open.
    unsafe { call(libc::SYS_finit_module, [usize::MAX, c"".as_ptr().addr(), 0, 0, 0]) }.map(drop)
}

mod requests;
pub(crate) use requests::*;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interruption(_signal: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Turns the terminal's and the service manager's signals into a flag, so that the stage is
/// always cleared.
pub(crate) fn catch_interruptions() -> nix::Result<()> {
    let action =
        SigAction::new(SigHandler::Handler(note_interruption), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler stores to an atomic, which a handler may.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// Whether one of them came.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
