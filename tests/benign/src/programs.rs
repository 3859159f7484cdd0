//! The programs.

use Container::{HostPid, Ordinary};

use crate::{
    Container,
    Effect::{Denied, Observed},
    Level::{SemiTrusted, Untrusted},
    Program, Seen, UnderSeccomp,
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
    unseen(
        "postgres",
        "PostgreSQL 17",
        "makes a cluster, serves several clients' transactions, restarts",
        include_str!("../programs/postgres.sh"),
    ),
    unseen(
        "redis",
        "Redis",
        "saves by a forked child, writes its configuration, loads everything again",
        include_str!("../programs/redis.sh"),
    ),
    unseen(
        "mariadb",
        "MariaDB",
        "makes a database, fills and reads tables with asynchronous I/O",
        include_str!("../programs/mariadb.sh"),
    ),
    unseen(
        "node",
        "Node.js",
        "serves from a cluster of workers, replaces one that died",
        include_str!("../programs/node.sh"),
    ),
    unseen(
        "java",
        "OpenJDK 21",
        "compiles while it runs, answers `jcmd`, `jstack` and SIGQUIT",
        include_str!("../programs/java.sh"),
    ),
    unseen(
        "python",
        "Python with gunicorn",
        "serves from workers forked before, exchanges them by SIGHUP",
        include_str!("../programs/python.sh"),
    ),
    unseen(
        "php",
        "PHP-FPM 8.4",
        "serves with the JIT on, exchanges its workers by a reload",
        include_str!("../programs/php.sh"),
    ),
    unseen(
        "gcc",
        "gcc and make",
        "builds a C project with a configure script, runs what was built",
        include_str!("../programs/gcc.sh"),
    ),
    unseen(
        "debuggers",
        "gdb and strace",
        "trace a child, change its memory, attach to a process of the same container",
        include_str!("../programs/debuggers.sh"),
    ),
    unseen(
        "balancers",
        "HAProxy and memcached",
        "serve from a chroot, hand listeners over at a reload, use an abstract socket",
        include_str!("../programs/balancers.sh"),
    ),
    unseen(
        "daemons",
        "OpenSSH, cron, logrotate, dpkg",
        "a login, a job, a rotation of logs, a package with a SUID program",
        include_str!("../programs/daemons.sh"),
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
    Program {
        name: "fio",
        title: "fio",
        does: "reads and writes by io_uring, native asynchronous I/O and mmap, locks memory",
        script: include_str!("../programs/fio.sh"),
        container: Ordinary,
        seen: &[],
        not_at_untrusted: None,
    },
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

const fn works(name: &'static str) -> UnderSeccomp {
    UnderSeccomp { name, not_at_untrusted: None }
}

/// Those that are run under the levels' seccomp profiles.
pub const UNDER_SECCOMP: &[UnderSeccomp] = &[
    works("nginx"),
    works("postgres"),
    works("redis"),
    works("node"),
    works("java"),
    works("python"),
    works("gcc"),
];
