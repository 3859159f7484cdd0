//! Acts on other processes.

use bulkhead_abi::Rule;

/// linux/ptrace.h: PTRACE_MODE_ATTACH.
pub const MODE_ATTACH: u32 = 2;
/// linux/ptrace.h: PTRACE_MODE_NOAUDIT: the kernel only asks, nobody tries anything (ps).
pub const MODE_NOAUDIT: u32 = 4;
/// linux/ptrace.h: PTRACE_MODE_FSCREDS: by a file under /proc.
pub const MODE_FSCREDS: u32 = 8;

/// The rule for an access that the kernel checks with this ptrace mode.
///
/// - attach, real credentials: ptrace(2), process_vm_readv/writev(2), pidfd_getfd(2)
/// - attach, file credentials: /proc/PID/mem
/// - read, real credentials: setns(2) by pidfd, kcmp(2)
/// - read, file credentials: /proc/PID/{environ,maps,root,cwd,fd,exe,ns,...}
#[inline(always)]
pub const fn of_ptrace_mode(mode: u32) -> Rule {
    match (mode & MODE_ATTACH != 0, mode & MODE_FSCREDS != 0) {
        (true, false) => Rule::ProcessAttach,
        (true, true) => Rule::ProcessMemory,
        (false, false) => Rule::JoinNamespaces,
        (false, true) => Rule::ProcessRead,
    }
}

/// The rule where the other process is the agent's. Reading what /proc shows of it stays with the
/// rule for that: programs that watch a node read it of every process.
#[inline(always)]
pub const fn on_agent(rule: Rule) -> Rule {
    match rule {
        Rule::ProcessRead => Rule::ProcessRead,
        _ => Rule::OwnProcess,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_ways_to_another_process_are_told_apart() {
        const READ: u32 = 1;
        const REALCREDS: u32 = 16;
        assert_eq!(of_ptrace_mode(MODE_ATTACH | REALCREDS), Rule::ProcessAttach);
        assert_eq!(of_ptrace_mode(MODE_ATTACH | MODE_FSCREDS), Rule::ProcessMemory);
        assert_eq!(of_ptrace_mode(READ | REALCREDS), Rule::JoinNamespaces);
        assert_eq!(of_ptrace_mode(READ | MODE_FSCREDS), Rule::ProcessRead);
        assert_eq!(of_ptrace_mode(READ | MODE_FSCREDS | MODE_NOAUDIT), Rule::ProcessRead);
    }

    #[test]
    fn whoever_reads_what_the_agent_does_is_no_attacker_of_it() {
        assert_eq!(on_agent(Rule::ProcessRead), Rule::ProcessRead);
        for rule in [Rule::Signal, Rule::ProcessAttach, Rule::JoinNamespaces, Rule::ProcessLimits] {
            assert_eq!(on_agent(rule), Rule::OwnProcess);
        }
    }
}
