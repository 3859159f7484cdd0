//! What each guard rule means to a person: its stable id, title, severity, ATT&CK technique and
//! the breakout behaviours that it covers.

use std::fmt;

use bulkhead_abi::{Relation, Rule};

use Severity::{Critical, High, Low, Medium};
use Target::{Nothing, Process};

/// How bad the worst behaviour is that the rule covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nobody needs to look. No rule is so; an act can be (`everyday`).
    Info,
    /// Tells an attacker something.
    Low,
    /// A step on the way, or harm to one neighbour's performance.
    Medium,
    /// Opens a way out, or harms a neighbour.
    High,
    /// Out of the container, or into another one.
    Critical,
}

impl Severity {
    /// The word used in metrics, the log and alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the behaviour has somebody at its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It acts on the kernel or the node itself; the relation is `none`.
    Nothing,
    /// It acts on a process, or on something else that has an owner.
    Process,
}

impl Target {
    /// The relations for which a policy may give this rule a verdict.
    ///
    /// `self` is never among them: a container may do to itself what it likes.
    pub const fn relations(self) -> &'static [Relation] {
        match self {
            Self::Nothing => &[Relation::None],
            Self::Process => {
                &[Relation::Pod, Relation::Tenant, Relation::CrossTenant, Relation::Host]
            }
        }
    }
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct RuleInfo {
    /// The number that the kernel side knows.
    pub rule: Rule,
    /// The stable id, as in `BH-MNT-001`.
    pub id: &'static str,
    /// What happens, in a few words.
    pub title: &'static str,
    /// The worst of the behaviours.
    pub severity: Severity,
    /// The MITRE ATT&CK technique, as in `T1611`.
    pub technique: &'static str,
    /// The breakout behaviours covered, as in `B01`.
    pub rows: &'static [&'static str],
    /// Whether relations matter.
    pub target: Target,
}

macro_rules! catalogue {
    ($($rule:ident $id:literal $title:literal $severity:ident $technique:literal $target:ident $rows:expr;)+) => {
        /// Every rule, in numerical order.
        pub const ALL: &[RuleInfo] = &[$(*info(Rule::$rule),)+];

        /// What is known about `rule`.
        pub const fn info(rule: Rule) -> &'static RuleInfo {
            // A match, so that a rule without a row does not compile.
            match rule {
                $(Rule::$rule => &RuleInfo {
                    rule: Rule::$rule,
                    id: $id,
                    title: $title,
                    severity: $severity,
                    technique: $technique,
                    rows: &$rows,
                    target: $target,
                },)+
            }
        }
    };
}

