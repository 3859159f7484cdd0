//! The programs.

use Container::{HostPid, Ordinary};

use crate::{
    Container,
    Effect::{Denied, Observed},
    Level::{SemiTrusted, Untrusted},
    Program, Seen, UnderProfiles,
};

/// A program that is seen doing nothing.
const fn unseen(
    name: &'static str,
    title: &'static str,
    does: &'static str,
    script: &'static str,
) -> Program {
    Program { name, title, does, script, container: Ordinary, seen: &[], not_at_untrusted: None }
}

/// A program that is seen doing something, and does its work at every level.
const fn seen(program: Program, seen: &'static [Seen]) -> Program {
    Program { seen, ..program }
}

/// A program that is refused at `untrusted` what it needs.
const fn refused(program: Program, seen: &'static [Seen], why: &'static str) -> Program {
    Program { seen, not_at_untrusted: Some(why), ..program }
}

/// An act that `untrusted` refuses.
const fn refused_where_strict(rule: &'static str, act: &'static str) -> Seen {
    Seen { rule, act, at: &[(SemiTrusted, Observed), (Untrusted, Denied)] }
}

/// An act that is told at `untrusted` alone, and refused nowhere.
const fn seen_where_strict(rule: &'static str, act: &'static str) -> Seen {
    Seen { rule, act, at: &[(Untrusted, Observed)] }
}

/// Just-in-time compilers.
const JIT: Seen = seen_where_strict("BH-EXEC-005", "code that it has just compiled");

/// An act that `untrusted` does not let come about, because it refuses one before it.
const fn seen_where_milder(rule: &'static str, act: &'static str) -> Seen {
    Seen { rule, act, at: &[(SemiTrusted, Observed)] }
}

