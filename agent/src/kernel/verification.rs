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

use super::{
    btf::Btf,
    hooks::{HOOKS, Hook},
};

/// Beyond so many the kernel's memory is what they wait for.
const MOST: usize = 8;

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
        let of_lsm = || lsm_program(hook, btf).filter(|_| lsm);
        let of_fentry = || fentry_program(hook, btf).filter(|_| fentry);
        if let Some(name) = of_lsm().or_else(of_fentry) {
            wanted.insert(name, hook);
        }
    }
    let programs = ebpf.programs_mut();
    let queue: Vec<(String, &Hook, &mut Program)> = programs
        .filter_map(|(name, program)| Some((name.to_owned(), *wanted.get(name)?, program)))
        .collect();
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
    let queue = Mutex::new(queue);
    let work = || {
        let mut refused = Refused::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some((name, hook, program)) = next else { return refused };
            if let Err(error) = load(program, hook, kernel_btf) {
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

/// The program of BPF LSM for a hook, where this kernel has the hook.
pub(super) fn lsm_program(hook: &Hook, btf: &Btf) -> Option<String> {
    let has = btf.has_function(&format!("bpf_lsm_{}", hook.name));
    has.then(|| format!("lsm_{}", hook.name))
}

/// The program of fentry for a hook, where this kernel has the function.
pub(super) fn fentry_program(hook: &Hook, btf: &Btf) -> Option<String> {
    btf.has_function(hook.function).then(|| format!("fentry_{}", hook.name))
}

fn load(program: &mut Program, hook: &Hook, btf: &AyaBtf) -> Result<(), ProgramError> {
    match program {
        Program::Lsm(program) => program.load(hook.name, btf),
        Program::FEntry(program) => program.load(hook.function, btf),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
