//! What is tried: one value for each breakout behaviour.

use bulkhead_abi::{Relation, Rule};

use super::{
    actor::{Actor, Report},
    prop::Prop,
};

/// A capability(7) by its number.
pub(crate) type Capability = u32;
pub(crate) const CAP_SETUID: Capability = 7;
pub(crate) const CAP_SETPCAP: Capability = 8;
pub(crate) const CAP_SYS_TIME: Capability = 25;
pub(crate) const CAP_MKNOD: Capability = 27;
pub(crate) const CAP_SETFCAP: Capability = 31;
pub(crate) const CAP_SYS_MODULE: Capability = 16;
pub(crate) const CAP_SYS_RAWIO: Capability = 17;
pub(crate) const CAP_SYS_CHROOT: Capability = 18;
pub(crate) const CAP_SYS_PACCT: Capability = 20;
pub(crate) const CAP_SYS_ADMIN: Capability = 21;
pub(crate) const CAP_SYS_BOOT: Capability = 22;
pub(crate) const CAP_NET_RAW: Capability = 13;
pub(crate) const CAP_SYSLOG: Capability = 34;
pub(crate) const CAP_PERFMON: Capability = 38;
pub(crate) const CAP_BPF: Capability = 39;

/// What a behaviour reaches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Nothing that has an owner: it is tried once.
    Nothing,
    /// A process: it is tried against another tenant's, the node's and the container's own.
    Process,
}

impl Target {
    /// The relations in which the behaviour is tried. [`Relation::Own`] is the twin: the same act
    /// inside one container, which must go through at every level.
    pub(crate) fn relations(self) -> &'static [Relation] {
        match self {
            Self::Nothing => &[Relation::None],
            Self::Process => &[Relation::CrossTenant, Relation::Host, Relation::Own],
        }
    }
}

/// A kernel module that an act would make the kernel load, as `modules.alias` names it.
pub(crate) type ModuleAlias = &'static str;

/// One breakout behaviour, made harmless.
#[derive(Clone, Copy)]
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    /// The row of the breakout list that it comes from.
    pub(crate) row: &'static str,
    pub(crate) rule: Rule,
    /// One line for a person.
    pub(crate) what: &'static str,
    pub(crate) target: Target,
    /// What has to be there before the actor enters its container.
    pub(crate) props: &'static [Prop],
    /// Capabilities that the kernel asks for on the way. The level's ceiling is lifted by these
    /// while the behaviour is tried, so that its own rule answers and not the ceiling before it.
    pub(crate) needs: &'static [Capability],
    pub(crate) module: Option<ModuleAlias>,
    /// The kernel keeps a refusal to itself: the act fails or goes through as it would have.
    pub(crate) silent: bool,
    /// Part of `--quick`.
    pub(crate) quick: bool,
    pub(crate) act: fn(&Actor) -> Report,
}

impl Behaviour {
    pub(crate) const fn new(
        name: &'static str,
        row: &'static str,
        rule: Rule,
        what: &'static str,
        act: fn(&Actor) -> Report,
    ) -> Self {
        Self {
            name,
            row,
            rule,
            what,
            target: Target::Nothing,
            props: &[],
            needs: &[],
            module: None,
            silent: false,
            quick: false,
            act,
        }
    }

    pub(crate) const fn on_process(mut self) -> Self {
        self.target = Target::Process;
        self
    }

    pub(crate) const fn props(mut self, props: &'static [Prop]) -> Self {
        self.props = props;
        self
    }

    pub(crate) const fn needs(mut self, needs: &'static [Capability]) -> Self {
        self.needs = needs;
        self
    }

    pub(crate) const fn module(mut self, alias: ModuleAlias) -> Self {
        self.module = Some(alias);
        self
    }

    pub(crate) const fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    pub(crate) const fn quick(mut self) -> Self {
        self.quick = true;
        self
    }
}
