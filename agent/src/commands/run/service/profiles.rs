//! The loop's side of profiles: a thread of its own loads and keeps them, because compiling takes
//! longer than the loop may wait.

use std::{io, path::Path, sync::Arc, time::Duration};

use bulkhead_policy::{
    catalogue::Severity,
    configuration::{Configuration, Profiles},
};
use tokio::sync::mpsc;

use super::Service;
use crate::{
    apparmor::{self, Keeper, Told},
    profiles,
    report::metrics::Metrics,
};

/// So often it is looked whether the kernel still holds what was loaded.
const LOOK: Duration = Duration::from_secs(3);
/// Nobody waits for what is told here; what finds no room waits in the thread.
const ROOM: usize = 16;

/// What the thread says.
enum News {
    /// Something to be told, and about what.
    Told(&'static str, Told),
    /// Every level's AppArmor profile is loaded.
    Loaded,
}

/// The thread.
pub(super) struct ProfileThread {
    news: mpsc::Receiver<News>,
}

impl ProfileThread {
    /// Begins to put the profiles in their places. Where one cannot be, it is told.
    pub(super) fn start(configuration: &Configuration, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let (sender, news) = mpsc::channel(ROOM);
        let (wanted, metrics) = (configuration.profiles.clone(), Arc::clone(metrics));
        let thread = std::thread::Builder::new().name("profiles".to_owned());
        drop(thread.spawn(move || keep(&wanted, &sender, &metrics))?);
        Ok(Self { news })
    }
}

impl Service {
    /// Called on every tick.
    pub(super) fn tell_profiles(&mut self) {
        while let Ok(news) = self.profiles.news.try_recv() {
            match news {
                News::Told(subject, told) => self.notice(subject, told.severity, &told.message),
                News::Loaded => {
                    self.handout.name_app_armor();
                    self.handout.change(self.workloads.policy());
                }
            }
        }
    }
}

/// Ends when nobody listens any more: what is loaded stays loaded.
fn keep(wanted: &Profiles, sender: &mpsc::Sender<News>, metrics: &Metrics) {
    let tell = |subject, told| sender.blocking_send(News::Told(subject, told)).is_ok();
    if wanted.seccomp {
        let told = install(&wanted.seccomp_directory);
        if !told.is_none_or(|told| tell("seccomp", told)) {
            return;
        }
    }
    if !wanted.app_armor {
        return;
    }
    let directory = wanted.app_armor_directory.clone();
    let mut keeper = match apparmor::open(wanted.app_armor_parser.as_deref(), directory) {
        Ok(keeper) => keeper,
        Err((severity, why)) => {
            let message = format!("the levels' AppArmor profiles are not loaded: {why}");
            // Whether it is heard or not, there is no more to say.
            let _heard = tell("apparmor", Told { severity, message });
            return;
        }
    };
    let mut all = false;
    while look(&mut keeper, &tell, metrics) {
        if !all && keeper.standing().all(|(_, in_force)| in_force) {
            all = true;
            if sender.blocking_send(News::Loaded).is_err() {
                return;
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether somebody still listens.
fn look(keeper: &mut Keeper, tell: &dyn Fn(&'static str, Told) -> bool, metrics: &Metrics) -> bool {
    let news = keeper.look();
    for name in &news.drifted {
        metrics.enforcement.profile_drifted(name);
    }
    metrics.enforcement.set_profiles(keeper.standing());
    news.told.into_iter().all(|told| tell("apparmor", told))
}

/// The levels' seccomp profiles, where there is a kubelet.
fn install(directory: &Path) -> Option<Told> {
    let kubelet = directory.parent().is_some_and(Path::is_dir);
    if !kubelet && !directory.is_dir() {
        tracing::info!(
            directory = %directory.display(),
            "no kubelet keeps seccomp profiles here: none are installed"
        );
        return None;
    }
    match profiles::install(directory) {
        Ok(installed) => {
            let written = installed.iter().filter(|file| file.written).count();
            let message = format!(
                "seccomp profiles in {}: {written} of {} written, the others were there",
                directory.display(),
                installed.len()
            );
            (written > 0).then_some(Told { severity: Severity::Low, message })
        }
        Err(error) => {
            let message = error.to_string();
            Some(Told { severity: Severity::Medium, message })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seccomp_profiles_are_installed_where_a_kubelet_is_and_told_once() {
        let kubelet = tempfile::tempdir().unwrap();
        let directory = kubelet.path().join("seccomp");
        let told = install(&directory).unwrap();
        assert_eq!(told.severity, Severity::Low);
        assert!(directory.join("bulkhead/untrusted.json").exists());
        assert_eq!(install(&directory), None, "nothing new");
    }

    #[test]
    fn without_a_kubelet_nothing_is_made() {
        let nowhere = tempfile::tempdir().unwrap();
        assert_eq!(install(&nowhere.path().join("kubelet/seccomp")), None);
        assert!(!nowhere.path().join("kubelet").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told() {
        let told = install(Path::new("/proc/self")).unwrap();
        assert_eq!(told.severity, Severity::Medium);
        assert!(told.message.contains("/proc/self/bulkhead"), "{}", told.message);
    }
}