catalogue! {
    Mount "BH-MNT-001" "file system mounted" High "T1611" Nothing ["B01", "B05"];
    MountProc "BH-MNT-002" "fresh procfs or sysfs mounted" High "T1611" Nothing ["B02"];
    MountCgroup "BH-MNT-003" "cgroup hierarchy mounted" Critical "T1611" Nothing ["B03"];
    MountBlock "BH-MNT-004" "block device mounted" Critical "T1611" Nothing ["B04"];
    MoveMount "BH-MNT-005" "mount moved or attached" High "T1611" Nothing ["B01"];
    Unmount "BH-MNT-006" "mount removed" High "T1611" Nothing ["B02"];
    PivotRoot "BH-MNT-007" "root mount exchanged" Medium "T1611" Nothing ["B09"];
    Chroot "BH-MNT-008" "root directory changed" Medium "T1611" Nothing ["B09"];
    MountParameter "BH-MNT-009" "old-style mount parameter set in a user namespace" Critical "T1068" Nothing ["B07"];
    UserNamespace "BH-NS-001" "user namespace made" High "T1611" Nothing ["B10"];
    CloneNamespaces "BH-NS-002" "process made in new namespaces" High "T1611" Nothing ["B12"];
    JoinNamespaces "BH-NS-003" "namespaces of another process entered" Critical "T1611" Process ["B13", "B14"];
    NamespaceDescriptor "BH-NS-004" "namespace of another container opened or received" Critical "T1611" Process ["B13", "B57"];
    ProcessAttach "BH-PROC-001" "other process traced, its memory or descriptors taken" Critical "T1055.008" Process ["B47", "B48", "B49"];
    ProcessMemory "BH-PROC-002" "memory file of another process opened" Critical "T1055.009" Process ["B50"];
    ProcessRead "BH-PROC-003" "private /proc entries of another process read" Critical "T1003.007" Process ["B51", "B52", "B53", "B54"];
    DescriptorReceive "BH-PROC-007" "descriptor of another workload received" High "T1611" Process ["B49", "B57"];
    ProcessList "BH-PROC-008" "public /proc entries of another workload's process opened" Medium "T1057" Process ["B54"];
    UnixConnect "BH-NET-005" "unix socket of another workload reached" High "T1559" Process ["B57", "B58", "B59"];
    RuntimeSocket "BH-NET-006" "socket of the container runtime or kubelet reached" Critical "T1610" Nothing ["B58", "B59"];
    IpcObject "BH-IPC-001" "System V IPC object of another workload used" Medium "T1559" Process ["B56"];
    KernelKey "BH-KEY-001" "kernel key or keyring of another workload used" Medium "T1552" Process ["B25"];
    Signal "BH-PROC-004" "other process signalled" High "T1489" Process ["B55"];
    ProcessLimits "BH-PROC-005" "resource limits of another process changed" Medium "T1499" Process ["B56"];
    ProcessPriority "BH-PROC-006" "priority or placement of another process changed" Medium "T1499" Process ["B56"];
    HostDevice "BH-FILE-010" "device that steers the node opened" Medium "T1611" Nothing ["B17", "B42"];
    FilelessExec "BH-EXEC-001" "program without a file executed" High "T1620" Nothing ["B33"];
    MemoryExec "BH-EXEC-002" "program in memory (tmpfs) executed" High "T1620" Nothing ["B33"];
    DroppedExec "BH-EXEC-003" "program that is not in the image executed" High "T1105" Nothing ["B34"];
    SocketShell "BH-EXEC-004" "program started on a network socket" High "T1059" Nothing ["B73"];
    WritableCode "BH-EXEC-005" "writable memory made executable" Medium "T1620" Nothing ["B35"];
    Bpf "BH-BPF-001" "bpf program or map used" Critical "T1068" Nothing ["B20"];
    PerfEvent "BH-PERF-001" "performance event opened" Medium "T1068" Nothing ["B21"];
    IoUring "BH-SYS-001" "io_uring made" High "T1068" Nothing ["B23", "B24"];
    Userfaultfd "BH-SYS-002" "userfaultfd made" Medium "T1068" Nothing ["B22"];
    ModuleLoad "BH-SYS-003" "kernel module loaded" Critical "T1547.006" Nothing ["B18"];
    ModuleRequest "BH-SYS-004" "kernel module asked for by use" High "T1068" Nothing ["B19"];
    KernelImage "BH-SYS-005" "other kernel loaded (kexec)" High "T1611" Nothing ["B45"];
    ClockSet "BH-SYS-006" "clock of the node set" High "T1499" Nothing ["B45"];
    FileWatch "BH-SYS-007" "mount watched or opens decided by fanotify" Medium "T1083" Nothing ["B46"];
    CorePattern "BH-FILE-001" "core_pattern opened for writing" Critical "T1611" Nothing ["B36"];
    KernelHelper "BH-FILE-002" "kernel helper path opened for writing" Critical "T1611" Nothing ["B37"];
    BinfmtMisc "BH-FILE-003" "binfmt_misc opened for writing" High "T1611" Nothing ["B38"];
    Sysrq "BH-FILE-004" "sysrq opened for writing" High "T1529" Nothing ["B39"];
    CgroupV1Control "BH-FILE-005" "cgroup v1 control opened for writing" Critical "T1611" Nothing ["B40"];
    KernelMemory "BH-FILE-006" "physical or kernel memory opened" Critical "T1611" Nothing ["B42"];
    KernelDiscovery "BH-FILE-007" "kernel symbols, log or tracing opened" Low "T1082" Nothing ["B44"];
    BpfFilesystem "BH-BPF-002" "BPF file system opened" Critical "T1562.001" Nothing ["B20"];
    BlockDevice "BH-FILE-008" "block device opened" Critical "T1611" Nothing ["B04", "B43"];
    CgroupControl "BH-FILE-009" "cgroup outside one's own controlled" Critical "T1611" Nothing ["B15", "B41"];
    SpecialFile "BH-FILE-011" "device node made" High "T1611" Nothing ["B43"];
    SuidCreated "BH-FILE-012" "set-user-id program or file capabilities made" High "T1548.001" Nothing ["B67"];
    MaskSymlink "BH-FILE-013" "link into /proc where the runtime mounts" Critical "T1611" Nothing ["B62"];
    LinkExchange "BH-FILE-014" "symbolic link exchanged with another file" High "T1611" Nothing ["B63"];
    LogTampering "BH-FILE-015" "log emptied or removed" Medium "T1070.002" Nothing ["B74"];
    PersistenceDrop "BH-FILE-016" "file dropped where the system runs or trusts it" High "T1053.003" Nothing ["B76"];
    LeakedDirectory "BH-EXEC-006" "program started in a directory outside its mount namespace" Critical "T1611" Nothing ["B61"];
    OutsideFile "BH-FILE-017" "file outside one's mount namespace opened for writing" Critical "T1611" Nothing ["B60", "B57"];
    SocketAlg "BH-NET-001" "kernel crypto socket made" Critical "T1068" Nothing ["B27"];
    SocketRaw "BH-NET-002" "packet or raw socket made" High "T1557" Nothing ["B28"];
    SocketVsock "BH-NET-003" "hypervisor socket made" High "T1611" Nothing ["B29"];
    SocketRare "BH-NET-004" "socket of a rare family made" High "T1068" Nothing ["B32"];
    NetlinkXfrm "BH-NET-007" "netlink socket for IPsec made" Critical "T1068" Nothing ["B30"];
    NetlinkNetfilter "BH-NET-008" "netlink socket for packet filters made" Critical "T1068" Nothing ["B31"];
    MetadataService "BH-NET-009" "cloud metadata service connected" High "T1552.005" Nothing ["B70"];
    ControlPlane "BH-NET-010" "port of kubelet, etcd or API server connected" Medium "T1613" Nothing ["B69"];
    OwnProcess "BH-SELF-001" "agent's process traced, signalled or starved" Critical "T1562.001" Nothing ["B47", "B55"];
    OwnFile "BH-SELF-002" "file of the agent changed" Critical "T1562.001" Nothing ["B74"];
    OwnSocket "BH-SELF-003" "agent's socket connected to" Critical "T1562.001" Nothing ["B58"];
    PinnedName "BH-SELF-004" "name on a BPF file system made, moved or removed" Critical "T1562.001" Nothing ["B20"];
    // Using a capability is a step towards an act, not the act: one below its worst row.
    CapabilityCeiling "BH-CAP-001" "capability above the level's ceiling used" High "T1548" Nothing ["B06", "B11", "B26", "B45"];
    CredentialRaise "BH-CRED-001" "process became root without an exec" High "T1548" Nothing ["B64"];
    CapabilityRaise "BH-CRED-002" "capabilities made effective" Medium "T1548" Nothing ["B65"];
    DeviceNotGranted "BH-DEV-001" "device opened that the runtime did not grant" High "T1611" Nothing ["B42", "B43"];
}

