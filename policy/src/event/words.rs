//! The kernel's numbers and the words of its headers.
//!
//! Data, one table an enumeration. Numbers that differ between architectures are not here, but for
//! the signals: these are the numbers of x86 and Arm.

/// A table: the number (or bit) and its word.
pub(super) type Words = &'static [(u64, &'static str)];

/// MS_* (uapi/linux/mount.h).
pub(super) const MOUNT: Words = &[
    (1, "rdonly"),
    (2, "nosuid"),
    (4, "nodev"),
    (8, "noexec"),
    (16, "synchronous"),
    (32, "remount"),
    (64, "mandlock"),
    (128, "dirsync"),
    (256, "nosymfollow"),
    (1024, "noatime"),
    (2048, "nodiratime"),
    (4096, "bind"),
    (8192, "move"),
    (16384, "rec"),
    (32768, "silent"),
    (1 << 16, "posixacl"),
    (1 << 17, "unbindable"),
    (1 << 18, "private"),
    (1 << 19, "slave"),
    (1 << 20, "shared"),
    (1 << 21, "relatime"),
    (1 << 24, "strictatime"),
    (1 << 25, "lazytime"),
];

/// MNT_* of umount2(2) (linux/fs.h).
pub(super) const UNMOUNT: Words = &[(1, "force"), (2, "detach"), (4, "expire"), (8, "nofollow")];

/// CLONE_NEW* (uapi/linux/sched.h). The other clone flags are told as a number.
pub(super) const CLONE: Words = &[
    (0x0000_0080, "newtime"),
    (0x0002_0000, "newns"),
    (0x0200_0000, "newcgroup"),
    (0x0400_0000, "newuts"),
    (0x0800_0000, "newipc"),
    (0x1000_0000, "newuser"),
    (0x2000_0000, "newpid"),
    (0x4000_0000, "newnet"),
];

/// PTRACE_MODE_* (linux/ptrace.h).
pub(super) const PTRACE_MODE: Words =
    &[(1, "read"), (2, "attach"), (4, "noaudit"), (8, "fscreds"), (16, "realcreds")];

/// FMODE_* (linux/fs.h) that tell what may be done with an open file.
pub(super) const FILE_MODE: Words = &[(1, "read"), (2, "write"), (0x20, "exec")];

/// O_* (asm-generic/fcntl.h) that are the same on every architecture, without the access mode.
pub(super) const OPEN: Words = &[
    (0o100, "creat"),
    (0o200, "excl"),
    (0o400, "noctty"),
    (0o1_000, "trunc"),
    (0o2_000, "append"),
    (0o4_000, "nonblock"),
    (0o10_000, "dsync"),
    (0o1_000_000, "noatime"),
    (0o2_000_000, "cloexec"),
    (0o10_000_000, "path"),
];

