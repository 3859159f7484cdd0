//! Sockets by family.

use bulkhead_abi::{Phase, Rule, Rung};
use bulkhead_guard::{network, sockets};

use super::programs;
use crate::{
    actor::Actor,
    kernel::{self, Arguments},
    settle::{PASS, Site, lone},
};

programs! {
    lsm_socket_connect "lsm/socket_connect", fentry_socket_connect "fentry/security_socket_connect" => socket_connect;
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

/// uapi/linux/in6.h: `struct sockaddr_in6`; `struct sockaddr_in` begins as it does.
#[derive(Clone, Copy)]
#[repr(C)]
struct Address {
    family: u16,
    port: [u8; 2],
    v4: [u8; 4],
    v6: [u8; 16],
}

/// socket_connect(sock, address, addrlen): the kernel's copy of the address.
#[inline(always)]
fn socket_connect(arguments: Arguments, rung: Rung) -> i32 {
    let Some(address) = kernel::read::<Address>(arguments.number(1)) else { return PASS };
    let port = u16::from_be_bytes(address.port);
    let Some((rule, number)) = destination(&address, port) else { return PASS };
    let Some(actor) = Actor::current() else { return PASS };
    let site = Site { rung, phase: Phase::Attempted };
    lone(&actor, rule, [number, u64::from(port), 0], site)
}

/// The rule for an address, and the number that stands for it in the record.
#[inline(always)]
fn destination(address: &Address, port: u16) -> Option<(Rule, u64)> {
    // linux/socket.h: AF_INET, AF_INET6
    match address.family {
        2 => {
            let v4 = u32::from_be_bytes(address.v4);
            Some((network::of_v4(v4, port)?, u64::from(v4)))
        }
        10 => {
            let bits = u128::from_be_bytes(address.v6);
            let (high, low) = ((bits >> 64) as u64, bits as u64);
            Some((
                network::of_v6(high, low, port)?,
                if high == 0 { low & 0xffff_ffff } else { high },
            ))
        }
        _ => None,
    }
}
