//! Acts for which the kernel asks for a capability first, each chosen so that it changes nothing
//! (or a prop of its own) also with the capability.

use bulkhead_abi::Rule;
use nix::unistd::{acct, sethostname};

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{Behaviour, CAP_SYS_ADMIN, CAP_SYS_BOOT, CAP_SYS_MODULE, CAP_SYS_PACCT},
    prop::Prop,
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new(
        "cap-sys-admin",
        "B11",
        Rule::CapabilityCeiling,
        "use CAP_SYS_ADMIN: name the host (in a UTS namespace of one's own)",
        |actor| actor.attempt(|| sethostname("bulkhead-prove")),
    )
    .props(&[Prop::OwnHostname])
    .needs(&[CAP_SYS_ADMIN])
    .quick(),
    Behaviour::new(
        "cap-sys-module",
        "B18",
        Rule::CapabilityCeiling,
        "use CAP_SYS_MODULE: load a module (from no file)",
        |actor| actor.attempt(sys::load_no_module),
    )
    .needs(&[CAP_SYS_MODULE]),
    Behaviour::new(
        "cap-sys-boot",
        "B45",
        Rule::CapabilityCeiling,
        "use CAP_SYS_BOOT: reboot (without the magic numbers)",
        |actor| actor.attempt(sys::reboot_without_magic),
    )
    .needs(&[CAP_SYS_BOOT]),
    Behaviour::new(
        "cap-sys-pacct",
        "B45",
        Rule::CapabilityCeiling,
        "use CAP_SYS_PACCT: account processes (to a file that does not exist)",
        account,
    )
    .needs(&[CAP_SYS_PACCT]),
];

fn account(actor: &Actor) -> Report {
    let file = actor.at("no-such-file");
    actor.attempt(|| acct::enable(&file))
}
