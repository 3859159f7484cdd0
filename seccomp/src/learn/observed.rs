//! Calls that were seen, to a profile under a level's ceiling.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    bpf::FilterError,
    calls::{self, Arch},
    profile::{Action, ArchName, Condition, ENOSYS, Operator, Profile, Rule},
    simulate::Simulation,
};

/// Calls that a container made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How often, by architecture and number.
    pub calls: BTreeMap<(Arch, u32), u64>,
    /// Values of one argument, by architecture, number and argument: for [`WATCHED`] only.
    pub values: BTreeMap<(Arch, u32, u32), BTreeSet<u64>>,
    /// Values that found no room: rules on arguments would be too narrow.
    pub values_lost: u64,
}

/// Arguments whose values are worth knowing: numbers that decide what the call does. A profile that
/// is learned allows what was seen of them.
pub const WATCHED: [(&str, u32); 4] =
    [("socket", 0), ("personality", 0), ("unshare", 0), ("keyctl", 0)];

/// CLONE_NEW*, but for NEWTIME, which clone(2) does not take.
const NAMESPACES: u64 = 0x7e02_0000;

/// What runc and crun may call after they have put the filter in place and before the container's
/// own first instruction, in init and in exec: dropping privileges, looking at the working directory,
/// the Go runtime of runc, the C library of crun. No recording sees it, being past.
pub const RUNTIME: [&str; 98] = [
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fchmod",
    "fchown",
    "fchownat",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "getsid",
    "gettid",
    "getuid",
    "ioctl",
    "kill",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "pselect6",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "select",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setsid",
    "setuid",
    "sigaltstack",
    "stat",
    "statx",
    "tgkill",
    "tkill",
    "umask",
    "uname",
    "unlinkat",
    "wait4",
    "write",
    "writev",
];

/// A profile that was learned.
#[derive(Clone, Debug)]
pub struct Learned {
    /// It.
    pub profile: Profile,
    /// What was seen and the level does not allow: the container did it, and will not any more.
    pub refused: Vec<Refused>,
}

/// A call that was seen and the level does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The call.
    pub call: String,
    /// Its architecture.
    pub architecture: Arch,
    /// How often it was seen.
    pub count: u64,
    /// The argument that the level does not allow, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    /// What the level does.
    pub answer: String,
}

/// Makes the profile: what the runtime needs, what was seen, nothing beyond the level's ceiling.
pub fn profile(
    observed: &Observed,
    level: &str,
    ceiling: &Simulation,
) -> Result<Learned, FilterError> {
    let mut learned =
        Learner { ceiling, names: BTreeMap::new(), conditional: Vec::new(), refused: Vec::new() };
    for ((arch, number), count) in &observed.calls {
        learned.see(observed, *arch, *number, *count)?;
    }
    Ok(learned.finish(observed, level))
}

struct Learner<'a> {
    ceiling: &'a Simulation,
    /// Allowed with any arguments, and how often it was seen.
    names: BTreeMap<String, u64>,
    conditional: Vec<Rule>,
    refused: Vec<Refused>,
}