/// asm/signal.h of x86 and Arm.
pub(super) const SIGNAL: Words = &[
    (0, "0"),
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (17, "SIGCHLD"),
    (18, "SIGCONT"),
    (19, "SIGSTOP"),
    (20, "SIGTSTP"),
    (21, "SIGTTIN"),
    (22, "SIGTTOU"),
    (23, "SIGURG"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (26, "SIGVTALRM"),
    (27, "SIGPROF"),
    (28, "SIGWINCH"),
    (29, "SIGIO"),
    (30, "SIGPWR"),
    (31, "SIGSYS"),
];

/// RLIMIT_* (asm-generic/resource.h).
pub(super) const RESOURCE: Words = &[
    (0, "cpu"),
    (1, "fsize"),
    (2, "data"),
    (3, "stack"),
    (4, "core"),
    (5, "rss"),
    (6, "nproc"),
    (7, "nofile"),
    (8, "memlock"),
    (9, "as"),
    (10, "locks"),
    (11, "sigpending"),
    (12, "msgqueue"),
    (13, "nice"),
    (14, "rtprio"),
    (15, "rttime"),
];

/// enum bpf_cmd (uapi/linux/bpf.h).
pub(super) const BPF_COMMAND: Words = &[
    (0, "map_create"),
    (1, "map_lookup_elem"),
    (2, "map_update_elem"),
    (3, "map_delete_elem"),
    (4, "map_get_next_key"),
    (5, "prog_load"),
    (6, "obj_pin"),
    (7, "obj_get"),
    (8, "prog_attach"),
    (9, "prog_detach"),
    (10, "prog_test_run"),
    (11, "prog_get_next_id"),
    (12, "map_get_next_id"),
    (13, "prog_get_fd_by_id"),
    (14, "map_get_fd_by_id"),
    (15, "obj_get_info_by_fd"),
    (16, "prog_query"),
    (17, "raw_tracepoint_open"),
    (18, "btf_load"),
    (19, "btf_get_fd_by_id"),
    (20, "task_fd_query"),
    (21, "map_lookup_and_delete_elem"),
    (22, "map_freeze"),
    (23, "btf_get_next_id"),
    (24, "map_lookup_batch"),
    (25, "map_lookup_and_delete_batch"),
    (26, "map_update_batch"),
    (27, "map_delete_batch"),
    (28, "link_create"),
    (29, "link_update"),
    (30, "link_get_fd_by_id"),
    (31, "link_get_next_id"),
    (32, "enable_stats"),
    (33, "iter_create"),
    (34, "link_detach"),
    (35, "prog_bind_map"),
    (36, "token_create"),
    (37, "prog_stream_read_by_fd"),
];

/// enum perf_type_id (uapi/linux/perf_event.h).
pub(super) const PERF_TYPE: Words = &[
    (0, "hardware"),
    (1, "software"),
    (2, "tracepoint"),
    (3, "hw_cache"),
    (4, "raw"),
    (5, "breakpoint"),
];

/// AF_* (linux/socket.h).
pub(super) const FAMILY: Words = &[
    (1, "unix"),
    (2, "inet"),
    (3, "ax25"),
    (4, "ipx"),
    (5, "appletalk"),
    (6, "netrom"),
    (8, "atmpvc"),
    (9, "x25"),
    (10, "inet6"),
    (11, "rose"),
    (15, "key"),
    (16, "netlink"),
    (17, "packet"),
    (19, "econet"),
    (20, "atmsvc"),
    (21, "rds"),
    (23, "irda"),
    (24, "pppox"),
    (26, "llc"),
    (27, "ib"),
    (28, "mpls"),
    (29, "can"),
    (30, "tipc"),
    (31, "bluetooth"),
    (32, "iucv"),
    (33, "rxrpc"),
    (34, "isdn"),
    (35, "phonet"),
    (36, "ieee802154"),
    (37, "caif"),
    (38, "alg"),
    (39, "nfc"),
    (40, "vsock"),
    (41, "kcm"),
    (42, "qipcrtr"),
    (43, "smc"),
    (44, "xdp"),
    (45, "mctp"),
];

/// SOCK_* (linux/net.h), without the creation flags.
pub(super) const SOCKET_TYPE: Words = &[
    (1, "stream"),
    (2, "dgram"),
    (3, "raw"),
    (4, "rdm"),
    (5, "seqpacket"),
    (6, "dccp"),
    (10, "packet"),
];

/// *_MAGIC (uapi/linux/magic.h and the file systems' own headers).
pub(super) const FILE_SYSTEM: Words = &[
    (0x0000_ef53, "ext4"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x0000_9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0xcafe_4a11, "bpf"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x5a3c_69f0, "apparmorfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x0000_1cd1, "devpts"),
    (0x1980_0202, "mqueue"),
    (0x9584_58f6, "hugetlbfs"),
    (0x8584_58f6, "ramfs"),
    (0x6e73_6673, "nsfs"),
    (0x5049_4446, "pidfs"),
    (0x0904_1934, "anon_inodefs"),
    (0x5346_4846, "sockfs"),
    (0x5049_5045, "pipefs"),
    (0x6265_6570, "configfs"),
    (0x6573_5546, "fuse"),
    (0x0000_6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x00c3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x7371_7368, "squashfs"),
    (0xe0f5_e1e2, "erofs"),
    (0x0000_9660, "isofs"),
    (0x0000_4d44, "msdos"),
    (0x2011_bab0, "exfat"),
    (0xf2f5_2010, "f2fs"),
    (0x2fc1_2fc1, "zfs"),
    (0xde5e_81e4, "efivarfs"),
    (0x6264_6576, "bdev"),
];

/// The word for a number, if it has one.
pub(super) fn find(words: Words, number: u64) -> Option<&'static str> {
    words.iter().find(|(named, _)| *named == number).map(|(_, word)| *word)
}
