//! Which devices a container's OCI configuration grants, as the kernel side asks for them.
//!
//! The configuration is a list of rules, the later of which wins; runtimes read it as an allowlist, or,
//! once a rule allows everything, as a denylist (the device controller of cgroup v1 could do no more).

use bulkhead_abi::grants::{ANY, Grant, Grants, MAX_GRANTS, access};
use serde::Deserialize;

/// One rule of `linux.resources.devices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct DeviceRule {
    /// Whether it grants or takes.
    #[serde(default)]
    pub allow: bool,
    /// `a` for all, `c` and `u` for character devices, `b` for block devices.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// The driver; every one where it is absent or negative.
    #[serde(default)]
    pub major: Option<i64>,
    /// The number; every one where it is absent or negative.
    #[serde(default)]
    pub minor: Option<i64>,
    /// Of `r`, `w` and `m`; all of them where it is absent.
    #[serde(default)]
    pub access: Option<String>,
}

/// Why grants cannot be handed to the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// They do not fit.
    #[error("{0} devices are granted, of more drivers than the {MAX_GRANTS} that fit")]
    TooMany(usize),
    /// A rule is of no kind that is known.
    #[error("a device rule has a type or a number that no kernel has")]
    Unknown,
}

/// What the rules grant. `None` where there are none: some runtimes then grant everything, others
/// nothing, and neither says so.
pub fn granted(rules: &[DeviceRule]) -> Result<Option<Grants>, GrantError> {
    if rules.is_empty() {
        return Ok(None);
    }
    let (mut all_but, mut entries) = (false, Vec::new());
    for rule in rules {
        if matches!(rule.kind.as_deref(), None | Some("" | "a")) {
            all_but = rule.allow;
            entries.clear();
            continue;
        }
        let entry = entry(rule)?;
        // To make a node is granted to all, and is no access to its device.
        if entry.access == 0 {
            continue;
        }
        if rule.allow == all_but {
            take(&mut entries, entry);
        } else {
            add(&mut entries, entry);
        }
    }
    let count = entries.len();
    if count > MAX_GRANTS && !all_but {
        entries = by_driver(entries);
    }
    Grants::of(all_but, &entries).map(Some).ok_or(GrantError::TooMany(count))
}

fn entry(rule: &DeviceRule) -> Result<Grant, GrantError> {
    let block = match rule.kind.as_deref() {
        Some("b") => 1,
        Some("c" | "u") => 0,
        _ => return Err(GrantError::Unknown),
    };
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => u32::try_from(number).map_err(|_large| GrantError::Unknown),
        _ => Ok(ANY),
    };
    let letters = rule.access.as_deref().filter(|text| !text.is_empty()).unwrap_or("rwm");
    let bit = |letter: char, bit: u8| if letters.contains(letter) { bit } else { 0 };
    Ok(Grant {
        major: number(rule.major)?,
        minor: number(rule.minor)?,
        block,
        access: bit('r', access::READ) | bit('w', access::WRITE),
        padding: [0; 2],
    })
}

fn is_same(one: &Grant, other: &Grant) -> bool {
    (one.block, one.major, one.minor) == (other.block, other.major, other.minor)
}

fn add(entries: &mut Vec<Grant>, entry: Grant) {
    match entries.iter_mut().find(|it| is_same(it, &entry)) {
        Some(known) => known.access |= entry.access,
        None => entries.push(entry),
    }
}

fn take(entries: &mut Vec<Grant>, entry: Grant) {
    for known in entries.iter_mut().filter(|it| is_same(it, &entry)) {
        known.access &= !entry.access;
    }
    entries.retain(|it| it.access != 0);
}

/// All numbers of each driver: what was granted stays granted, and a little more is.
fn by_driver(entries: Vec<Grant>) -> Vec<Grant> {
    let mut drivers = Vec::new();
    for entry in entries {
        add(&mut drivers, Grant { minor: ANY, ..entry });
    }
    drivers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<DeviceRule> {
        serde_json::from_str(text).unwrap()
    }

    fn entries(grants: &Grants) -> Vec<(u8, u32, u32, u8)> {
        let used = &grants.entries[..grants.count as usize];
        used.iter().map(|it| (it.block, it.major, it.minor, it.access)).collect()
    }

    const BOTH: u8 = access::READ | access::WRITE;

    #[test]
    fn a_gpu_that_cdi_injected_is_granted_and_nothing_else() {
        let rules = rules(
            r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","access":"m"},
                {"allow":true,"type":"c","major":195,"minor":0,"access":"rw"},
                {"allow":true,"type":"c","major":195,"minor":255,"access":"rwm"},
                {"allow":true,"type":"c","major":235,"minor":-1,"access":"r"}]"#,
        );
        let grants = granted(&rules).unwrap().unwrap();
        assert_eq!(grants.all_but, 0);
        let wanted = [(0, 195, 0, BOTH), (0, 195, 255, BOTH), (0, 235, ANY, access::READ)];
        assert_eq!(entries(&grants), wanted);
    }

    #[test]
    fn a_privileged_container_has_everything() {
        let rules = rules(r#"[{"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"}]"#);
        let grants = granted(&rules).unwrap().unwrap();
        assert_eq!((grants.all_but, grants.count), (1, 0));
    }

    #[test]
    fn the_later_rule_wins() {
        let all_but_disk = r#"[{"allow":true,"type":"a"},{"allow":false,"type":"b","major":8,"minor":0,"access":"w"}]"#;
        let grants = granted(&rules(all_but_disk)).unwrap().unwrap();
        assert_eq!((grants.all_but, entries(&grants)), (1, vec![(1, 8, 0, access::WRITE)]));
        let taken_back = r#"[{"allow":false},{"allow":true,"type":"c","major":10,"minor":229},
            {"allow":false,"type":"c","major":10,"minor":229,"access":"w"}]"#;
        let grants = granted(&rules(taken_back)).unwrap().unwrap();
        assert_eq!(entries(&grants), [(0, 10, 229, access::READ)]);
    }

    #[test]
    fn a_configuration_without_rules_says_nothing() {
        assert_eq!(granted(&[]).unwrap(), None);
    }

    #[test]
    fn too_many_devices_of_one_driver_are_granted_by_the_driver() {
        let rule = |major, minor| DeviceRule {
            allow: true,
            kind: Some("c".into()),
            major: Some(major),
            minor: Some(minor),
            access: None,
        };
        let many: Vec<_> = (0..100).map(|minor| rule(195, minor)).collect();
        assert_eq!(entries(&granted(&many).unwrap().unwrap()), [(0, 195, ANY, BOTH)]);
        let drivers: Vec<_> = (0..100).map(|major| rule(major, 0)).collect();
        assert_eq!(granted(&drivers), Err(GrantError::TooMany(100)));
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_an_error_and_grants_nothing() {
        for rule in [
            r#"[{"allow":true,"type":"x","major":1}]"#,
            r#"[{"allow":true,"type":"c","major":99999999999}]"#,
        ] {
            assert_eq!(granted(&rules(rule)), Err(GrantError::Unknown), "{rule}");
        }
    }
}
