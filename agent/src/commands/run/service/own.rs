//! What of the agent's nobody else may touch.

use std::path::PathBuf;

use bulkhead_policy::{catalogue::Severity, configuration::Configuration};

use super::Service;
use crate::kernel::identify_all;

impl Service {
    /// Tells the kernel side which files are the agent's: what it keeps, what it answers on, what it
    /// is configured by, and its program. Those that are not there yet are told when the
    /// configuration is read again.
    pub(super) fn protect(&mut self, configuration: &Configuration) -> anyhow::Result<()> {
        let mut paths = vec![
            configuration.state_directory.clone(),
            configuration.evidence_directory(),
            configuration.runtime_directory.clone(),
            PathBuf::from("/proc/self/exe"),
        ];
        paths.extend(self.watcher.as_ref().map(|watcher| watcher.path().to_owned()));
        let (files, failed) = identify_all(paths.iter().map(PathBuf::as_path));
        self.guard.protect(&files)?;
        for message in failed {
            self.notice("control", Severity::Medium, &format!("not protected: {message}"));
        }
        Ok(())
    }
}
