//! Everything that the two sides share, in one place.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_LOCAL_STORAGE_GET_F_CREATE, bpf_map_type, task_struct},
    helpers::generated::bpf_task_storage_get,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, RingBuf},
};
use bulkhead_abi::{
    ActKey, CountKey, Grants, Identity, LevelTable, MAX_LEVELS, MAX_RULES, Repeats, ScopeName,
    SensitiveFile, TaskMark,
};

use crate::kernel::Task;

pub use bulkhead_abi::{
    STATE_AGENT, STATE_CANARY, STATE_EXECUTED_LOST, STATE_GENERATION, STATE_LIFECYCLE_LOST,
    STATE_MOVED, STATE_OVERFLOW, STATE_OWN_DEVICES,
};

/// cgroup id -> whose it is. The agent writes it; the kernel side adds the children.
#[map]
pub static CGROUPS: HashMap<u64, Identity> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// The entry of a cgroup, the host's where it has none.
#[inline(always)]
pub fn entry_or_host(cgroup: u64) -> Identity {
    match entry_of(cgroup) {
        Some(identity) => *identity,
        None => Identity::HOST,
    }
}

/// The entry of a cgroup.
#[inline(always)]
pub fn entry_of(cgroup: u64) -> Option<&'static Identity> {
    // SAFETY: programs run inside an RCU read section, and the map allocates its elements one by
    // one, so an entry that is removed or replaced meanwhile is not freed under the reader.
    unsafe { CGROUPS.get(cgroup) }
}

/// Start of a cgroup's name -> the entry that a cgroup of that name begins with.
#[map]
pub static SCOPES: LpmTrie<ScopeName, Identity> = LpmTrie::with_max_entries(64, BPF_F_NO_PREALLOC);

/// Container's cgroup id -> the devices that its runtime has granted.
#[map]
pub static GRANTS: HashMap<u64, Grants> = HashMap::with_max_entries(8_192, BPF_F_NO_PREALLOC);

/// The devices of a container; `None` where its grants are not known.
#[inline(always)]
pub fn grants_of(container: u64) -> Option<&'static Grants> {
    // SAFETY: as in `entry_of`.
    unsafe { GRANTS.get(container) }
}
/// Number of a namespace -> whose it is: the workload that first executed a program in it. The
/// agent writes the node's own.
#[map]
pub static NAMESPACES: HashMap<u32, Identity> =
    HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Whose a namespace is.
#[inline(always)]
pub fn namespace_entry(number: u32) -> Option<&'static Identity> {
    // SAFETY: as in `entry_of`.
    unsafe { NAMESPACES.get(number) }
}

/// Address of a kernel object that many can name (a key, a System V IPC object) -> the workload
/// that made it. What the node made has no entry.
#[map]
pub static OBJECTS: LruHashMap<u64, Identity> = LruHashMap::with_max_entries(8_192, 0);

/// slot -> verdicts and ceiling.
#[map]
pub static LEVELS: Array<LevelTable> = Array::with_max_entries(MAX_LEVELS, 0);

/// File of a kernel file system -> packed rule and access (`bulkhead_guard::files::pack`).
#[map]
pub static SENSITIVE: HashMap<SensitiveFile, u32> = HashMap::with_max_entries(256, 0);

/// The packed rule and access of a file of a kernel file system.
#[inline(always)]
pub fn sensitive(file: &SensitiveFile) -> Option<u32> {
    // SAFETY: as in `entry_of`; a value of one word is read whole.
    unsafe { SENSITIVE.get(file) }.copied()
}

/// The exact counts.
#[map]
pub static COUNTS: HashMap<CountKey, u64> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// rule -> verdicts for which the count map had no room.
#[map]
pub static UNCOUNTED: Array<u64> = Array::with_max_entries(MAX_RULES as u32, 0);

/// Records of acts that are not critical. The reader looks of itself: nothing here wakes it.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
/// Its size.
pub const EVENTS_BYTES: u32 = 1 << 20;

/// Records of critical acts: a ring that nothing else can fill. Each wakes the reader.
#[map]
pub static CRITICAL: RingBuf = RingBuf::with_byte_size(CRITICAL_BYTES, 0);
/// Its size.
pub const CRITICAL_BYTES: u32 = 2 << 20;

/// Acts that were told a moment ago, and how often they were repeated since. The agent removes
/// them. Only a record that went out makes an entry, so that a tenant's budget bounds its entries.
#[map]
pub static ACTS: HashMap<ActKey, Repeats> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Purse -> when it will be full (`bulkhead_guard::budget`). One that is forgotten was not used for
/// long, and is full.
#[map]
pub static PURSES: LruHashMap<PurseKey, u64> = LruHashMap::with_max_entries(16_384, 0);

/// Whose purse, and for what.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PurseKey {
    pub payer: u64,
    pub purse: u32,
    pub padding: u32,
}

/// Cgroups made and removed: a ring that no verdict can fill.
#[map]
pub static LIFECYCLE: RingBuf = RingBuf::with_byte_size(512 << 10, 0);

/// Numbers that describe the kernel side itself, by their `STATE_` constants.
#[map]
pub static STATE: Array<u64> = Array::with_max_entries(8, 0);

/// Task storage, as a BTF map definition; aya-ebpf has no type for it yet.
#[repr(C)]
pub struct TaskStorage<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
}

// SAFETY: a description that the loader reads; nothing dereferences it.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    pub const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// The value of a task, if it has one.
    #[inline(always)]
    pub fn get(&self, task: Task) -> Option<&mut T> {
        self.lookup(task, 0)
    }

    /// The value of a task, made of zeroes where there was none.
    #[inline(always)]
    pub fn get_or_create(&self, task: Task) -> Option<&mut T> {
        self.lookup(task, u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE))
    }

    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    fn lookup(&self, task: Task, flags: u64) -> Option<&mut T> {
        // SAFETY: the helper returns null or a value that lives as long as the task.
        unsafe {
            bpf_task_storage_get(
                core::ptr::from_ref(self).cast_mut().cast::<c_void>(),
                task.0.cast_mut().cast::<task_struct>(),
                core::ptr::null_mut(),
                flags,
            )
            .cast::<T>()
            .as_mut()
        }
    }
}

/// What is remembered of a thread group, kept on its leader.
#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
pub static TASKS: TaskStorage<TaskMark> = TaskStorage::new();
