//! Descriptors that arrive from elsewhere, and unix sockets that lead there.

use bulkhead_abi::{Phase, Relation, Rule, Rung, SensitiveFile};
use bulkhead_guard::{
    descriptors::{self, Told},
    relation::relation,
};

use super::programs;
use crate::{
    actor::{self, Actor},
    kernel::{self, Arguments, OpenFile, Socket, Task, TaskAddress},
    maps::sensitive,
    own, record,
    settle::{PASS, Site, TaskTarget, on_file_of, on_task},
};

programs! {
    lsm_file_receive "lsm/file_receive", fentry_file_receive "fentry/security_file_receive" => file_receive;
    lsm_unix_stream_connect "lsm/unix_stream_connect", fentry_unix_stream_connect "fentry/security_unix_stream_connect" => unix_stream_connect;
    lsm_unix_may_send "lsm/unix_may_send", fentry_unix_may_send "fentry/security_unix_may_send" => unix_may_send;
}

/// file_receive(file): SCM_RIGHTS, pidfd_getfd(2), a seccomp supervisor's ADDFD.
#[inline(always)]
fn file_receive(arguments: Arguments, rung: Rung) -> i32 {
    let file = OpenFile(arguments.object(0));
    let Some(actor) = Actor::current() else { return PASS };
    let told = descriptors::told(file.inode().magic());
    let owner = match told {
        Told::ByNamespace => {
            let number = file.inode().address().number();
            actor::owner_of_namespace(number as u32)
        }
        Told::BySocket => {
            let socket = Socket::of_file(file);
            if !descriptors::has_maker(socket.family()) {
                return PASS;
            }
            Some(actor::identity_at(socket.cgroup()))
        }
        Told::ByMount => {
            let number = file.mount_namespace();
            if number == Task::current().mount_namespace() {
                return PASS;
            }
            actor::owner_of_namespace(number)
        }
    };
    let Some(owner) = owner else { return PASS };
    let relation = relation(&actor.identity, &owner);
    if matches!(relation, Relation::Own) {
        return PASS;
    }
    let rule = descriptors::of_received(told);
    let numbers = [u64::from(file.flags()), u64::from(file.mode()), 0];
    let (site, dentry) = (Site { rung, phase: Phase::Done }, file.dentry());
    let which = record::file_at(dentry);
    on_file_of(&actor, rule, relation, numbers, site, which, |target| {
        record::fill_file(target, dentry);
        // SAFETY: `on_file_of` gives a pointer into the record that it has reserved.
        unsafe { record::fill_owner(target, owner) };
    })
}

/// unix_stream_connect(sock, other, newsk): other is who listens.
#[inline(always)]
fn unix_stream_connect(arguments: Arguments, rung: Rung) -> i32 {
    reach(Socket(kernel::address_of(arguments.object(1))), rung)
}

/// unix_may_send(sock, other): datagrams, connected or not.
#[inline(always)]
fn unix_may_send(arguments: Arguments, rung: Rung) -> i32 {
    reach(Socket::behind(kernel::address_of(arguments.object(1))), rung)
}

#[inline(always)]
fn reach(peer: Socket, rung: Rung) -> i32 {
    let cgroup = peer.cgroup();
    if cgroup == TaskAddress(kernel::address_of(Task::current().0)).cgroup() {
        return PASS;
    }
    let Some(actor) = Actor::current() else { return PASS };
    let identity = actor::identity_at(cgroup);
    let relation = relation(&actor.identity, &identity);
    if matches!(relation, Relation::Own) {
        return PASS;
    }
    let (rule, relation) = match relation {
        // In a cluster the agent is in a container itself.
        _ if is_own(peer) => (Rule::OwnSocket, Relation::None),
        Relation::Host if is_runtime(peer) => (Rule::RuntimeSocket, Relation::None),
        relation => (Rule::UnixConnect, relation),
    };
    let id = kernel::Cgroup::id_copied(cgroup);
    let target = TaskTarget { task: peer.listener(), cgroup: id, identity, setup: false };
    on_task(&actor, rule, relation, &target, [0; 3], Site { rung, phase: Phase::Attempted })
}

/// Whether a socket of the node is the agent's: bound below a directory of its own.
#[inline(always)]
fn is_own(peer: Socket) -> bool {
    let dentry = peer.bound_to();
    dentry != 0 && own::is_file(dentry)
}

/// Whether a socket of the node is a container runtime's or the kubelet's: by the name it is bound
/// to, which only the node gives, or by the shims' abstract name.
#[inline(always)]
fn is_runtime(peer: Socket) -> bool {
    let dentry = peer.bound_to();
    if dentry == 0 {
        return descriptors::is_shim(&peer.unix_name());
    }
    let (_length, name) = kernel::dentry_name(dentry);
    let mut key =
        SensitiveFile { magic: descriptors::RUNTIME_SOCKETS, name: kernel::read_string(name) };
    if sensitive(&key).is_some() {
        return true;
    }
    // A shim's socket is named by a hash; its directory is /run/containerd/s.
    let directory = kernel::dentry_parent(dentry);
    let (length, name) = kernel::dentry_name(directory);
    if length != 1 || kernel::read::<u8>(name) != Some(b's') {
        return false;
    }
    let (_length, above) = kernel::dentry_name(kernel::dentry_parent(directory));
    key.name = kernel::read_string(above);
    sensitive(&key).is_some()
}