/// All of them, in the order of the documentation.
pub const PROGRAMS: &[Program] = &[
    unseen(
        "nginx",
        "nginx",
        "serves pages under load, reads its configuration again five times, quits",
        include_str!("../programs/nginx.sh"),
    ),
    unseen(
        "apache2",
        "Apache",
        "serves, takes a new configuration gracefully, stops",
        include_str!("../programs/apache2.sh"),
    ),
    seen(
        unseen(
            "postgres",
            "PostgreSQL 17",
            "makes a cluster, serves several clients' transactions, restarts",
            include_str!("../programs/postgres.sh"),
        ),
        &[seen_where_strict("BH-CRED-002", "its entry point becomes another user")],
    ),
    unseen(
        "redis",
        "Redis",
        "saves by a forked child, writes its configuration, loads everything again",
        include_str!("../programs/redis.sh"),
    ),
    seen(
        unseen(
            "mariadb",
            "MariaDB",
            "makes a database, fills and reads tables with asynchronous I/O",
            include_str!("../programs/mariadb.sh"),
        ),
        &[
            refused_where_strict("BH-FILE-012", "a helper of its plugins becomes SUID"),
            refused_where_strict("BH-SYS-001", "an io_uring, which it does without"),
        ],
    ),
    seen(
        unseen(
            "node",
            "Node.js",
            "serves from a cluster, replaces a worker that died",
            include_str!("../programs/node.sh"),
        ),
        &[refused_where_strict("BH-SYS-001", "an io_uring, which it does without"), JIT],
    ),
    seen(
        unseen(
            "java",
            "OpenJDK 21",
            "compiles while it runs, answers `jcmd` and SIGQUIT",
            include_str!("../programs/java.sh"),
        ),
        &[JIT],
    ),
    unseen(
        "python",
        "Python with gunicorn",
        "serves from a worker forked before, exchanges it by SIGHUP",
        include_str!("../programs/python.sh"),
    ),
    seen(
        unseen(
            "php",
            "PHP-FPM 8.4",
            "serves with the JIT on, exchanges its workers by a reload",
            include_str!("../programs/php.sh"),
        ),
        &[JIT],
    ),
    refused(
        unseen(
            "gcc",
            "gcc and make",
            "builds a C project with a configure script, runs what was built",
            include_str!("../programs/gcc.sh"),
        ),
        &[refused_where_strict(
            "BH-EXEC-003",
            "`configure`, its probes and what was built are run",
        )],
        "Build elsewhere, or have `BH-EXEC-003` at `audit`.",
    ),
    refused(
        unseen(
            "debuggers",
            "gdb and strace",
            "trace a child, change its memory, attach to a process of the same container",
            include_str!("../programs/debuggers.sh"),
        ),
        &[refused_where_strict("BH-EXEC-003", "the program that was just built is run")],
        "What was just built is not in the image: have `BH-EXEC-003` at `audit`. Tracing and attaching work.",
    ),
    refused(
        unseen(
            "balancers",
            "HAProxy and memcached",
            "serve from a chroot, hand listeners over at a reload, use an abstract socket",
            include_str!("../programs/balancers.sh"),
        ),
        &[
            seen_where_milder("BH-MNT-008", "HAProxy's `chroot`"),
            Seen { rule: "BH-CAP-001", act: "HAProxy's `chroot`", at: &[(Untrusted, Denied)] },
        ],
        "HAProxy ends when it may not change its root. Leave `chroot` out of its configuration: the container \
             is a root of its own.",
    ),
    refused(
        unseen(
            "daemons",
            "OpenSSH, cron, logrotate, dpkg",
            "a login, a rotation of logs, a job, a package with a SUID program",
            include_str!("../programs/daemons.sh"),
        ),
        &[
            refused_where_strict("BH-EXEC-004", "sshd starts a program on the connection"),
            seen_where_milder("BH-KEY-001", "the login's session keyring is linked to the user's"),
            seen_where_milder("BH-MNT-008", "sshd's unprivileged half takes an empty root"),
            refused_where_strict("BH-FILE-016", "a job for cron is written"),
            seen_where_milder("BH-FILE-012", "dpkg installs a SUID program"),
        ],
        "Enter by `kubectl exec`, and have jobs and programs in the image. Logs are rotated.",
    ),
    Program {
        name: "bubblewrap",
        title: "bubblewrap",
        does: "runs a command in a sandbox of its own",
        script: include_str!("../programs/bubblewrap.sh"),
        container: Ordinary,
        seen: &[
            Seen {
                rule: "BH-NS-001",
                act: "its own user namespace",
                at: &[(SemiTrusted, Observed), (Untrusted, Denied)],
            },
            seen_where_milder("BH-NS-002", "its own namespaces of processes, mounts and messages"),
            seen_where_milder("BH-MNT-001", "a root made of binds and empty file systems"),
            seen_where_milder("BH-MNT-006", "the old root is let go"),
            seen_where_milder("BH-MNT-007", "the new root is put in its place"),
        ],
        not_at_untrusted: Some(
            "A sandbox is made of namespaces and mounts. Relax `BH-NS-001`, `BH-NS-002`, `BH-MNT-001` \
             and `BH-MNT-005` to `BH-MNT-007` to `audit`, or do without the sandbox.",
        ),
    },
    refused(
        unseen(
            "fio",
            "fio",
            "reads and writes by native asynchronous I/O, mmap and io_uring, locks memory",
            include_str!("../programs/fio.sh"),
        ),
        &[refused_where_strict("BH-SYS-001", "an io_uring")],
        "There is no io_uring; the other engines work.",
    ),
    Program {
        name: "exporter",
        title: "Prometheus node-exporter",
        does: "is scraped for the node's figures, those of its processes among them",
        script: include_str!("../programs/exporter.sh"),
        container: HostPid,
        seen: &[Seen {
            rule: "BH-PROC-008",
            act: "reads the processes of the node, by a declared exception",
            at: &[(SemiTrusted, Observed), (Untrusted, Observed)],
        }],
        not_at_untrusted: None,
    },
];

const fn works(name: &'static str) -> UnderProfiles {
    UnderProfiles { name, not_at_untrusted: None }
}

/// Those that are run under the levels' seccomp and AppArmor profiles.
pub const UNDER_PROFILES: &[UnderProfiles] = &[
    works("nginx"),
    works("postgres"),
    works("redis"),
    works("node"),
    works("java"),
    works("python"),
    works("gcc"),
];
