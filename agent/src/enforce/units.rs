//! Limits that systemd has on record, for the cgroups that it made.
//!
//! The files are written first and say what is in force. systemd is told afterwards, so that its next
//! `daemon-reload` writes the same again.

use std::time::{Duration, Instant};

use bulkhead_policy::{
    catalogue::Severity,
    limits::{CpuTime, File, Setting},
};

use super::Report;
use crate::node::systemd::{INFINITY, Property, Systemd, SystemdError, unit_of};

/// After a failure systemd is left alone so long.
const PAUSE: Duration = Duration::from_secs(30);
const MICROSECONDS: u64 = 1_000_000;
/// systemd keeps whole percents of a processor: so many microseconds of a second.
const PERCENT: u64 = MICROSECONDS / 100;

/// Whatever tells a unit.
pub(super) trait Manager {
    fn set(&self, unit: &str, properties: &[Property]) -> Result<(), SystemdError>;
}

impl Manager for Systemd {
    fn set(&self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
        Systemd::set(self, unit, properties)
    }
}

/// What is to be told of one container.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) cgroup: u64,
    name: String,
    pub(super) settings: Vec<(File, Setting)>,
}

impl Unit {
    /// `None`: systemd has no such unit, or nothing of this on record.
    pub(super) fn of(cgroup: u64, path: &str, settings: Vec<(File, Setting)>) -> Option<Self> {
        let name = unit_of(path)?.to_owned();
        (!settings.is_empty()).then_some(Self { cgroup, name, settings })
    }

    fn told_to(&self, manager: &impl Manager) -> Result<(), SystemdError> {
        let properties: Vec<_> = self.settings.iter().flat_map(|(file, it)| of(file, it)).collect();
        if properties.is_empty() { Ok(()) } else { manager.set(&self.name, &properties) }
    }
}

/// Tells systemd, and remembers whether it can be told at all.
#[derive(Debug, Default)]
pub(super) struct Units {
    failed: Option<(Instant, String)>,
}

impl Units {
    /// Tells what has changed; those that systemd knows of now.
    pub(super) fn tell<M: Manager>(
        &mut self,
        units: Vec<Unit>,
        connect: impl FnOnce() -> Result<M, SystemdError>,
        now: Instant,
        report: &mut Report,
    ) -> Vec<Unit> {
        let waits =
            self.failed.as_ref().is_some_and(|(at, _)| now.saturating_duration_since(*at) < PAUSE);
        let Some(first) = units.first().filter(|_| !waits) else { return Vec::new() };
        let manager = match connect() {
            Ok(manager) => manager,
            Err(error) => {
                self.fail(&first.name, &error.to_string(), now, report);
                return Vec::new();
            }
        };
        let (mut known, mut failed) = (Vec::new(), None);
        for unit in units {
            match unit.told_to(&manager) {
                Ok(()) => known.push(unit),
                Err(error) => {
                    let others_too = !matches!(error, SystemdError::Refused(_));
                    failed = Some((unit.name, error.to_string()));
                    if others_too {
                        break;
                    }
                }
            }
        }
        match failed {
            Some((unit, why)) => self.fail(&unit, &why, now, report),
            None => self.failed = None,
        }
        known
    }

    fn fail(&mut self, unit: &str, why: &str, now: Instant, report: &mut Report) {
        let news = self.failed.as_ref().is_none_or(|(_, before)| before != why);
        self.failed = Some((now, why.to_owned()));
        if news {
            let message = format!(
                "systemd made the cgroup of {unit} and cannot be told of its limits ({why}): they are \
                 in force, a daemon-reload undoes them, and the agent writes them again within two \
                 seconds"
            );
            report.notices.push(("limits", Severity::Medium, message));
        }
    }
}

/// The properties of a file; none where systemd does not write it by itself (`io.max` of a unit
/// without rates, huge pages) or cannot say it.
fn of(file: &File, setting: &Setting) -> Vec<Property> {
    let name = match file {
        File::MemoryMax => "MemoryMax",
        File::MemoryHigh => "MemoryHigh",
        File::SwapMax => "MemorySwapMax",
        File::CpuWeight => "CPUWeight",
        File::PidsMax => "TasksMax",
        File::CpuMax => return of_cpu(setting),
        File::IoMax | File::Hugetlb(_) => return Vec::new(),
    };
    match setting {
        Setting::Amount(amount) => vec![(name, amount.unwrap_or(INFINITY))],
        Setting::Cpu(_) | Setting::Io(_) => Vec::new(),
    }
}

