//! One look at all containers.

use std::{collections::HashMap, path::Path, time::Instant};

use bulkhead_policy::{
    catalogue::Severity,
    limits::{File, Plan, Setting, Total, plan},
};

use super::{
    Report, Snapshot, Subject,
    cgroup::Cgroup,
    container::{Container, Looked, State},
    disks::disks,
    parts,
    pressure::Pressure,
    remembered::Remembered,
    units::{Unit, Units},
};
use crate::node::{cgroupfs::CgroupTree, systemd::Systemd};

/// What lasts from one pass to the next.
pub(super) struct Passes {
    tree: CgroupTree,
    remembered: Remembered,
    containers: HashMap<u64, Container>,
    pressure: Pressure,
    units: Units,
    saving_fails: bool,
}

impl Passes {
    pub(super) fn new(tree: CgroupTree, remembered: Remembered) -> Self {
        Self {
            tree,
            remembered,
            containers: HashMap::new(),
            pressure: Pressure::default(),
            units: Units::default(),
            saving_fails: false,
        }
    }

    /// Looks at all of them.
    pub(super) fn run(&mut self, snapshot: &Snapshot) -> Report {
        let now = Instant::now();
        let mut report = Report::default();
        let subjects: Vec<(&Subject, Cgroup)> = snapshot
            .subjects
            .iter()
            // A path that another cgroup has by now is not the container's.
            .filter(|it| self.tree.id(Path::new(&it.path)).is_ok_and(|id| id == it.cgroup))
            .map(|it| (it, Cgroup::new(self.tree.full_path(Path::new(&it.path)))))
            .collect();
        self.containers.retain(|id, _| subjects.iter().any(|(subject, _)| subject.cgroup == *id));
        let parts = self.parts(snapshot, &subjects, &mut report);
        let rates = subjects.iter().any(|(subject, _)| subject.limits.io != Default::default());
        let disks = if rates { disks(Path::new("/sys/block")) } else { Vec::new() };
        let mut units = Vec::new();
        for ((subject, cgroup), part) in subjects.iter().zip(parts) {
            let plan = plan(&subject.limits, part, &disks);
            let mut looked =
                self.container(subject).look(cgroup, &plan, subject.asked.as_ref(), now);
            let to_record = std::mem::take(&mut looked.to_record);
            units.extend(Unit::of(subject.cgroup, &subject.path, to_record));
            tell(subject, looked, &mut report);
        }
        for unit in self.units.tell(units, Systemd::connect, now, &mut report) {
            if let Some(container) = self.containers.get_mut(&unit.cgroup) {
                container.recorded(unit.settings);
            }
        }
        self.save(&mut report);
        if !snapshot.hurry {
            self.look_at_pressure(&subjects, now, &mut report);
        }
        report
    }

    fn container(&mut self, subject: &Subject) -> &mut Container {
        let remembered = &mut self.remembered;
        self.containers.entry(subject.cgroup).or_insert_with(|| {
            Container::remembering(remembered.take(subject.cgroup), subject.found.clone())
        })
    }

    /// Each container's part of its tenant's sum.
    fn parts(
        &mut self,
        snapshot: &Snapshot,
        subjects: &[(&Subject, Cgroup)],
        report: &mut Report,
    ) -> Vec<Total> {
        let mut all = vec![Total::default(); subjects.len()];
        for (tenant, sum) in &snapshot.sums {
            let own: Vec<usize> = subjects
                .iter()
                .enumerate()
                .filter(|(_, (subject, _))| subject.tenant == *tenant)
                .map(|(at, _)| at)
                .collect();
            let asks: Vec<Total> = own
                .iter()
                .filter_map(|at| subjects.get(*at))
                .map(|(subject, cgroup)| self.ask(subject, cgroup))
                .collect();
            for (at, part) in own.iter().zip(parts(*sum, &asks)) {
                if let Some(slot) = all.get_mut(*at) {
                    *slot = part;
                }
            }
            report.asks.push((tenant.clone(), asks));
        }
        all
    }

    /// What a container would take if its tenant had no sum.
    fn ask(&mut self, subject: &Subject, cgroup: &Cgroup) -> Total {
        let plan: Plan = plan(&subject.limits, Total::default(), &[]);
        let container = self.container(subject);
        let ask = |file: File| {
            let asked = match &subject.asked {
                Some(asked) => asked.get(&file).cloned(),
                None => {
                    container.before(&file).cloned().or_else(|| cgroup.read(&file).ok().flatten())
                }
            };
            [asked, plan.get(&file).cloned()].iter().flatten().filter_map(Setting::amount).min()
        };
        Total { memory: ask(File::MemoryMax), cpu: ask(File::CpuMax), pids: ask(File::PidsMax) }
    }

    fn save(&mut self, report: &mut Report) {
        let containers = self.containers.iter().map(|(id, container)| (*id, &container.known));
        match self.remembered.save(containers) {
            Ok(()) => self.saving_fails = false,
            Err(error) if !self.saving_fails => {
                self.saving_fails = true;
                let message = format!(
                    "what containers had before their limits cannot be written down ({error}): after \
                     a restart of the agent limits only tighten for them"
                );
                report.notices.push(("limits", Severity::Medium, message));
            }
            Err(_told) => {}
        }
    }

    fn look_at_pressure(
        &mut self,
        subjects: &[(&Subject, Cgroup)],
        now: Instant,
        report: &mut Report,
    ) {
        for stall in self.pressure.look(subjects, now) {
            if self.pressure.is_news(&stall, now) {
                let message = format!(
                    "tenant {} stalled by tenant {}: {} waited {:.1} s for {} while {} used {} % of \
                     what all containers used",
                    stall.tenant,
                    stall.suspect,
                    stall.container,
                    std::time::Duration::from_micros(stall.stalled).as_secs_f64(),
                    stall.resource.as_str(),
                    stall.suspect_container,
                    stall.percent,
                );
                report.notices.push(("pressure", Severity::Medium, message));
            }
            report.stalls.push(stall);
        }
    }
}

fn tell(subject: &Subject, looked: Looked, report: &mut Report) {
    for (severity, what) in looked.told {
        let message = format!("{} of tenant {}: {what}", subject.name, subject.tenant);
        report.notices.push(("limits", severity, message));
    }
    let drifts = looked.drifted.into_iter().map(|file| (subject.tenant.clone(), file));
    report.drifts.extend(drifts);
    report.held.push((subject.cgroup, looked.files));
}

/// How many files stand how.
pub(crate) fn count(held: &[(u64, Vec<super::HeldFile>)]) -> [(State, usize); 5] {
    State::ALL.map(|state| {
        let files = held.iter().flat_map(|(_, files)| files);
        (state, files.filter(|file| file.state == state).count())
    })
}
