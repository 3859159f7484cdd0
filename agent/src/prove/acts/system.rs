//! What a workload asks of the kernel as a whole. Every request is one that does nothing where it is
//! granted: no module, no kernel, no time is given.

use bulkhead_abi::Rule;
use nix::errno::Errno;

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{
        Behaviour, CAP_SETPCAP, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_MODULE,
        CAP_SYS_TIME, CAP_SYSLOG,
    },
    prop::Prop,
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new("io-uring", "B23", Rule::IoUring, "make an io_uring", |actor| {
        actor.attempt(sys::io_uring)
    })
    .quick(),
    Behaviour::new("userfaultfd", "B22", Rule::Userfaultfd, "make a userfaultfd", |actor| {
        actor.attempt(sys::userfaultfd)
    }),
    Behaviour::new(
        "init-module",
        "B18",
        Rule::ModuleLoad,
        "load a module from memory (zeroes, which are none)",
        |actor| actor.attempt(sys::load_zeroes_as_module),
    )
    .needs(&[CAP_SYS_MODULE])
    .quick(),
    Behaviour::new(
        "module-request",
        "B19",
        Rule::ModuleRequest,
        "a netlink socket of a protocol that no module has",
        |actor| actor.attempt(|| sys::socket(16, 3, 13)),
    )
    .silent(),
    Behaviour::new(
        "kexec-load",
        "B45",
        Rule::KernelImage,
        "load a kernel (with more segments than there may be)",
        |actor| actor.attempt(sys::load_impossible_kernel),
    )
    .needs(&[CAP_SYS_BOOT]),
    Behaviour::new("settime", "B45", Rule::ClockSet, "set no clock to no time", |actor| {
        actor.attempt(sys::set_no_time)
    })
    .needs(&[CAP_SYS_TIME]),
    Behaviour::new("syslog", "B44", Rule::KernelDiscovery, "ask how long the log is", |actor| {
        actor.attempt(sys::log_length)
    })
    .needs(&[CAP_SYSLOG]),
    Behaviour::new("fanotify-mount", "B46", Rule::FileWatch, "watch a whole mount", |actor| {
        let path = actor.at("");
        actor.attempt(|| sys::watch_mount(&path))
    })
    .needs(&[CAP_SYS_ADMIN]),
    Behaviour::new(
        "setuid-root",
        "B64",
        Rule::CredentialRaise,
        "become root again after giving all of it up but SETUID",
        become_root,
    )
    .needs(&[CAP_SETPCAP, CAP_SETUID])
    .quick(),
    Behaviour::new(
        "capset-raise",
        "B65",
        Rule::CapabilityRaise,
        "make a capability effective that was dropped",
        raise,
    ),
    Behaviour::new(
        "fsconfig-legacy",
        "B07",
        Rule::MountParameter,
        "set a parameter of an old-style file system in a user namespace",
        set_old_style_parameter,
    )
    .props(&[Prop::OwnUsers]),
];

fn become_root(actor: &Actor) -> Report {
    match sys::give_up_root() {
        Ok(()) => actor.attempt(|| sys::set_user_ids(0)),
        Err(errno) => actor.unprepared("giving up root", errno),
    }
}

/// An old-style file system takes any name until it is mounted, a new-style one knows its own.
fn set_old_style_parameter(actor: &Actor) -> Report {
    let context = match sys::file_system_context(c"devpts") {
        Ok(context) => context,
        Err(errno) => return actor.unprepared("fsopen", errno),
    };
    let mut new_style = false;
    let report = actor.attempt(|| {
        let set = sys::set_parameter(&context, c"bulkhead");
        new_style = set == Err(Errno::EINVAL);
        set
    });
    if new_style {
        return actor.unavailable("devpts is no old-style file system in this kernel");
    }
    report
}

fn raise(actor: &Actor) -> Report {
    match sys::drop_effective() {
        Ok(kept) => actor.attempt(|| sys::set_effective(&kept)),
        Err(errno) => actor.unprepared("dropping capabilities", errno),
    }
}