fn of_cpu(setting: &Setting) -> Vec<Property> {
    let Setting::Cpu(CpuTime { quota, period }) = setting else { return Vec::new() };
    let Some(quota) = quota else { return vec![("CPUQuotaPerSecUSec", INFINITY)] };
    let Some(second) = quota.checked_mul(MICROSECONDS).and_then(|all| all.checked_div(*period))
    else {
        return Vec::new();
    };
    if second % PERCENT != 0 {
        // Told rounded, it would be undone by systemd itself.
        return Vec::new();
    }
    vec![("CPUQuotaPerSecUSec", second), ("CPUQuotaPeriodUSec", *period)]
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[derive(Default)]
    struct Double(RefCell<Vec<(String, Vec<Property>)>>);

    impl Manager for &Double {
        fn set(&self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
            if unit == "deaf.scope" {
                return Err(SystemdError::Late);
            }
            if unit == "unknown.scope" {
                return Err(SystemdError::Refused(zbus::Error::InvalidReply));
            }
            self.0.borrow_mut().push((unit.to_owned(), properties.to_vec()));
            Ok(())
        }
    }

    fn amount(amount: u64) -> Setting {
        Setting::Amount(Some(amount))
    }

    fn unit(cgroup: u64, name: &str) -> Unit {
        let settings = vec![(File::PidsMax, amount(7))];
        Unit::of(cgroup, &format!("/kubepods.slice/{name}"), settings).unwrap()
    }

    #[test]
    fn each_limit_has_the_property_that_systemd_writes_it_by() {
        let cpu = |milli| Setting::Cpu(CpuTime::of_milli(milli));
        assert_eq!(of(&File::MemoryMax, &amount(1)), [("MemoryMax", 1)]);
        assert_eq!(of(&File::PidsMax, &Setting::Amount(None)), [("TasksMax", INFINITY)]);
        assert_eq!(
            of(&File::CpuMax, &cpu(250)),
            [("CPUQuotaPerSecUSec", 250_000), ("CPUQuotaPeriodUSec", 100_000)]
        );
        assert_eq!(of(&File::CpuMax, &cpu(15)), [], "systemd has no half percents");
        assert_eq!(of(&File::Hugetlb("2MB".into()), &amount(0)), []);
    }

    #[test]
    fn what_systemd_did_not_make_is_not_told_to_it() {
        let settings = || vec![(File::PidsMax, amount(7))];
        assert!(Unit::of(1, "/kubepods/pod1/ab", settings()).is_none());
        assert!(Unit::of(1, "/kubepods.slice/ab.scope", Vec::new()).is_none());
    }

    #[test]
    fn a_systemd_that_cannot_be_told_is_reported_once_and_left_alone_for_a_while() {
        let (manager, mut report) = (Double::default(), Report::default());
        let mut units = Units::default();
        let mut tell = |all: &[&str], at: Instant, report: &mut Report| {
            let all = all.iter().map(|name| unit(1, name)).collect();
            units.tell(all, || Ok(&manager), at, report).len()
        };
        let now = Instant::now();
        assert_eq!(tell(&["a.scope", "deaf.scope", "b.scope"], now, &mut report), 1);
        assert_eq!(manager.0.borrow().as_slice(), [("a.scope".into(), vec![("TasksMax", 7)])]);
        let notice = &report.notices[0].2;
        assert!(notice.contains("deaf.scope") && notice.contains("did not answer"), "{notice}");
        assert_eq!(tell(&["b.scope"], now, &mut report), 0, "left alone");
        let later = now + PAUSE;
        assert_eq!(tell(&["deaf.scope"], later, &mut report), 0);
        assert_eq!(report.notices.len(), 1, "the same reason");
        assert_eq!(tell(&["b.scope"], later + PAUSE, &mut report), 1);
    }

    #[test]
    fn a_unit_that_systemd_does_not_know_keeps_no_other_from_being_told() {
        let (manager, mut report) = (Double::default(), Report::default());
        let all = ["a.scope", "unknown.scope", "b.scope"].map(|name| unit(1, name));
        let known = Units::default().tell(all.into(), || Ok(&manager), Instant::now(), &mut report);
        assert_eq!((known.len(), report.notices.len()), (2, 1));
    }
}
