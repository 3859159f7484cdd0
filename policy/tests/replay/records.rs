//! Records as the kernel side writes them, and the names of a small node.

use std::collections::BTreeMap;

use bulkhead_abi as abi;
use bulkhead_policy::event::{Container, Names, Owner, Pod, Text};
use zerocopy::{FromZeros, IntoBytes};

/// A container of tenant `acme` and its pod.
pub(crate) const ACME: abi::Identity =
    abi::Identity { container: 4_101, pod: 4_100, tenant: 1, slot: 2, flags: 0 };
/// A container of tenant `globex` and its pod.
pub(crate) const GLOBEX: abi::Identity =
    abi::Identity { container: 4_201, pod: 4_200, tenant: 2, slot: 2, flags: 0 };

pub(crate) fn header(kind: abi::Kind, rule: abi::Rule) -> abi::Header {
    abi::Header {
        time: 3_600_000_000_123,
        arguments: [0; 3],
        target: [0; 3],
        syscall: -1,
        rule: rule as u16,
        kind: kind as u8,
        verdict: abi::Verdict::Deny as u8,
        relation: abi::Relation::None as u8,
        effect: abi::Effect::Denied as u8,
        phase: abi::Phase::Attempted as u8,
        rung: abi::Rung::Lsm as u8,
        flags: 0,
        padding: [0; 3],
    }
}

/// A shell in a container.
pub(crate) fn shell(identity: abi::Identity, pid: u32) -> abi::Party {
    let mut party = abi::Party::new_zeroed();
    party.path_start = end(&mut party.path, b"/bin/busybox");
    start(&mut party.comm, b"sh");
    start(&mut party.parent_comm, b"containerd-shim");
    party.identity = identity;
    party.cgroup = identity.container;
    party.start_time = 3_500_000_000_000;
    party.capabilities = 1 << 13 | 1 << 21;
    party.exe_inode = 131_842;
    party.exe_device = 259 << 20 | 3;
    party.pid = pid;
    party.tid = pid;
    party.parent_pid = 812;
    party.mount_namespace = 4_026_532_581;
    party.user_namespace = 4_026_531_837;
    party.flags = abi::party_flag::WORKLOAD;
    party
}

/// A process of the node.
pub(crate) fn kubelet() -> abi::Party {
    let mut party = abi::Party::new_zeroed();
    party.path_start = end(&mut party.path, b"/usr/bin/kubelet");
    start(&mut party.comm, b"kubelet");
    party.cgroup = 77;
    party.pid = 640;
    party.tid = 651;
    party
}

/// A file of procfs.
pub(crate) fn core_pattern() -> abi::File {
    let mut file = abi::File::new_zeroed();
    file.path_start = end(&mut file.path, b"/sys/kernel/core_pattern");
    file.inode = 9_812;
    file.magic = 0x9fa0;
    file.device = 23;
    file.mode = 0o100_644;
    file
}

pub(crate) fn lone(header: abi::Header, actor: abi::Party) -> Vec<u8> {
    abi::Lone { header, actor }.as_bytes().to_vec()
}

pub(crate) fn on_task(header: abi::Header, target: abi::Party, actor: abi::Party) -> Vec<u8> {
    abi::OnTask { header, target, actor }.as_bytes().to_vec()
}

pub(crate) fn on_file(header: abi::Header, target: abi::File, actor: abi::Party) -> Vec<u8> {
    abi::OnFile { header, target, actor }.as_bytes().to_vec()
}

/// One well-formed record of each kind that carries an act.
pub(crate) fn one_of_each() -> Vec<Vec<u8>> {
    let actor = shell(ACME, 2_001);
    vec![
        lone(header(abi::Kind::Lone, abi::Rule::UserNamespace), actor),
        on_task(header(abi::Kind::OnTask, abi::Rule::Signal), shell(GLOBEX, 2_002), actor),
        on_file(header(abi::Kind::OnFile, abi::Rule::CorePattern), core_pattern(), actor),
    ]
}

/// Puts `text` at the end of a path buffer, as the kernel side does, and says where it begins.
pub(crate) fn end(buffer: &mut [u8; abi::PATH_LEN], text: &[u8]) -> u16 {
    let at = buffer.len() - text.len();
    buffer[at..].copy_from_slice(text);
    u16::try_from(at).unwrap()
}

/// Puts `text` at the start of a zero-filled buffer.
pub(crate) fn start(buffer: &mut [u8], text: &[u8]) {
    buffer[..text.len()].copy_from_slice(text);
}

/// What the agent of that node knows.
#[derive(Default)]
pub(crate) struct Node {
    tenants: BTreeMap<u32, String>,
    pods: BTreeMap<u64, Pod>,
    containers: BTreeMap<u64, Container>,
}

impl Node {
    pub(crate) fn with_two_tenants() -> Self {
        let mut node = Self::default();
        node.add(1, "acme", ACME, "shop", "web-0", "a1");
        node.add(2, "globex", GLOBEX, "bank", "ledger-0", "b2");
        node
    }

    fn add(
        &mut self,
        number: u32,
        tenant: &str,
        identity: abi::Identity,
        namespace: &str,
        pod: &str,
        id: &str,
    ) {
        let text = |text: &str| Some(Text::new(text));
        self.tenants.insert(number, tenant.to_owned());
        self.pods.insert(
            identity.pod,
            Pod { namespace: text(namespace), name: text(pod), uid: text(&format!("uid-{pod}")) },
        );
        self.containers.insert(
            identity.container,
            Container {
                id: text(&id.repeat(32)),
                name: text("main"),
                runtime: text("containerd"),
                cgroup: text(&format!("/kubepods.slice/{pod}/cri-containerd-{id}.scope")),
            },
        );
    }
}

impl Names for Node {
    fn tenant(&self, number: u32) -> Option<&str> {
        self.tenants.get(&number).map(String::as_str)
    }

    fn pod(&self, cgroup: u64) -> Option<&Pod> {
        self.pods.get(&cgroup)
    }

    fn container(&self, cgroup: u64) -> Option<&Container> {
        self.containers.get(&cgroup)
    }

    fn owner(&self, cgroup: u64) -> Option<Owner<'_>> {
        let identity = [ACME, GLOBEX].into_iter().find(|it| it.container == cgroup)?;
        Some(Owner {
            tenant: self.tenant(identity.tenant)?,
            pod: self.pod(identity.pod),
            container: self.container(cgroup)?,
        })
    }
}
