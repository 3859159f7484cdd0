//! The three numbers of a record, named as their rule gives them meaning.

use bulkhead_abi::Rule;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::words;
use crate::capability;

/// The arguments of an act, in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation(Vec<(&'static str, Argument)>);

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Argument {
    /// One of a list of values, as the kernel's headers name it.
    Word(&'static str),
    /// A name that is put together here.
    Name(String),
    /// Several flags; a bit without a name is its hexadecimal value.
    Words(Vec<String>),
    /// A number without a name.
    Number(u64),
}

impl Operation {
    /// Names `numbers` for `rule`. A number that the rule gives no meaning is kept when it is not
    /// zero, under the name `argumentN`.
    pub fn new(rule: Rule, numbers: [u64; 3]) -> Self {
        let mut readings = readings(rule).iter();
        let mut named = Vec::new();
        for (unnamed, number) in UNNAMED.into_iter().zip(numbers) {
            match readings.next() {
                Some((name, reading)) => named.push((*name, reading.of(number))),
                None if number != 0 => named.push((unnamed, Argument::Number(number))),
                None => {}
            }
        }
        Self(named)
    }

    /// Whether the rule has no arguments.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The arguments with their names.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Argument)> {
        self.0.iter()
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, argument) in &self.0 {
            map.serialize_entry(name, argument)?;
        }
        map.end()
    }
}

impl std::fmt::Display for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Name(name) => f.write_str(name),
            Self::Words(words) if words.is_empty() => f.write_str("none"),
            Self::Words(words) => f.write_str(&words.join("|")),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

const UNNAMED: [&str; 3] = ["argument0", "argument1", "argument2"];

/// How a number is read.
enum Reading {
    /// As bits with names.
    Flags(&'static [(u64, &'static str)]),
    /// As bits, of which those without a name are left out.
    NamedFlags(&'static [(u64, &'static str)]),
    /// As one value of a list.
    Value(&'static [(u64, &'static str)]),
    /// The low bits as one value of a list; the bits above are left out (creation flags).
    LowBits(u64, &'static [(u64, &'static str)]),
    /// As a capability's number.
    Capability,
    /// As a set of capabilities.
    Capabilities,
    /// As an IPv4 address in host byte order, or the beginning of an IPv6 address.
    Address,
    /// As itself, in octal.
    Octal,
    /// As itself, in hexadecimal.
    Hexadecimal,
    /// As itself.
    Plain,
}

impl Reading {
    fn of(&self, number: u64) -> Argument {
        match self {
            Self::Flags(names) => Argument::Words(flags(names, number)),
            Self::NamedFlags(names) => {
                let named = names.iter().fold(0, |bits, (bit, _)| bits | bit);
                Argument::Words(flags(names, number & named))
            }
            Self::Value(names) => value(names, number),
            Self::LowBits(mask, names) => value(names, number & mask),
            Self::Capability => match u32::try_from(number).ok().and_then(capability::name) {
                Some(name) => Argument::Name(format!("CAP_{name}")),
                None => Argument::Number(number),
            },
            Self::Capabilities => {
                Argument::Words(capability::Capabilities::from_bits(number).names().collect())
            }
            Self::Address => Argument::Name(address(number)),
            Self::Octal => Argument::Name(format!("{number:04o}")),
            Self::Hexadecimal => Argument::Name(format!("{number:#x}")),
            Self::Plain => Argument::Number(number),
        }
    }
}

