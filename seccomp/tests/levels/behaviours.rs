//! What must be refused, and what must go on working, asked of the compiled filters.

use bulkhead_seccomp::Arch;

use crate::simulation;

const BOTH: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

/// Whether the call is made: on all architectures that have it, or on none.
fn made(level: &str, call: &str, arguments: &[u64]) -> bool {
    let simulation = simulation(level);
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let answers: Vec<_> = BOTH
        .into_iter()
        .filter_map(|arch| simulation.ask(arch, call, all).unwrap())
        .map(|answer| answer.most().may_execute())
        .collect();
    assert!(!answers.is_empty(), "no architecture has {call}");
    assert!(answers.iter().all(|made| *made == answers[0]), "{level} {call}: {answers:?}");
    answers[0]
}

/// Behaviours of the breakout list that a runtime's default or a stricter profile refuses, as
/// the call that makes them. Each is refused at this level and at every stricter one.
pub(crate) const REFUSED: &[(&str, &str, &[u64], &str)] = &[
    ("B01", "mount", &[0, 0, 0, 0], "trusted"),
    ("B01", "move_mount", &[0, 0, 0, 0, 0], "trusted"),
    ("B02", "umount2", &[0, 0], "trusted"),
    ("B05", "fsopen", &[0, 0], "trusted"),
    ("B05", "fsmount", &[3, 0, 0], "trusted"),
    ("B06", "open_tree", &[0, 0, 1], "trusted"),
    ("B06", "open_tree_attr", &[0, 0, 1], "trusted"),
    ("B07", "fsconfig", &[3, 0], "trusted"),
    ("B08", "mount_setattr", &[0, 0, 0, 0, 0], "trusted"),
    ("B09", "pivot_root", &[0, 0], "trusted"),
    ("B09", "chroot", &[0], "untrusted"),
    ("B10", "unshare", &[0x1000_0000], "trusted"),
    // Flags that no kernel takes together: were the filter wrong, still nothing would be made.
    ("B10", "clone", &[0x1000_0200], "trusted"),
    ("B11", "clone", &[0x0002_0200], "trusted"),
    ("B11", "clone", &[0x4001_0000], "trusted"),
    ("B12", "clone3", &[0, 88], "trusted"),
    ("B13", "setns", &[3, 0], "trusted"),
    ("B18", "init_module", &[0, 0, 0], "trusted"),
    ("B18", "finit_module", &[3, 0, 0], "trusted"),
    ("B18", "delete_module", &[0, 0], "trusted"),
    ("B20", "bpf", &[5, 0, 0], "trusted"),
    ("B21", "perf_event_open", &[0, 0, 0, 0, 0], "trusted"),
    ("B22", "userfaultfd", &[0], "trusted"),
    ("B23", "io_uring_setup", &[8, 0], "trusted"),
    ("B24", "io_uring_enter", &[3, 1, 0, 0, 0, 0], "trusted"),
    ("B25", "add_key", &[0, 0, 0, 0, 0], "trusted"),
    ("B25", "keyctl", &[6, 0, 0, 0, 0], "trusted"),
    ("B26", "open_by_handle_at", &[0, 0, 0], "trusted"),
    ("B27", "socket", &[38, 5, 0], "trusted"),
    // The kernel reads 32 bits of the family: an upper bit must not open it.
    ("B27", "socket", &[0x1_0000_0026, 5, 0], "trusted"),
    ("B28", "socket", &[17, 3, 0x0300], "untrusted"),
    ("B28", "socket", &[2, 3, 1], "untrusted"),
    ("B29", "socket", &[40, 1, 0], "trusted"),
    ("B29", "socket", &[0x1_0000_0028, 1, 0], "trusted"),
    ("B30", "socket", &[16, 3, 6], "semi-trusted"),
    ("B31", "socket", &[16, 3, 12], "semi-trusted"),
    ("B32", "socket", &[33, 2, 2], "semi-trusted"),
    ("B32", "socket", &[21, 5, 0], "semi-trusted"),
    ("B32", "socket", &[30, 5, 0], "semi-trusted"),
    ("B32", "socket", &[2, 1, 132], "semi-trusted"),
    ("B32", "socket", &[41, 5, 0], "semi-trusted"),
    ("B43", "mknodat", &[0, 0, 0x6000, 0x700], "semi-trusted"),
    ("B43", "mknod", &[0, 0x2000, 0x101], "semi-trusted"),
    ("B44", "syslog", &[2, 0, 0], "trusted"),
    ("B45", "reboot", &[0, 0, 0, 0], "trusted"),
    ("B45", "kexec_load", &[0, 0, 0, 0], "trusted"),
    ("B45", "swapon", &[0, 0], "trusted"),
    ("B45", "settimeofday", &[0, 0], "trusted"),
    ("B46", "seccomp", &[1, 8, 0], "untrusted"),
    ("B46", "fanotify_init", &[0, 0], "trusted"),
    ("B46", "ioctl", &[0, 0x5412, 0], "untrusted"),
    ("B46", "ioctl", &[0, 0x1_0000_5412, 0], "untrusted"),
    ("B47", "ptrace", &[0xffff, 0, 0, 0], "untrusted"),
    ("B48", "process_vm_readv", &[0, 0, 0, 0, 0, 0], "untrusted"),
    ("B49", "pidfd_getfd", &[3, 0, 0], "trusted"),
    ("B56", "kcmp", &[0, 0, 0, 0, 0], "trusted"),
    ("B56", "move_pages", &[0, 0, 0, 0, 0, 0], "trusted"),
];

