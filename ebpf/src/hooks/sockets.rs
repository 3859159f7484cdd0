//! Sockets by family.

use bulkhead_abi::{Phase, Rung};
use bulkhead_guard::sockets;

use super::programs;
use crate::{
    actor::Actor,
    kernel::Arguments,
    settle::{PASS, Site, lone},
};

programs! {
    lsm_socket_create "lsm/socket_create", fentry_socket_create "fentry/security_socket_create" => socket_create;
}

/// socket_create(family, type, protocol, kern). `kern`: the kernel makes it for itself.
#[inline(always)]
fn socket_create(arguments: Arguments, rung: Rung) -> i32 {
    let [family, kind, protocol] = [0, 1, 2].map(|index| arguments.number(index) as i32);
    let Some(rule) = sockets::of_socket(family, kind, protocol) else { return PASS };
    if arguments.number(3) as i32 != 0 {
        return PASS;
    }
    let Some(actor) = Actor::current() else { return PASS };
    let numbers = [family as u64, kind as u64, protocol as u64];
    lone(&actor, rule, numbers, Site { rung, phase: Phase::Attempted })
}