/// The row whose id is `id`.
pub fn by_id(id: &str) -> Option<&'static RuleInfo> {
    ALL.iter().find(|row| row.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_exactly_one_row() {
        let rows: Vec<Rule> = ALL.iter().map(|row| row.rule).collect();
        assert_eq!(rows, Rule::ALL);
        for &rule in Rule::ALL {
            assert_eq!(info(rule).rule, rule);
            assert_eq!(by_id(info(rule).id).map(|row| row.rule), Some(rule));
        }
    }

    #[test]
    fn ids_are_unique_and_well_formed() {
        let ids: BTreeSet<&str> = ALL.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for id in ids {
            let parts: Vec<&str> = id.split('-').collect();
            assert_eq!(parts.len(), 3, "{id}");
            assert_eq!(parts[0], "BH", "{id}");
            assert!((2..=4).contains(&parts[1].len()), "{id}");
            assert!(parts[1].bytes().all(|b| b.is_ascii_uppercase()), "{id}");
            assert!(parts[2].len() == 3 && parts[2].bytes().all(|b| b.is_ascii_digit()), "{id}");
        }
    }

    #[test]
    fn numbers_within_a_family_have_no_gap() {
        let mut families: std::collections::BTreeMap<&str, Vec<u32>> = Default::default();
        for row in ALL {
            let (family, number) = row.id.rsplit_once('-').unwrap();
            families.entry(family).or_default().push(number.parse().unwrap());
        }
        for (family, mut numbers) in families {
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>(), "{family}");
        }
    }

    #[test]
    fn techniques_and_rows_are_well_formed() {
        for row in ALL {
            let digits = row.technique.strip_prefix('T').unwrap();
            let (major, minor) = digits.split_once('.').unwrap_or((digits, "001"));
            assert!(major.len() == 4 && major.bytes().all(|b| b.is_ascii_digit()), "{}", row.id);
            assert!(minor.len() == 3 && minor.bytes().all(|b| b.is_ascii_digit()), "{}", row.id);
            assert!(!row.rows.is_empty(), "{}", row.id);
            for name in row.rows {
                let number: u32 = name.strip_prefix('B').unwrap().parse().unwrap();
                assert!((1..=80).contains(&number), "{name}");
                assert_eq!(name.len(), 3, "{name}");
            }
        }
    }

    #[test]
    fn only_process_rules_have_relations_and_never_to_themselves() {
        for row in ALL {
            let relations = row.target.relations();
            assert!(!relations.contains(&Relation::Own), "{}", row.id);
            assert_eq!(relations.contains(&Relation::None), row.target == Target::Nothing);
        }
    }
}
