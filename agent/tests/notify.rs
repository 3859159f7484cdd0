//! `bulkhead notify` with a real filter, on this machine's kernel.
#![allow(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::{
    io::{BufRead, BufReader, IoSlice},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bulkhead_seccomp::{Arch, compile, parse};
use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::{Signal, kill},
        socket::{ControlMessage, MsgFlags, sendmsg},
    },
    unistd::Pid,
};

/// Refuses and tells one harmless call.
const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"x",
    "syscalls":[{"names":["getpriority"],"action":"SCMP_ACT_NOTIFY"}]}"#;

/// The command, ended with the test.
struct Notify {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Notify {
    fn start(socket: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .args(["notify", "--agent", "/nonexistent/agent.sock", "--socket"])
            .arg(socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while UnixStream::connect(socket).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The process that answers.
    fn supervisor(&self) -> Pid {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap())
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Loads the filter in this thread and hands its listener over, as a runtime does.
fn confine(socket: &Path) {
    let profile = parse(PROFILE.as_bytes()).unwrap().profile;
    let (context, _) = compile::build(&profile, Arch::native()).unwrap();
    context.load().unwrap();
    // libseccomp owns it, and closes it with the context.
    let listener = context.get_notify_fd().unwrap();
    let state = br#"{"ociVersion":"1.0.2","fds":["seccompFd"],"pid":1,"metadata":"",
        "state":{"ociVersion":"1.0.2","id":"c0ffee","status":"creating","pid":1,"bundle":"/"}}"#;
    let stream = UnixStream::connect(socket).unwrap();
    let descriptors = [listener];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let parts = [IoSlice::new(state)];
    sendmsg::<()>(stream.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).unwrap();
}

fn call() -> Result<i64, Errno> {
    // SAFETY: takes two numbers.
    Errno::result(unsafe { libc::syscall(libc::SYS_getpriority, 0, 0) })
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: not root");
    }
    root
}

/// One test, because libseccomp has one listener for a process.
#[test]
fn a_refused_call_is_told_a_flood_in_part_and_a_hanging_supervisor_is_ended() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("seccomp.sock");
    let mut notify = Notify::start(&socket);
    let supervisor = notify.supervisor();
    let door = socket.clone();
    let caller = std::thread::spawn(move || {
        confine(&door);
        for _ in 0..500 {
            assert_eq!(call(), Err(Errno::EPERM));
        }
        // The next second's first line tells how many had none.
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(call(), Err(Errno::EPERM));
        kill(supervisor, Signal::SIGSTOP).unwrap();
        // Without the watchdog this waits for ever.
        assert_eq!(call(), Err(Errno::ENOSYS));
        nix::unistd::gettid()
    });
    let tid = caller.join().unwrap();
    let first = notify.line();
    assert_eq!(first["call"], "getpriority");
    assert_eq!(first["container"], "c0ffee");
    assert_eq!(first["pid"], tid.as_raw());
    assert_ne!(first["comm"], "");
    let mut told = 1;
    let untold = loop {
        let line = notify.line();
        told += 1;
        assert!(told < 400, "every call was told");
        if line["untold"] != 0 {
            break line["untold"].as_u64().unwrap();
        }
    };
    assert!(untold > 50, "{untold}");
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no new supervisor");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(notify.supervisor(), supervisor);
}
