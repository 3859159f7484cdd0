//! The level's seccomp profile for a container that has none, in the runtime's words.
//!
//! A policy in an adjustment replaces the container's own whole. So it is given to a container alone of
//! which the runtime says that it has none: one that has a profile keeps it, and one of which nothing is
//! known may have a stricter one. A level that requires a filter is shown as drift there.

use bulkhead_nri::{
    NriVersion,
    api::{
        Container, LinuxSeccomp, LinuxSeccompArg, LinuxSyscall, OptionalUInt32,
        security_profile::ProfileType,
    },
};
use bulkhead_policy::Level;
use bulkhead_seccomp::{
    ParseError, Profile, levels,
    profile::{Action, Condition, Rule},
};

/// The policy that this container is to be given; `None`: it keeps what it has.
pub(super) fn policy_for(
    level: &Level,
    container: &Container,
    nri: NriVersion,
) -> Result<Option<LinuxSeccomp>, ParseError> {
    if !nri.takes_seccomp() || !level.controls().seccomp.is_required() || !is_bare(container) {
        return Ok(None);
    }
    let profile = levels::profile(level.base()).transpose()?;
    Ok(profile.as_ref().map(in_the_runtimes_words))
}

/// Whether the runtime says that the container has no filter.
fn is_bare(container: &Container) -> bool {
    let Some(linux) = &container.linux else { return false };
    let said = linux.seccomp_profile.as_ref().map(|profile| profile.profile_type());
    linux.seccomp_policy.is_none() && said == Some(ProfileType::Unconfined)
}

fn in_the_runtimes_words(profile: &Profile) -> LinuxSeccomp {
    LinuxSeccomp {
        default_action: profile.default_action.oci_name().to_owned(),
        default_errno: errno(profile.default_action),
        architectures: profile.architectures.iter().map(|name| name.0.clone()).collect(),
        flags: profile.flags.clone(),
        syscalls: profile.rules.iter().map(call).collect(),
        ..LinuxSeccomp::default()
    }
}

fn call(rule: &Rule) -> LinuxSyscall {
    LinuxSyscall {
        names: rule.names.clone(),
        action: rule.action.oci_name().to_owned(),
        errno_ret: errno(rule.action),
        args: rule.args.iter().map(argument).collect(),
    }
}

fn argument(condition: &Condition) -> LinuxSeccompArg {
    LinuxSeccompArg {
        index: condition.index,
        value: condition.value,
        value_two: condition.value_two,
        op: condition.op.oci_name().to_owned(),
    }
}

fn errno(action: Action) -> Option<OptionalUInt32> {
    action.errno().map(|value| OptionalUInt32 { value: value.into() })
}

#[cfg(test)]
mod tests {
    use bulkhead_nri::api::{LinuxContainer, SecurityProfile};
    use bulkhead_policy::level;
    use bulkhead_seccomp::profile::EPERM;

    use super::*;

    fn container(said: Option<ProfileType>) -> Container {
        let seccomp_profile = said.map(|kind| SecurityProfile {
            profile_type: kind.into(),
            ..SecurityProfile::default()
        });
        let linux = LinuxContainer { seccomp_profile, ..LinuxContainer::default() };
        Container { linux: Some(linux), ..Container::default() }
    }

    fn given(level: &str, container: &Container, nri: (u32, u32)) -> Option<LinuxSeccomp> {
        let levels = level::built_in().unwrap();
        let level = levels.iter().find(|it| it.name() == level).unwrap();
        policy_for(level, container, NriVersion::new(nri.0, nri.1)).unwrap()
    }

    #[test]
    fn only_a_container_without_a_filter_is_given_one_and_only_where_that_can_be_told() {
        let bare = container(Some(ProfileType::Unconfined));
        assert!(given("untrusted", &bare, (0, 11)).is_some());
        assert!(given("semi-trusted", &bare, (0, 12)).is_some());
        assert!(given("trusted", &bare, (0, 12)).is_none(), "its level asks for none");
        assert!(given("untrusted", &bare, (0, 8)).is_none(), "the runtime would not take it");
        for kind in [ProfileType::RuntimeDefault, ProfileType::Localhost] {
            assert!(given("untrusted", &container(Some(kind)), (0, 12)).is_none(), "{kind:?}");
        }
        assert!(given("untrusted", &container(None), (0, 12)).is_none(), "nothing is known");
        let mut own = bare;
        own.linux.as_mut().unwrap().seccomp_policy = Some(LinuxSeccomp::default());
        assert!(given("untrusted", &own, (0, 12)).is_none(), "it has one");
    }

    #[test]
    fn nothing_of_a_profile_is_lost_on_the_way_and_the_error_that_runtimes_drop_is_theirs() {
        for name in levels::LEVELS {
            let profile = levels::profile(name).unwrap().unwrap();
            let policy = in_the_runtimes_words(&profile);
            assert_eq!(policy.default_action, "SCMP_ACT_ERRNO");
            // Runtimes drop it and refuse with EPERM.
            assert_eq!(profile.default_action.errno(), Some(EPERM), "{name}");
            assert_eq!(policy.syscalls.len(), profile.rules.len());
            for (call, rule) in policy.syscalls.iter().zip(&profile.rules) {
                assert!(!rule.is_conditional_on_the_container(), "{name}: {:?}", rule.names);
                assert_eq!((&call.names, call.args.len()), (&rule.names, rule.args.len()));
                assert_eq!(call.action == "SCMP_ACT_ERRNO", call.errno_ret.is_some());
            }
            assert!(profile.listener_path.is_none());
        }
    }
}
