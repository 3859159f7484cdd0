//! Whether an act would make the kernel load a module, which would stay loaded.

use std::{fs, io, path::PathBuf};

/// Why asking for `alias` would load a module into this kernel; `None` where it would not.
///
/// modprobe runs in the node's own root directory, so that is where it is looked up.
pub(crate) fn would_load(alias: &str) -> Option<String> {
    let loaded = match fs::read_to_string("/proc/modules") {
        Ok(loaded) => loaded,
        // A kernel without modules.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("cannot tell which modules are loaded: {error}")),
    };
    let release = match nix::sys::utsname::uname() {
        Ok(names) => names.release().to_owned(),
        Err(errno) => return Some(format!("cannot tell the kernel's release: {errno}")),
    };
    let path: PathBuf =
        ["/proc/1/root/lib/modules".as_ref(), release.as_os_str(), "modules.alias".as_ref()]
            .iter()
            .collect();
    match fs::read_to_string(&path) {
        Ok(aliases) => module_of(alias, &aliases)
            .filter(|module| !is_loaded(module, &loaded))
            .map(|module| format!("it would load the kernel module {module}")),
        // No modules on disk: nothing can be loaded.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("cannot read {}: {error}", path.display())),
    }
}

fn module_of<'a>(alias: &str, aliases: &'a str) -> Option<&'a str> {
    aliases.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is_it = words.next() == Some("alias") && words.next() == Some(alias);
        words.next().filter(|_| is_it)
    })
}

fn is_loaded(module: &str, modules: &str) -> bool {
    modules.lines().any(|line| line.split_whitespace().next() == Some(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIASES: &str = "# comment\nalias net-pf-38 af_alg\nalias net-pf-38-proto-1 other\n";

    #[test]
    fn an_alias_names_its_module() {
        assert_eq!(module_of("net-pf-38", ALIASES), Some("af_alg"));
        assert_eq!(module_of("net-pf-30", ALIASES), None);
    }

    #[test]
    fn a_loaded_module_is_recognised_by_its_whole_name() {
        assert!(is_loaded("af_alg", "af_alg 32768 0 - Live 0x0\n"));
        assert!(!is_loaded("af", "af_alg 32768 0 - Live 0x0\n"));
    }
}
