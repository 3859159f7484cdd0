//! The configuration file: read, watched, kept when the new one is bad.

use std::{
    io,
    path::{Path, PathBuf},
};

use bulkhead_policy::{
    Settings,
    configuration::{self, Refused},
};

/// A configuration has some kilobytes; what is larger is no configuration.
const MAX_SIZE: u64 = 4 << 20;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file could not be read.
    #[error("cannot read the configuration {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong; each line of the message is one fault.
    #[error("the configuration is not valid:\n{0}")]
    Refused(Refused),
}

/// Reads the file, or takes the defaults where there is none.
pub(crate) fn load(path: Option<&Path>) -> Result<Settings, SettingsError> {
    let Some(path) = path else {
        return configuration::defaults().map_err(SettingsError::Refused);
    };
    let text = read(path)?;
    configuration::read(&path.display().to_string(), &text).map_err(SettingsError::Refused)
}

fn read(path: &Path) -> Result<String, SettingsError> {
    use std::io::Read;
    let failed = |source| SettingsError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    let size = file.take(MAX_SIZE + 1).read_to_string(&mut text).map_err(failed)?;
    if size as u64 > MAX_SIZE {
        return Err(failed(io::Error::other(format!("it is larger than {MAX_SIZE} bytes"))));
    }
    Ok(text)
}

/// Notices that the file's content has changed.
///
/// It reads the content instead of waiting for file events: a ConfigMap changes by a symbolic link
/// two directories up, an editor by a rename, and neither may be missed.
pub(crate) struct Watcher {
    path: PathBuf,
    last: Option<String>,
}

/// What a look at the file showed.
pub(crate) enum Change {
    /// Nothing new.
    None,
    /// New settings.
    Good(Box<Settings>),
    /// New, and not valid. The old ones stay in force.
    Bad(SettingsError),
}

impl Watcher {
    /// Watches a file that has just been loaded.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), last: read(path).ok() }
    }

    /// Which file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file.
    pub(crate) fn look(&mut self) -> Change {
        match read(&self.path) {
            Ok(text) if self.last.as_ref() == Some(&text) => Change::None,
            Ok(text) => {
                let settings = configuration::read(&self.path.display().to_string(), &text);
                self.last = Some(text);
                match settings {
                    Ok(settings) => Change::Good(Box::new(settings)),
                    Err(refused) => Change::Bad(SettingsError::Refused(refused)),
                }
            }
            // Told once, until the file is back.
            Err(error) => match self.last.take() {
                Some(_) => Change::Bad(error),
                None => Change::None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "tenants:\n  - name: a\n    level: untrusted\n    namespaces: [a]\n";

    #[test]
    fn a_bad_change_is_told_once_and_a_good_one_follows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, "").unwrap();
        let mut watcher = Watcher::new(&path);
        assert!(matches!(watcher.look(), Change::None));
        std::fs::write(&path, "tenants: 3\n").unwrap();
        assert!(matches!(watcher.look(), Change::Bad(SettingsError::Refused(_))));
        assert!(matches!(watcher.look(), Change::None), "told once");
        std::fs::write(&path, GOOD).unwrap();
        let Change::Good(settings) = watcher.look() else { panic!("expected settings") };
        assert_eq!(settings.policy.tenants().len(), 1);
    }

    #[test]
    fn a_file_that_vanishes_is_told_and_its_return_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, GOOD).unwrap();
        let mut watcher = Watcher::new(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(watcher.look(), Change::Bad(SettingsError::Read { .. })));
        assert!(matches!(watcher.look(), Change::None));
        std::fs::write(&path, GOOD).unwrap();
        assert!(matches!(watcher.look(), Change::Good(_)));
    }

    #[test]
    fn without_a_file_nobody_is_blocked() {
        let settings = load(None).unwrap();
        assert!(settings.policy.tenants().is_empty());
        assert!(!settings.policy.default_level().refuses_anything());
    }

    #[test]
    fn a_missing_file_is_an_error_that_names_it() {
        let error = load(Some(Path::new("/no/such/config.yaml"))).unwrap_err();
        assert!(error.to_string().contains("/no/such/config.yaml"));
    }
}