#[test]
fn what_the_breakout_list_wants_refused_is_refused_from_its_level_on() {
    let levels = bulkhead_seccomp::levels::LEVELS;
    for (behaviour, call, arguments, from) in REFUSED {
        let first = levels.iter().position(|level| level == from).unwrap();
        for level in &levels[first..] {
            assert!(
                !made(level, call, arguments),
                "{behaviour}: {level} allows {call} {arguments:x?}"
            );
        }
    }
}

/// What ordinary programs do, with the program. All of it works at every level.
const ORDINARY: &[(&str, &str, &[u64])] = &[
    ("sh", "execve", &[0, 0, 0]),
    ("sh", "openat", &[0, 0, 0]),
    ("sh", "clone", &[0x0120_0011]),
    ("sh", "wait4", &[0, 0, 0, 0]),
    ("sh", "ioctl", &[0, 0x5401, 0]),
    ("sh", "ioctl", &[0, 0x5413, 0]),
    ("mkfifo", "mknodat", &[0, 0, 0x11a4, 0]),
    ("nginx", "socket", &[2, 0x801, 0]),
    ("nginx", "socket", &[10, 0x801, 0]),
    ("nginx", "socketpair", &[1, 1, 0, 0]),
    ("nginx", "accept4", &[3, 0, 0, 0x800]),
    ("nginx", "setgroups", &[1, 0]),
    ("nginx", "setuid", &[33]),
    ("nginx", "io_setup", &[32, 0]),
    ("nginx", "ioctl", &[3, 0x5421, 0]),
    ("redis", "clone", &[0x0120_0011]),
    ("redis", "prlimit64", &[0, 7, 0, 0]),
    ("redis", "fdatasync", &[3]),
    ("postgres", "shmget", &[0, 56, 0x780]),
    ("postgres", "semctl", &[0, 0, 0, 0]),
    ("postgres", "sync_file_range", &[3, 0, 0, 0]),
    ("postgres", "epoll_create1", &[0x80000]),
    ("python", "memfd_create", &[0, 0]),
    ("python", "getrandom", &[0, 24, 1]),
    ("node", "eventfd2", &[0, 0x80000]),
    ("node", "clone", &[0x003d_0f00]),
    ("node", "pkey_alloc", &[0, 0]),
    ("node", "statx", &[0, 0, 0, 0, 0]),
    ("JVM", "sched_getaffinity", &[0, 128, 0]),
    ("JVM", "membarrier", &[0, 0, 0]),
    ("JVM", "mprotect", &[0, 4096, 7]),
    ("gcc", "vfork", &[]),
    ("gcc", "renameat2", &[0, 0, 0, 0, 0]),
    ("tar", "fchownat", &[0, 0, 0, 0, 0]),
    ("tar", "utimensat", &[0, 0, 0, 0]),
    ("Go", "socket", &[2, 0x801, 262]),
    ("Go", "tgkill", &[1, 1, 23]),
    ("Go", "pidfd_open", &[1, 0]),
    ("getifaddrs", "socket", &[16, 0x80003, 0]),
    ("ping", "socket", &[2, 2, 1]),
    ("setarch", "personality", &[8]),
    ("every program", "personality", &[0xffff_ffff]),
    ("chromium", "seccomp", &[1, 1, 0]),
    ("sshd", "landlock_restrict_self", &[3, 0]),
    ("glibc 2.39", "fchmodat2", &[0, 0, 0, 0]),
    ("glibc 2.41", "mseal", &[0, 4096, 0]),
];

#[test]
fn what_ordinary_programs_do_is_allowed_at_every_level() {
    for level in bulkhead_seccomp::levels::LEVELS {
        for (program, call, arguments) in ORDINARY {
            assert!(
                made(level, call, arguments),
                "{program}: {level} refuses {call} {arguments:x?}"
            );
        }
    }
}

#[test]
fn a_32_bit_entry_is_open_at_the_loosest_level_only() {
    for (level, open) in [("trusted", true), ("semi-trusted", false), ("untrusted", false)] {
        let simulation = simulation(level);
        for arch in [Arch::X86, Arch::Arm] {
            let answer = simulation.ask(arch, "getpid", [0; 6]).unwrap().unwrap();
            assert_eq!(answer.action.executes(), open, "{level} {arch}");
        }
    }
}
