//! What an attacker types in a container, and the rule that answers.
//!
//! The acts are harmless where they go through: what is opened is not written to, what is signalled
//! ignores the signal.

/// One line of shell, and the rules of which one must answer it.
#[derive(Clone, Debug)]
pub struct Breakout {
    /// What is typed.
    pub line: String,
    /// The first that meets it decides, and which one that is depends on the kernel's order.
    pub rules: &'static [&'static str],
}

fn breakout(rules: &'static [&'static str], line: impl Into<String>) -> Breakout {
    Breakout { line: line.into(), rules }
}

/// An act of `bulkhead prove`, for what no command of busybox does.
fn act(rules: &'static [&'static str], name: &str, target: &str) -> Breakout {
    let scene = format!(r#"{{"scratch":"/tmp","target":{target}}}"#);
    // It says what became of the act as a number; its own status is that of the saying.
    let told = r#"grep -q '"errno":0}' && exit 0; echo 'Operation not permitted'; exit 1"#;
    breakout(rules, format!("/opt/bulkhead-program act {name} --scene '{scene}' | ({told})"))
}

/// Acts on the kernel and the node as a whole.
#[must_use]
pub fn on_the_kernel() -> Vec<Breakout> {
    vec![
        breakout(&["BH-MNT-001"], "mkdir -p /tmp/a; mount -t tmpfs x /tmp/a"),
        breakout(&["BH-MNT-002"], "mkdir -p /tmp/b; mount -t proc x /tmp/b"),
        breakout(&["BH-MNT-003"], "mkdir -p /tmp/c; mount -t cgroup2 x /tmp/c"),
        breakout(&["BH-MNT-006", "BH-CAP-001"], "umount /dev/mqueue"),
        breakout(&["BH-MNT-008", "BH-CAP-001"], "chroot /tmp true"),
        breakout(&["BH-NS-001"], "unshare -U true"),
        // No hook sees unshare(2) but for user namespaces: it is met by the capability that it
        // takes, or by what it does next, to keep its mounts to itself.
        breakout(&["BH-CAP-001", "BH-MNT-001"], "unshare -m true"),
        breakout(&["BH-FILE-001"], ": > /proc/sys/kernel/core_pattern"),
        breakout(&["BH-FILE-002"], ": > /proc/sys/kernel/modprobe"),
        breakout(&["BH-FILE-004"], ": > /proc/sysrq-trigger"),
        breakout(&["BH-FILE-006"], "head -c 1 /proc/kcore"),
        breakout(&["BH-FILE-007"], "dd if=/dev/kmsg of=/dev/null count=0"),
        breakout(&["BH-FILE-008"], "head -c 1 /dev/nvme0n1"),
        act(&["BH-BPF-001", "BH-CAP-001"], "bpf-map", "null"),
        act(&["BH-PERF-001", "BH-CAP-001"], "perf-event", "null"),
        act(&["BH-NET-001"], "socket-alg", "null"),
        act(&["BH-NET-002"], "socket-packet", "null"),
    ]
}

/// Acts on another process.
#[must_use]
pub fn on_process(pid: u32) -> Vec<Breakout> {
    let target = format!(r#"{{"pid":{pid},"buffer":0,"memory":0,"key":null}}"#);
    vec![
        breakout(&["BH-PROC-004"], format!("kill -URG {pid}")),
        breakout(&["BH-PROC-003"], format!("cat /proc/{pid}/environ")),
        breakout(&["BH-PROC-008"], format!("cat /proc/{pid}/maps")),
        breakout(&["BH-PROC-003"], format!("ls /proc/{pid}/root/")),
        breakout(&["BH-PROC-003"], format!("cat < /proc/{pid}/fd/0")),
        breakout(&["BH-PROC-003", "BH-NS-003"], format!("nsenter -t {pid} -n true")),
        breakout(&["BH-PROC-002"], format!("dd if=/proc/{pid}/mem of=/dev/null count=0")),
        breakout(&["BH-PROC-006"], format!("renice -n 1 -p {pid}")),
        act(&["BH-PROC-001"], "ptrace-seize", &target),
        act(&["BH-PROC-005"], "prlimit", &target),
    ]
}
