//! The kernel verifies the hooks' programs, which is most of what a start takes: as many at a time as there
//! are processors. It verifies each by itself and locks nothing meanwhile.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Btf as AyaBtf, Ebpf,
    programs::{Program, ProgramError},
};

use super::{btf::Btf, hooks::HOOKS};

/// Beyond so many the kernel's memory is what they wait for.
const MOST: usize = 8;

/// What a hook's program is loaded for.
#[derive(Clone, Copy)]
struct Target {
    hook: &'static str,
    function: &'static str,
}

/// The programs that were refused, and why.
pub(super) type Refused = HashMap<String, ProgramError>;

/// Loads the program that each hook is to have: of BPF LSM where that fires and has the hook, of fentry
/// otherwise.
pub(super) fn load_hooks(
    ebpf: &mut Ebpf,
    btf: &Btf,
    kernel_btf: &AyaBtf,
    lsm: bool,
    fentry: bool,
) -> Refused {
    let mut wanted = HashMap::new();
    for hook in HOOKS {
        let target = Target { hook: hook.name, function: hook.function };
        if lsm && btf.has_function(&format!("bpf_lsm_{}", hook.name)) {
            wanted.insert(format!("lsm_{}", hook.name), target);
        } else if fentry && btf.has_function(hook.function) {
            wanted.insert(format!("fentry_{}", hook.name), target);
        }
    }
    let programs = ebpf.programs_mut();
    let queue: Vec<(String, Target, &mut Program)> = programs
        .filter_map(|(name, program)| Some((name.to_owned(), *wanted.get(name)?, program)))
        .collect();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    let queue = Mutex::new(queue);
    let work = || {
        let mut refused = Refused::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((name, target, program)) = next else { return refused };
            if let Err(error) = load(program, target, kernel_btf) {
                refused.insert(name, error);
            }
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut refused = work();
        for other in others {
            match other.join() {
                Ok(more) => refused.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        refused
    })
}

fn load(program: &mut Program, target: Target, btf: &AyaBtf) -> Result<(), ProgramError> {
    match program {
        Program::Lsm(program) => program.load(target.hook, btf),
        Program::FEntry(program) => program.load(target.function, btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