/// What each rule's numbers mean. The kernel side fills them in this order.
const fn readings(rule: Rule) -> &'static [(&'static str, Reading)] {
    use Reading::{
        Address, Capabilities, Capability, Flags, Hexadecimal, LowBits, NamedFlags, Octal, Plain,
        Value,
    };
    match rule {
        Rule::Mount | Rule::MountProc | Rule::MountCgroup | Rule::MountBlock => {
            &[("flags", Flags(words::MOUNT))]
        }
        Rule::MoveMount
        | Rule::PivotRoot
        | Rule::Chroot
        | Rule::UserNamespace
        | Rule::OwnProcess
        | Rule::OwnSocket
        | Rule::PinnedName => &[],
        Rule::Unmount => &[("flags", Flags(words::UNMOUNT))],
        Rule::CloneNamespaces => &[("flags", Flags(words::CLONE))],
        Rule::JoinNamespaces | Rule::ProcessAttach | Rule::ProcessMemory | Rule::ProcessRead => {
            &[("mode", Flags(words::PTRACE_MODE))]
        }
        Rule::NamespaceDescriptor | Rule::DescriptorReceive | Rule::ProcessList => {
            &[("flags", NamedFlags(words::OPEN)), ("access", NamedFlags(words::FILE_MODE))]
        }
        Rule::UnixConnect | Rule::RuntimeSocket | Rule::KernelKey | Rule::IpcObject => &[],
        Rule::HostDevice
        | Rule::FilelessExec
        | Rule::MemoryExec
        | Rule::DroppedExec
        | Rule::SocketShell
        | Rule::LeakedDirectory
        | Rule::OutsideFile => {
            &[("flags", NamedFlags(words::OPEN)), ("access", NamedFlags(words::FILE_MODE))]
        }
        Rule::NetlinkXfrm | Rule::NetlinkNetfilter => &[
            ("family", Value(words::FAMILY)),
            ("type", LowBits(0xf, words::SOCKET_TYPE)),
            ("protocol", Plain),
        ],
        Rule::MetadataService | Rule::ControlPlane => &[("address", Address), ("port", Plain)],
        Rule::CapabilityRaise => &[("capabilities", Capabilities)],
        Rule::CredentialRaise => &[("from", Plain), ("to", Plain)],
        Rule::SpecialFile | Rule::SuidCreated => &[("mode", Octal)],
        Rule::FileWatch => &[("mask", Hexadecimal)],
        Rule::MountParameter
        | Rule::WritableCode
        | Rule::IoUring
        | Rule::Userfaultfd
        | Rule::ModuleLoad
        | Rule::ModuleRequest
        | Rule::KernelImage
        | Rule::ClockSet
        | Rule::MaskSymlink
        | Rule::LinkExchange
        | Rule::LogTampering
        | Rule::PersistenceDrop => &[],
        Rule::Signal => &[("signal", Value(words::SIGNAL))],
        Rule::ProcessLimits => &[("resource", Value(words::RESOURCE))],
        Rule::ProcessPriority => &[],
        Rule::Bpf => &[("command", Value(words::BPF_COMMAND))],
        Rule::PerfEvent => &[("type", Value(words::PERF_TYPE))],
        Rule::CorePattern
        | Rule::KernelHelper
        | Rule::BinfmtMisc
        | Rule::Sysrq
        | Rule::CgroupV1Control
        | Rule::KernelMemory
        | Rule::KernelDiscovery
        | Rule::BpfFilesystem
        | Rule::BlockDevice
        | Rule::OwnFile
        | Rule::CgroupControl
        | Rule::DeviceNotGranted => &[
            // The other bits are the kernel's own, or differ between architectures.
            ("flags", NamedFlags(words::OPEN)),
            ("access", NamedFlags(words::FILE_MODE)),
        ],
        Rule::SocketAlg | Rule::SocketRaw | Rule::SocketVsock | Rule::SocketRare => &[
            ("family", Value(words::FAMILY)),
            ("type", LowBits(0xf, words::SOCKET_TYPE)),
            ("protocol", Plain),
        ],
        Rule::CapabilityCeiling => &[("capability", Capability)],
    }
}

/// Four bytes are IPv4; more are the first half of an IPv6 address.
fn address(number: u64) -> String {
    match u32::try_from(number) {
        Ok(number) => std::net::Ipv4Addr::from(number).to_string(),
        Err(_) => std::net::Ipv6Addr::from(u128::from(number) << 64).to_string(),
    }
}

fn value(names: &[(u64, &'static str)], number: u64) -> Argument {
    match names.iter().find(|(named, _)| *named == number) {
        Some((_, name)) => Argument::Word(name),
        None => Argument::Number(number),
    }
}

fn flags(names: &[(u64, &'static str)], number: u64) -> Vec<String> {
    let mut unnamed = number;
    let mut found = Vec::new();
    for (bit, name) in names {
        if number & bit != 0 {
            found.push((*name).to_owned());
            unnamed &= !bit;
        }
    }
    if unnamed != 0 {
        found.push(format!("{unnamed:#x}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(rule: Rule, numbers: [u64; 3]) -> String {
        serde_json::to_string(&Operation::new(rule, numbers)).unwrap()
    }

    #[test]
    fn numbers_get_the_names_that_their_rule_gives() {
        assert_eq!(
            json(Rule::Mount, [6 | 1 << 40, 0, 0]),
            r#"{"flags":["nosuid","nodev","0x10000000000"]}"#
        );
        assert_eq!(json(Rule::Signal, [9, 0, 0]), r#"{"signal":"SIGKILL"}"#);
        assert_eq!(json(Rule::Signal, [0, 0, 0]), r#"{"signal":"0"}"#);
        assert_eq!(json(Rule::ProcessAttach, [18, 0, 0]), r#"{"mode":["attach","realcreds"]}"#);
        assert_eq!(
            json(Rule::CorePattern, [0o101_001, 0x000e_801e, 0]),
            r#"{"flags":["trunc"],"access":["write"]}"#
        );
        assert_eq!(json(Rule::Bpf, [5, 0, 0]), r#"{"command":"prog_load"}"#);
        assert_eq!(
            json(Rule::SocketRaw, [17, 3 | 0o2_000_000, 768]),
            r#"{"family":"packet","type":"raw","protocol":768}"#
        );
        assert_eq!(json(Rule::CapabilityCeiling, [21, 0, 0]), r#"{"capability":"CAP_SYS_ADMIN"}"#);
        assert_eq!(json(Rule::PivotRoot, [0; 3]), "{}");
    }

    #[test]
    fn a_number_without_a_name_is_kept_as_it_is() {
        assert_eq!(json(Rule::Bpf, [4_000, 0, 0]), r#"{"command":4000}"#);
        assert_eq!(json(Rule::CapabilityCeiling, [63, 0, 0]), r#"{"capability":63}"#);
        assert_eq!(json(Rule::PivotRoot, [0, 7, 0]), r#"{"argument1":7}"#);
    }

    #[test]
    fn every_rule_reads_any_numbers() {
        for rule in Rule::ALL {
            for numbers in [[0; 3], [u64::MAX; 3], [1, 2, 3]] {
                assert!(json(*rule, numbers).starts_with('{'));
            }
        }
    }
}
