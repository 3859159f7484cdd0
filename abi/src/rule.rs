//! The numbers of the guard rules. What a rule means to a person stands in the policy crate's
//! catalogue; the kernel side knows the number alone.

/// Room in every level table. A power of two, so that the kernel side can mask an index.
pub const MAX_RULES: usize = 128;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $value:literal,)+) => {
        /// One behaviour. Numbers are part of the kernel interface and are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Rule { $($(#[$doc])* $variant = $value,)+ }

        impl Rule {
            /// Every rule, in numerical order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The rule that a number stands for.
            pub const fn from_u16(number: u16) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

rules! {
    /// A file system is mounted.
    Mount = 1,
    /// A fresh procfs or sysfs is mounted, which undoes the masks.
    MountProc = 2,
    /// A cgroup hierarchy is mounted.
    MountCgroup = 3,
    /// A block device is mounted.
    MountBlock = 4,
    /// A mount is moved or attached by the new API.
    MoveMount = 5,
    /// A mount is removed.
    Unmount = 6,
    /// The root mount is exchanged.
    PivotRoot = 7,
    /// The root directory is changed.
    Chroot = 8,
    /// A user namespace is made.
    UserNamespace = 20,
    /// A process is made in namespaces of its own.
    CloneNamespaces = 21,
    /// The namespaces of another process are entered or compared.
    JoinNamespaces = 22,
    /// Another process is attached to, its memory or descriptors taken.
    ProcessAttach = 30,
    /// `/proc/PID/mem` of another process is opened.
    ProcessMemory = 31,
    /// What `/proc/PID` shows of another process alone is read.
    ProcessRead = 32,
    /// A signal to another process.
    Signal = 40,
    /// Resource limits of another process are set.
    ProcessLimits = 41,
    /// Scheduling, priority or memory placement of another process is set.
    ProcessPriority = 42,
    /// bpf(2).
    Bpf = 50,
    /// perf_event_open(2).
    PerfEvent = 51,
    /// core_pattern is opened for writing.
    CorePattern = 60,
    /// A path that the kernel executes is opened for writing.
    KernelHelper = 61,
    /// binfmt_misc is opened for writing.
    BinfmtMisc = 62,
    /// sysrq is opened for writing.
    Sysrq = 63,
    /// A cgroup v1 control that runs code or grants devices is opened for writing.
    CgroupV1Control = 64,
    /// Physical or kernel memory, ports, model-specific registers.
    KernelMemory = 65,
    /// Kernel symbols, logs, tracing.
    KernelDiscovery = 66,
    /// The BPF file system.
    BpfFilesystem = 67,
    /// A block device node is opened.
    BlockDevice = 68,
    /// A control file of a cgroup outside one's own is opened for writing, or a process is put there.
    CgroupControl = 69,
    /// A kernel crypto socket (AF_ALG).
    SocketAlg = 80,
    /// A packet or raw socket.
    SocketRaw = 81,
    /// A socket to the hypervisor (AF_VSOCK).
    SocketVsock = 82,
    /// A socket of a family that ordinary programs do not use.
    SocketRare = 83,
    /// A capability above the level's ceiling is used.
    CapabilityCeiling = 100,
    /// A device is opened that the runtime did not grant.
    DeviceNotGranted = 105,
}