impl Learner<'_> {
    fn see(
        &mut self,
        observed: &Observed,
        arch: Arch,
        number: u32,
        count: u64,
    ) -> Result<(), FilterError> {
        let Some(name) = calls::name(arch, number) else {
            self.refuse(&format!("number {number}"), arch, count, None, "is unknown");
            return Ok(());
        };
        // How threads and processes are made is one rule for all programs.
        if matches!(name, "clone" | "clone3") {
            return Ok(());
        }
        let watched = WATCHED.iter().find(|(call, _)| *call == name);
        let values = watched
            .filter(|_| observed.values_lost == 0)
            .and_then(|(_, index)| observed.values.get(&(arch, number, *index)));
        match (watched, values) {
            (Some((_, index)), Some(values)) => {
                for value in values {
                    self.see_value(arch, name, *index, *value, count)?;
                }
            }
            _ => {
                let answer = self.ceiling.ask(arch, name, [0; 6])?;
                let conditions = self.ceilings_own(name);
                if !conditions.is_empty() {
                    // The level itself looks at arguments: its own rules are the narrowest known.
                    self.conditional.extend(conditions);
                } else if answer.is_some_and(|answer| answer.most().executes()) {
                    *self.names.entry(name.to_owned()).or_default() += count;
                } else {
                    let answer =
                        answer.map_or_else(String::new, |answer| answer.action.to_string());
                    self.refuse(name, arch, count, None, &answer);
                }
            }
        }
        Ok(())
    }

    /// One value of an argument: allowed where the level allows it with some other arguments.
    fn see_value(
        &mut self,
        arch: Arch,
        name: &str,
        index: u32,
        value: u64,
        count: u64,
    ) -> Result<(), FilterError> {
        let condition = Condition { index, value, value_two: 0, op: Operator::Equal };
        let own: Vec<Rule> = self
            .ceilings_own(name)
            .into_iter()
            .filter(|rule| can_hold_with(rule, index, value))
            .map(|rule| narrowed(rule, condition))
            .collect();
        let mut arguments = [0; 6];
        if let Some(argument) =
            usize::try_from(index).ok().and_then(|index| arguments.get_mut(index))
        {
            *argument = value;
        }
        let answer = self.ceiling.ask(arch, name, arguments)?;
        if !own.is_empty() {
            self.conditional.extend(own);
        } else if answer.is_some_and(|answer| answer.most().executes()) {
            let rule = Rule::of(
                Action::Allow,
                [name.to_owned()],
                &format!("Seen with a{index}={value:#x}"),
            );
            self.conditional.push(Rule { args: vec![condition], ..rule });
        } else {
            let answer = answer.map_or_else(String::new, |answer| answer.action.to_string());
            self.refuse(name, arch, count, Some(value), &answer);
        }
        Ok(())
    }

    /// The level's rules that allow the call under conditions.
    fn ceilings_own(&self, name: &str) -> Vec<Rule> {
        let rules = self.ceiling.profile().rules.iter();
        rules
            .filter(|rule| rule.action.executes() && !rule.args.is_empty())
            .filter(|rule| rule.names.iter().any(|of_rule| of_rule == name))
            .map(|rule| Rule { names: vec![name.to_owned()], ..rule.clone() })
            .collect()
    }

    fn refuse(
        &mut self,
        call: &str,
        architecture: Arch,
        count: u64,
        value: Option<u64>,
        answer: &str,
    ) {
        let (call, answer) = (call.to_owned(), answer.to_owned());
        self.refused.push(Refused { call, architecture, count, value, answer });
    }

    fn finish(mut self, observed: &Observed, level: &str) -> Learned {
        let mut profile = Profile::new(self.ceiling.profile().default_action);
        profile.architectures = architectures(observed, self.ceiling);
        let mut runtime = Vec::new();
        for name in RUNTIME {
            // Where the level looks at arguments, the runtime has no more than anybody.
            match self.ceilings_own(name) {
                own if own.is_empty() => runtime.push(name.to_owned()),
                own => self.conditional.extend(own),
            }
        }
        let base = "What the runtime calls between loading this filter and the container's first instruction";
        profile.rules.push(Rule::of(Action::Allow, runtime, base));
        let seen = self.names.into_keys().filter(|name| !RUNTIME.contains(&name.as_str()));
        let seen: Vec<_> = seen.collect();
        if !seen.is_empty() {
            profile.rules.push(Rule::of(Action::Allow, seen, "Seen while recording"));
        }
        let clone = Rule::of(
            Action::Allow,
            ["clone".to_owned()],
            "Threads and processes, without new namespaces",
        );
        let without =
            Condition { index: 0, value: NAMESPACES, value_two: 0, op: Operator::MaskedEqual };
        profile.rules.push(Rule { args: vec![without], ..clone });
        let older = "Its flags lie behind a pointer. ENOSYS, on which programs take clone";
        profile.rules.push(Rule::of(Action::Errno(ENOSYS), ["clone3".to_owned()], older));
        self.conditional
            .sort_by(|left, right| (&left.names, &left.args).cmp(&(&right.names, &right.args)));
        self.conditional
            .dedup_by(|left, right| (&left.names, &left.args) == (&right.names, &right.args));
        profile.rules.extend(self.conditional);
        profile.rules.extend(marked(&self.refused, level));
        Learned { profile, refused: self.refused }
    }
}

/// What was seen and stays refused, in the file itself: whoever reads it sees what will fail.
fn marked(refused: &[Refused], level: &str) -> Vec<Rule> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for one in refused
        .iter()
        .filter(|one| one.value.is_none() && calls::known(&one.call) != calls::Known::Unknown)
    {
        *counts.entry(&one.call).or_default() += one.count;
    }
    let comment = |count| format!("Seen {count} times and refused: beyond the level {level}");
    counts
        .into_iter()
        .map(|(call, count)| {
            Rule::of(Action::Errno(crate::profile::EPERM), [call.to_owned()], &comment(count))
        })
        .collect()
}

/// The architectures that were seen, as far as the level covers them.
fn architectures(observed: &Observed, ceiling: &Simulation) -> Vec<ArchName> {
    let mut seen: BTreeSet<Arch> = observed.calls.keys().map(|(arch, _)| *arch).collect();
    seen.insert(Arch::native());
    seen.into_iter()
        .filter(|arch| ceiling.covers(*arch))
        .map(|arch| ArchName(arch.oci_name().to_owned()))
        .collect()
}

/// Whether a rule can hold when one argument has this value.
fn can_hold_with(rule: &Rule, index: u32, value: u64) -> bool {
    let mut arguments = [0; 6];
    if let Some(argument) = usize::try_from(index).ok().and_then(|index| arguments.get_mut(index)) {
        *argument = value;
    }
    rule.args
        .iter()
        .filter(|condition| condition.index == index)
        .all(|condition| condition.holds(&arguments))
}

/// The rule with its conditions on one argument replaced by one that is as narrow as can be.
fn narrowed(rule: Rule, condition: Condition) -> Rule {
    let others = rule.args.iter().filter(|of_rule| of_rule.index != condition.index).copied();
    let args = std::iter::once(condition).chain(others).collect();
    Rule { args, ..rule }
}
