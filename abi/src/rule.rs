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
    /// A parameter of an old-style file system is set in a user namespace.
    MountParameter = 9,
    /// A user namespace is made.
    UserNamespace = 20,
    /// A process is made in namespaces of its own.
    CloneNamespaces = 21,
    /// The namespaces of another process are entered or compared.
    JoinNamespaces = 22,
    /// A namespace of another container is opened or received.
    NamespaceDescriptor = 23,
    /// Another process is attached to, its memory or descriptors taken.
    ProcessAttach = 30,
    /// `/proc/PID/mem` of another process is opened.
    ProcessMemory = 31,
    /// What `/proc/PID` shows of another process alone is read.
    ProcessRead = 32,
    /// A descriptor of another workload's file or socket is received.
    DescriptorReceive = 33,
    /// What `/proc/PID` shows everybody is read of another workload's process.
    ProcessList = 34,
    /// A unix socket of another workload is connected or sent to.
    UnixConnect = 35,
    /// A container runtime's or the kubelet's socket is connected.
    RuntimeSocket = 36,
    /// A System V shared memory, semaphore or message queue of another workload is used.
    IpcObject = 37,
    /// A kernel key or keyring of another workload is used.
    KernelKey = 38,
    /// A signal to another process.
    Signal = 40,
    /// Resource limits of another process are set.
    ProcessLimits = 41,
    /// Scheduling, priority or memory placement of another process is set.
    ProcessPriority = 42,
    /// A device by which user space serves the kernel or the node is opened: FUSE, loop, device
    /// mapper, VFIO, uinput, vhost.
    HostDevice = 43,
    /// A program without a name is executed: a memfd, or a deleted file in memory.
    FilelessExec = 45,
    /// A program on a memory file system is executed.
    MemoryExec = 46,
    /// A program that is not in the image is executed: one in the writable layer.
    DroppedExec = 47,
    /// A program is started whose standard input and output are a network socket.
    SocketShell = 48,
    /// Writable memory is made executable.
    WritableCode = 49,
    /// bpf(2).
    Bpf = 50,
    /// perf_event_open(2).
    PerfEvent = 51,
    /// An io_uring is made.
    IoUring = 52,
    /// A userfaultfd is made.
    Userfaultfd = 53,
    /// A kernel module is loaded.
    ModuleLoad = 54,
    /// An act makes the kernel look for a module.
    ModuleRequest = 55,
    /// A kernel is loaded to be executed.
    KernelImage = 56,
    /// The clock of the node is set.
    ClockSet = 57,
    /// Whole mounts are watched, or other processes' opens are decided upon (fanotify).
    FileWatch = 58,
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
    /// A device node is made.
    SpecialFile = 70,
    /// A program that gives its caller more is made: set-user-id or file capabilities.
    SuidCreated = 71,
    /// A symbolic link into /proc that bears the name of a runtime's mount target.
    MaskSymlink = 72,
    /// A symbolic link is exchanged with another file in one step.
    LinkExchange = 73,
    /// A log below /var/log is emptied or removed.
    LogTampering = 74,
    /// A file is made where the system executes or trusts what it finds.
    PersistenceDrop = 75,
    /// A program is started in a directory that lies outside its mount namespace.
    LeakedDirectory = 77,
    /// A file outside one's mount namespace is opened for writing.
    OutsideFile = 78,
    /// A kernel crypto socket (AF_ALG).
    SocketAlg = 80,
    /// A packet or raw socket.
    SocketRaw = 81,
    /// A socket to the hypervisor (AF_VSOCK).
    SocketVsock = 82,
    /// A socket of a family that ordinary programs do not use.
    SocketRare = 83,
    /// A netlink socket for IPsec.
    NetlinkXfrm = 84,
    /// A netlink socket for packet filters.
    NetlinkNetfilter = 85,
    /// The cloud's metadata service is connected.
    MetadataService = 86,
    /// The kubelet's, etcd's or API server's port is connected.
    ControlPlane = 87,
    /// The agent's process is attached to, signalled or starved.
    OwnProcess = 90,
    /// A file of the agent is opened for writing, moved or removed.
    OwnFile = 91,
    /// A socket of the agent is connected to.
    OwnSocket = 92,
    /// A name on a BPF file system is made, moved or removed.
    PinnedName = 93,
    /// A capability above the level's ceiling is used.
    CapabilityCeiling = 100,
    /// A process that is nobody's root becomes root without an exec.
    CredentialRaise = 101,
    /// A process makes capabilities effective that it held.
    CapabilityRaise = 102,
    /// A device is opened that the runtime did not grant.
    DeviceNotGranted = 105,
}
