//! Finds the runtime behind this one. Its name is in the wrapper's own: `bulkhead-crun` stands in
//! front of `crun`. So the right one is found whatever became of the settings.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{refusal::Refusal, settings::Settings};

/// What the wrapper's name begins with.
const PREFIX: &str = "bulkhead-";
/// The name of the program itself, which says nothing.
const NO_NAME: &str = "runtime";

/// Searched after PATH: distributions and CRI-O's packages.
const DIRECTORIES: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/libexec/crio", "/opt/bin"];

/// The path of the real runtime, for a wrapper called by this name.
///
/// # Errors
/// When there is none.
pub fn find(invoked: &OsStr, settings: &Settings) -> Result<PathBuf, Refusal> {
    let name = name(invoked, settings);
    if let Some(path) = settings.runtimes.get(&name) {
        return Ok(path.clone());
    }
    if Path::new(&name).is_absolute() {
        return Ok(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let own = fs::metadata("/proc/self/exe").ok().map(|it| (it.dev(), it.ino()));
    let directories = env::split_paths(&path).chain(DIRECTORIES.map(PathBuf::from));
    let mut candidates = directories.map(|directory| directory.join(&name));
    // Never itself, whatever it was installed as.
    let fits = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok().filter(|it| it.is_file() && it.mode() & 0o111 != 0);
        path.is_absolute() && metadata.is_some_and(|it| Some((it.dev(), it.ino())) != own)
    };
    candidates.find(fits).ok_or(Refusal::NoRuntime { name })
}

fn name(invoked: &OsStr, settings: &Settings) -> String {
    let file = Path::new(invoked).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match file.strip_prefix(PREFIX).unwrap_or(&file) {
        "" | NO_NAME => settings.runtime.clone(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        Settings::load(file.path())
    }

    #[test]
    fn the_wrapper_s_name_says_which_runtime_it_is() {
        let broken = settings("{");
        for (invoked, expected) in [
            ("/opt/bulkhead/bin/bulkhead-crun", "crun"),
            ("bulkhead-runc", "runc"),
            ("/usr/local/bin/runc", "runc"),
            ("bulkhead-runtime", "runc"),
        ] {
            assert_eq!(name(OsStr::new(invoked), &broken), expected, "{invoked}");
        }
        let crun = settings(r#"{"runtime":"crun","runtimes":{"crun":"/x/crun"}}"#);
        assert_eq!(name(OsStr::new("bulkhead-runtime"), &crun), "crun");
        assert_eq!(find(OsStr::new("bulkhead-runtime"), &crun).unwrap(), Path::new("/x/crun"));
    }

    #[test]
    fn it_never_finds_itself() {
        let own = env::current_exe().unwrap();
        let settings = settings("{}");
        let found = find(own.file_name().unwrap(), &settings);
        assert!(matches!(found, Err(Refusal::NoRuntime { .. })), "{found:?}");
    }
}
