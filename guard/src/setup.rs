//! Telling the runtime's set-up of a container from the workload.
//!
//! A host process places a task into a container's cgroup; from then until the task executes a
//! program it is the runtime's own code, and its forks are too. One that goes there by itself is workload
//! at once. Nothing that a workload can do
//! leads back into that state: only a host process can place, and a task that is marked as workload
//! keeps that mark wherever it is moved.

use bulkhead_abi::{Rule, TaskState};

/// Whether a rule holds for the runtime's set-up as well: where a workload lies in wait for it. The
/// program that ends the set-up must not start in a directory that the runtime left open.
#[inline(always)]
pub const fn is_judged(rule: Rule) -> bool {
    matches!(rule, Rule::LeakedDirectory)
}

/// The state of a task that a process has just placed into a cgroup.
#[inline(always)]
pub const fn placed(before: TaskState, by_host: bool) -> TaskState {
    match (before, by_host) {
        (TaskState::Unmarked, true) => TaskState::Setup,
        (state, _) => state,
    }
}

/// Where a task in a workload's cgroup stands. `of_node`: its parent is on the host, and it is where its
/// parent is (in its mount namespace).
///
/// The kernel tells of a move when it is over. A runtime's process that does something just then is in the
/// workload's cgroup, and nobody has heard of it; but it has not left the node's namespaces yet, in
/// which no container is. Who else is unheard of counts as workload: the strict reading.
#[inline(always)]
pub const fn standing(state: TaskState, of_node: bool) -> TaskState {
    match (state, of_node) {
        (TaskState::Unmarked, true) => TaskState::Setup,
        (TaskState::Unmarked, false) => TaskState::Workload,
        (state, _) => state,
    }
}

/// The state of a new process. `entered_by_birth`: its parent is on the host and it was born
/// inside a workload's cgroup (CLONE_INTO_CGROUP).
#[inline(always)]
pub const fn forked(parent: TaskState, entered_by_birth: bool) -> TaskState {
    match (parent, entered_by_birth) {
        (TaskState::Unmarked, true) => TaskState::Setup,
        (state, _) => state,
    }
}

/// The state of a task after it executed a program.
///
/// Two execs end no set-up. One that was under way when the task was placed: whoever starts a
/// runtime sees its descriptors close before the kernel tells of the exec, and places it in
/// between; the memory is the new program's already then. And one of a sealed copy of the runtime
/// itself (the answer to CVE-2019-5736): an unlinked file, executed while the task is still in the
/// mount namespace where it was placed.
///
/// A service of the node is placed, too, by its manager: the runtime that is restarted while the
/// guard runs. It executes its program outside every workload, and is as if never placed.
#[inline(always)]
pub const fn executed(before: TaskState, exec: Exec) -> TaskState {
    match before {
        TaskState::Setup if exec.memory_as_placed => TaskState::Setup,
        TaskState::Setup if exec.unlinked_file && exec.still_where_placed => TaskState::Setup,
        TaskState::Setup | TaskState::Unmarked if exec.on_the_node => TaskState::Unmarked,
        _ => TaskState::Workload,
    }
}

/// What is known of an exec by a marked task.
#[derive(Clone, Copy, Debug)]
pub struct Exec {
    /// The task's memory map is the one that it had when it was marked.
    pub memory_as_placed: bool,
    /// The program has no name in any directory.
    pub unlinked_file: bool,
    /// The task is in the mount namespace in which it was placed.
    pub still_where_placed: bool,
    /// The task's cgroup is no workload's.
    pub on_the_node: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_s_process_that_nobody_has_heard_of_yet_is_setting_up() {
        assert_eq!(standing(Unmarked, true), Setup);
        assert_eq!(standing(Unmarked, false), Workload);
        assert_eq!(standing(Workload, true), Workload, "once a workload, always one");
        assert_eq!(standing(Setup, false), Setup, "it has left the node's namespaces");
    }
    use TaskState::{Setup, Unmarked, Workload};

    fn exec(memory_as_placed: bool, unlinked_file: bool, still_where_placed: bool) -> Exec {
        Exec { memory_as_placed, unlinked_file, still_where_placed, on_the_node: false }
    }

    #[test]
    fn a_workload_never_returns_to_set_up() {
        for by_host in [false, true] {
            assert_eq!(placed(Workload, by_host), Workload);
            assert_eq!(forked(Workload, by_host), Workload);
            for flag in [false, true] {
                let exec = exec(flag, by_host, flag);
                assert_eq!(executed(Workload, exec), Workload);
                assert_eq!(executed(Workload, Exec { on_the_node: true, ..exec }), Workload);
            }
        }
    }

    #[test]
    fn set_up_is_held_to_nothing_but_what_lies_in_wait_for_it() {
        for rule in Rule::ALL {
            assert_eq!(is_judged(*rule), *rule == Rule::LeakedDirectory, "{rule:?}");
        }
    }

    #[test]
    fn only_a_host_process_puts_a_task_into_set_up() {
        assert_eq!(placed(Unmarked, true), Setup);
        assert_eq!(placed(Unmarked, false), Unmarked);
        assert_eq!(forked(Unmarked, true), Setup);
        assert_eq!(forked(Unmarked, false), Unmarked);
    }

    #[test]
    fn set_up_ends_with_the_next_program() {
        assert_eq!(executed(Setup, exec(false, false, true)), Workload);
        assert_eq!(executed(Setup, exec(false, true, false)), Workload);
        assert_eq!(executed(Setup, exec(false, false, false)), Workload);
        assert_eq!(forked(Setup, false), Setup);
    }

    #[test]
    fn a_service_that_the_node_s_manager_places_is_no_workload_and_its_children_may_set_up() {
        let on_the_node = Exec { on_the_node: true, ..exec(false, false, true) };
        let service = executed(placed(Unmarked, true), on_the_node);
        assert_eq!(service, Unmarked);
        assert_eq!(placed(forked(service, false), true), Setup);
        assert_eq!(executed(Unmarked, on_the_node), Unmarked);
        assert_eq!(executed(Unmarked, exec(false, false, false)), Workload);
    }

    #[test]
    fn a_runtime_that_seals_itself_is_still_set_up() {
        assert_eq!(executed(Setup, exec(false, true, true)), Setup);
    }

    #[test]
    fn an_exec_under_way_at_the_placement_is_not_the_next_program() {
        assert_eq!(executed(Setup, exec(true, false, true)), Setup);
    }
}
