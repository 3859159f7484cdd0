//! Acts that ordinary programs do too, and how bad an act is that was only seen.

use bulkhead_abi::{Effect, Relation, Rule, Verdict};

use crate::catalogue::{RuleInfo, Severity};

/// What ordinary programs meet in their daily work. An act of these that the policy wants seen and not
/// refused is information: an intruder does the same, but nine times of ten it was none.
///
/// Each is held to docs/benign.md or to the comment in `profiles/levels/semi-trusted.yaml`, which
/// refuses none of them. What acts on other workloads is never among them.
const EVERYDAY: &[Rule] = &[
    // bubblewrap, rootless podman and buildah, systemd as pid 1.
    Rule::Mount,
    Rule::MoveMount,
    Rule::Unmount,
    Rule::PivotRoot,
    Rule::UserNamespace,
    Rule::CloneNamespaces,
    // sshd, haproxy.
    Rule::Chroot,
    // fuse-overlayfs of rootless podman.
    Rule::HostDevice,
    // systemd's executors, make and pip in a /tmp that is memory.
    Rule::FilelessExec,
    Rule::MemoryExec,
    // gcc, cargo, pip, npm, dpkg.
    Rule::DroppedExec,
    // sshd, which hands each connection to a program of its own; inetd.
    Rule::SocketShell,
    // Just-in-time compilers.
    Rule::WritableCode,
    // node, fio, PostgreSQL 18.
    Rule::IoUring,
    // dpkg, the installation of MariaDB.
    Rule::SuidCreated,
    Rule::PersistenceDrop,
    // logrotate.
    Rule::LogTampering,
    // ping, chrony, every program that drops and takes up capabilities.
    Rule::CapabilityRaise,
];

/// The same of what has another end: only towards the node, by what it hands to everybody.
const EVERYDAY_ON_THE_NODE: &[Rule] = &[
    // sshd, login and cron (pam_keyinit) link to the user's keyring, which the kernel keeps by user id alone.
    Rule::KernelKey,
];

/// How bad an act is: as bad as the worst that its rule covers, but where it went on as the policy
/// wants it and is one of the everyday ones, or one that the operator has declared.
pub(crate) fn severity(
    rule: &RuleInfo,
    verdict: Verdict,
    effect: Effect,
    relation: Relation,
) -> Severity {
    let everyday = match relation {
        Relation::None => EVERYDAY.contains(&rule.rule),
        Relation::Host => EVERYDAY_ON_THE_NODE.contains(&rule.rule),
        _ => false,
    };
    let wanted = match verdict {
        Verdict::Audit => everyday,
        Verdict::Except => true,
        _ => false,
    };
    if wanted && effect == Effect::Observed { Severity::Info } else { rule.severity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{self, Target},
        level,
    };

    fn of(rule: Rule, verdict: Verdict, effect: Effect, relation: Relation) -> Severity {
        severity(catalogue::info(rule), verdict, effect, relation)
    }

    #[test]
    fn an_everyday_act_that_is_let_pass_is_information_and_a_refused_one_is_as_bad_as_its_rule() {
        let of = |verdict, effect| of(Rule::DroppedExec, verdict, effect, Relation::None);
        assert_eq!(of(Verdict::Audit, Effect::Observed), Severity::Info);
        assert_eq!(of(Verdict::Deny, Effect::Denied), Severity::High);
        // A node that cannot refuse.
        assert_eq!(of(Verdict::Deny, Effect::NotDenied), Severity::High);
        assert_eq!(of(Verdict::Freeze, Effect::Observed), Severity::High);
    }

    #[test]
    fn what_leads_out_is_never_information_unless_it_is_declared() {
        let of = |rule, verdict, relation| of(rule, verdict, Effect::Observed, relation);
        let (none, stranger) = (Relation::None, Relation::CrossTenant);
        assert_eq!(of(Rule::CorePattern, Verdict::Audit, none), Severity::Critical);
        assert_eq!(of(Rule::CorePattern, Verdict::Except, none), Severity::Info);
        assert_eq!(of(Rule::KernelKey, Verdict::Audit, Relation::Host), Severity::Info);
        assert_eq!(of(Rule::KernelKey, Verdict::Audit, stranger), Severity::Medium);
    }

    #[test]
    fn no_level_that_spares_ordinary_programs_refuses_an_everyday_act() {
        let levels = level::built_in().unwrap();
        for level in levels.iter().filter(|level| level.name() != "untrusted") {
            let refuses = |rule, relation| level.verdict(rule, relation).refuses();
            for &rule in EVERYDAY {
                assert_eq!(catalogue::info(rule).target, Target::Nothing);
                assert!(!refuses(rule, Relation::None), "{} {rule:?}", level.name());
            }
            for &rule in EVERYDAY_ON_THE_NODE {
                assert_eq!(catalogue::info(rule).target, Target::Process);
                assert!(!refuses(rule, Relation::Host), "{} {rule:?}", level.name());
            }
        }
    }
}
