//! The address of a Debian mirror, read from the machine's own apt sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Where the suites of Debian are; the security suites are on a path of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mirrors {
    debian: Option<String>,
    security: Option<String>,
}

/// One source of packages: an address and the suites and components taken from it.
#[derive(Debug)]
struct Source {
    address: String,
    suites: Vec<String>,
    components: Vec<String>,
}

impl Mirrors {
    /// What this machine's apt uses, or what the environment says instead
    /// (`BULKHEAD_DEBIAN_MIRROR`, `BULKHEAD_DEBIAN_SECURITY_MIRROR`).
    pub(crate) fn of_this_machine() -> Result<Self> {
        let codename = debian_codename(&fs::read_to_string("/etc/os-release").unwrap_or_default());
        let mut sources = Vec::new();
        for path in source_files(Path::new("/etc/apt"))? {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let deb822 = path.extension().is_some_and(|extension| extension == "sources");
            sources.extend(if deb822 { parse_deb822(&text) } else { parse_one_line(&text) });
        }
        let found = codename.map(|name| Self::among(&sources, &name)).unwrap_or_default();
        let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            debian: told("BULKHEAD_DEBIAN_MIRROR").or(found.debian),
            security: told("BULKHEAD_DEBIAN_SECURITY_MIRROR").or(found.security),
        })
    }

    fn among(sources: &[Source], codename: &str) -> Self {
        let find = |suite: &str| {
            let mut fitting = sources.iter().filter(|source| {
                source.suites.iter().any(|name| name == suite)
                    && source.components.iter().any(|name| name == "main")
            });
            fitting.next().map(|source| source.address.clone())
        };
        Self { debian: find(codename), security: find(&format!("{codename}-security")) }
    }

    /// The address to take a suite from.
    pub(crate) fn address(&self, suite: &str) -> Result<&str> {
        let (address, variable) = if suite.ends_with("-security") {
            (&self.security, "BULKHEAD_DEBIAN_SECURITY_MIRROR")
        } else {
            (&self.debian, "BULKHEAD_DEBIAN_MIRROR")
        };
        address.as_deref().with_context(|| {
            format!(
                "this machine's apt sources name no Debian mirror for {suite}; \
                 set {variable} to the address of one"
            )
        })
    }
}

/// The release name of a Debian machine; other distributions' sources are of no use here.
fn debian_codename(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    (field("ID")? == "debian").then(|| field("VERSION_CODENAME"))?
}

fn source_files(etc: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![etc.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc.join("sources.list.d")) {
        for entry in entries {
            files.push(entry.context("cannot list the apt sources")?.path());
        }
    }
    files.sort();
    files.retain(|path| {
        path.is_file() && path.extension().is_some_and(|end| end == "list" || end == "sources")
    });
    Ok(files)
}

/// Stanzas of `Field: value` lines.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| -> Vec<String> {
            let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let off = field("Enabled").iter().any(|value| value == "no");
        if off || !field("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        for address in field("URIs") {
            sources.push(Source {
                address,
                suites: field("Suites"),
                components: field("Components"),
            });
        }
    }
    sources
}

/// Lines of `deb [options] address suite component...`.
fn parse_one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_source_line).collect()
}

fn parse_source_line(line: &str) -> Option<Source> {
    let mut rest = line.trim().strip_prefix("deb")?.trim_start();
    if rest.starts_with('[') {
        rest = rest.split_once(']')?.1;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let address = words.next().filter(|address| address.contains(':'))?;
    Some(Source { address, suites: vec![words.next()?], components: words.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "Types: deb\n# a comment\nURIs: http://mirror.test/debian\n\
        Suites: bookworm bookworm-updates\nComponents: main\n\n\
        Types: deb\nURIs: http://mirror.test/debian-security\nSuites: bookworm-security\n\
        Components: main\n";

    fn expected() -> Mirrors {
        Mirrors {
            debian: Some("http://mirror.test/debian".into()),
            security: Some("http://mirror.test/debian-security".into()),
        }
    }

    #[test]
    fn stanzas_and_lines_name_the_same_mirrors() {
        let lines = "deb-src http://src.test/debian bookworm main\n\
            # deb http://off.test/debian bookworm main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main contrib\n\
            deb http://mirror.test/debian-security bookworm-security main\n";
        assert_eq!(Mirrors::among(&parse_deb822(BOOKWORM), "bookworm"), expected());
        assert_eq!(Mirrors::among(&parse_one_line(lines), "bookworm"), expected());
    }

    #[test]
    fn other_vendors_sources_are_not_taken_for_debian() {
        let text = "deb https://vendor.test/linux/debian bookworm stable\n\
            deb https://vendor.test/apt cloud-bookworm main\n";
        assert_eq!(Mirrors::among(&parse_one_line(text), "bookworm"), Mirrors::default());
        assert_eq!(debian_codename("ID=ubuntu\nVERSION_CODENAME=noble\n"), None);
        assert_eq!(debian_codename("ID=debian\nVERSION_CODENAME=bookworm\n").unwrap(), "bookworm");
    }

    #[test]
    fn security_suites_come_from_the_security_mirror() {
        assert_eq!(
            expected().address("trixie-security").unwrap(),
            "http://mirror.test/debian-security"
        );
        assert_eq!(expected().address("trixie-backports").unwrap(), "http://mirror.test/debian");
    }

    #[test]
    fn a_missing_mirror_names_the_variable_to_set() {
        let error = Mirrors::default().address("sid").expect_err("there is none");
        assert!(error.to_string().contains("BULKHEAD_DEBIAN_MIRROR"));
    }
}
