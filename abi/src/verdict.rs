//! The words of a decision. Each is one byte in records and maps.

/// Makes a one-byte enum that is read from untrusted bytes by a checked conversion.
macro_rules! byte_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)+ }

        impl $name {
            /// Every value, in numerical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The value that a byte stands for; `None` for a byte that nothing here wrote.
            pub const fn from_u8(byte: u8) -> Option<Self> {
                match byte { $($value => Some(Self::$variant),)+ _ => None }
            }

            /// The word used in the configuration, metrics and the log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}
pub(crate) use byte_enum;

byte_enum! {
    /// What the policy asks for when a rule matches.
    Verdict {
        /// The rule does not apply at this level.
        Off = 0 => "off",
        /// Count and report.
        Audit = 1 => "audit",
        /// Refuse the act with EPERM, count and report.
        Deny = 2 => "deny",
        /// Refuse the act and send SIGKILL to the process.
        Kill = 3 => "kill",
        /// Refuse the act; the agent freezes the container that did it.
        Freeze = 4 => "freeze",
        /// The level refuses it, and a declared exception lets this workload do it: count and report.
        Except = 5 => "except",
    }
}

impl Verdict {
    /// Whether the act itself is refused.
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Deny | Self::Kill | Self::Freeze)
    }
}

byte_enum! {
    /// How the actor stands to what it acts on.
    Relation {
        /// The act has no target with an owner (a mount, a socket family).
        None = 0 => "none",
        /// The same container.
        Own = 1 => "self",
        /// Another container of the same pod.
        Pod = 2 => "pod",
        /// Another pod of the same tenant.
        Tenant = 3 => "tenant",
        /// A container of another tenant, or one that nobody has named yet.
        CrossTenant = 4 => "cross-tenant",
        /// A process of the node, a kernel thread, or the runtime setting a container up.
        Host = 5 => "host",
    }
}

byte_enum! {
    /// What became of the act.
    Effect {
        /// Reported only, as the policy says.
        Observed = 0 => "observed",
        /// Refused in the kernel.
        Denied = 1 => "denied",
        /// The policy asks for a refusal that this hook cannot give on this node.
        NotDenied = 2 => "not_denied",
    }
}

byte_enum! {
    /// Whether the hook sees the act before the kernel's other checks or after them.
    Phase {
        /// Other checks may still refuse it.
        Attempted = 0 => "attempted",
        /// Nothing but this hook stands between the act and its success.
        Done = 1 => "done",
    }
}

byte_enum! {
    /// What kind of program saw the act, from the strongest down.
    Rung {
        /// BPF LSM: can refuse.
        Lsm = 0 => "lsm",
        /// fentry on the same kernel function: sees all, refuses nothing.
        Fentry = 1 => "fentry",
        /// A BTF tracepoint: sees a part.
        Tracepoint = 2 => "tracepoint",
        /// A cgroup program: sees a part and can refuse it.
        Cgroup = 3 => "cgroup",
        /// Nothing on this node sees it.
        Blind = 4 => "none",
    }
}
