//! Kernel objects that anybody can name: System V IPC objects, keys and keyrings. The kernel keeps no
//! cgroup with them, so their making is remembered here.

use bulkhead_abi::{Identity, Phase, Rule, Rung};
use bulkhead_guard::{objects, relation::relation};

use super::programs;
use crate::{
    actor::{self, Actor},
    kernel::Arguments,
    maps::OBJECTS,
    settle::{PASS, Site, TaskTarget, on_task},
};

programs! {
    lsm_shm_alloc_security "lsm/shm_alloc_security", fentry_shm_alloc_security "fentry/security_shm_alloc" => made_ipc;
    lsm_sem_alloc_security "lsm/sem_alloc_security", fentry_sem_alloc_security "fentry/security_sem_alloc" => made_ipc;
    lsm_msg_queue_alloc_security "lsm/msg_queue_alloc_security", fentry_msg_queue_alloc_security "fentry/security_msg_queue_alloc" => made_ipc;
    lsm_ipc_permission "lsm/ipc_permission", fentry_ipc_permission "fentry/security_ipc_permission" => ipc_permission;
    lsm_key_alloc "lsm/key_alloc", fentry_key_alloc "fentry/security_key_alloc" => key_alloc;
    lsm_key_permission "lsm/key_permission", fentry_key_permission "fentry/security_key_permission" => key_permission;
}

/// shm_alloc_security(perm) and its like.
#[inline(always)]
fn made_ipc(arguments: Arguments, _rung: Rung) -> i32 {
    made(arguments.number(0))
}

/// key_alloc(key, cred, flags).
#[inline(always)]
fn key_alloc(arguments: Arguments, _rung: Rung) -> i32 {
    made(arguments.number(0))
}

/// Remembers whose a new object is. Its address may have been an older one's.
#[inline(always)]
fn made(address: u64) -> i32 {
    match Actor::current() {
        Some(actor) => {
            // The map drops what was used least; a forgotten object counts as the node's.
            let _refused = OBJECTS.insert(address, actor.identity, 0);
        }
        None => {
            // Absent is as good as removed.
            let _absent = OBJECTS.remove(address);
        }
    }
    PASS
}

/// ipc_permission(ipcp, flag): every use of an object that is there already.
#[inline(always)]
fn ipc_permission(arguments: Arguments, rung: Rung) -> i32 {
    let mode = arguments.number(1) & 0xffff;
    used(arguments.number(0), Rule::IpcObject, mode, rung)
}

/// key_permission(key_ref, cred, need_perm). The reference's lowest bit says that the key is
/// possessed.
#[inline(always)]
fn key_permission(arguments: Arguments, rung: Rung) -> i32 {
    let need = arguments.number(2) & 0xffff_ffff;
    used(arguments.untyped(0) & !1, Rule::KernelKey, need, rung)
}

#[inline(always)]
fn used(address: u64, rule: Rule, how: u64, rung: Rung) -> i32 {
    let Some(actor) = Actor::current() else { return PASS };
    // SAFETY: programs run inside an RCU read section; a value that is replaced meanwhile is read
    // mixed at worst, and then belongs to nobody.
    let identity = match unsafe { OBJECTS.get(address) } {
        Some(maker) => actor::present(maker),
        None => Identity::HOST,
    };
    let relation = relation(&actor.identity, &identity);
    if !objects::counts(rule, relation, how) {
        return PASS;
    }
    let cgroup = identity.container;
    let target = TaskTarget { task: 0, cgroup, identity, setup: false };
    on_task(&actor, rule, relation, &target, [how, 0, 0], Site { rung, phase: Phase::Done })
}
