//! bpf(2), the BPF file system and perf events. What is made is closed at once.

use bulkhead_abi::Rule;

use crate::prove::{
    actor::{Actor, Report},
    acts::files::open_directory,
    behaviour::{Behaviour, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN},
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new("bpf-map", "B20", Rule::Bpf, "make a BPF map", make_map)
        .needs(&[CAP_BPF, CAP_SYS_ADMIN])
        .quick(),
    Behaviour::new("bpf-program", "B20", Rule::Bpf, "load a BPF program", load_program)
        .needs(&[CAP_BPF, CAP_SYS_ADMIN]),
    Behaviour::new(
        "bpf-filesystem",
        "B20",
        Rule::BpfFilesystem,
        "look into the BPF file system",
        look_at_pins,
    ),
    Behaviour::new("perf-event", "B21", Rule::PerfEvent, "count one's own events", count_events)
        .needs(&[CAP_PERFMON, CAP_SYS_ADMIN])
        .quick(),
];

const BPF_MAP_CREATE: u32 = 0;
const BPF_PROG_LOAD: u32 = 5;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;

/// The head of `union bpf_attr` for BPF_MAP_CREATE.
#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// The head of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

fn make_map(actor: &Actor) -> Report {
    let map = MapCreate { kind: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 4, max_entries: 1 };
    actor.attempt(|| sys::bpf(BPF_MAP_CREATE, &map))
}

/// `r0 = 0; exit`: a socket filter that is attached to nothing.
fn load_program(actor: &Actor) -> Report {
    const RETURN_ZERO: [u64; 2] = [0xb7, 0x95];
    let program = ProgramLoad {
        kind: BPF_PROG_TYPE_SOCKET_FILTER,
        instruction_count: 2,
        instructions: sys::user_address(&RETURN_ZERO),
        license: sys::user_address(c"GPL"),
        log_level: 0,
        log_size: 0,
        log: 0,
    };
    actor.attempt(|| sys::bpf(BPF_PROG_LOAD, &program))
}

fn look_at_pins(actor: &Actor) -> Report {
    const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
    open_directory(actor, "/sys/fs/bpf", BPF_FS_MAGIC)
}

/// The first version of `struct perf_event_attr`.
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

/// Counts page faults of this process in user space, disabled: nothing is sampled.
fn count_events(actor: &Actor) -> Report {
    const PERF_TYPE_SOFTWARE: u32 = 1;
    const PAGE_FAULTS: u64 = 2;
    const DISABLED: u64 = 1;
    const EXCLUDE_KERNEL_AND_HYPERVISOR: u64 = 1 << 5 | 1 << 6;
    const SIZE: u32 = size_of::<PerfEvent>() as u32;
    let event = PerfEvent {
        kind: PERF_TYPE_SOFTWARE,
        size: SIZE,
        config: PAGE_FAULTS,
        flags: DISABLED | EXCLUDE_KERNEL_AND_HYPERVISOR,
        ..PerfEvent::default()
    };
    actor.attempt(|| sys::perf_event_open(&event))
}
