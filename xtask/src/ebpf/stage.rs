//! A copy of the kernel side's sources, laid out as one workspace.
//!
//! Cargo hashes the place of a path dependency into every symbol name: relative to the workspace
//! if it is below it, else the absolute path. `abi/` and `guard/` are outside `ebpf/`, so an object
//! built in place would depend on where the repository lies. In the copy all three are members.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::cache;

/// The packages that the object is made of.
const PACKAGES: [&str; 3] = ["abi", "ebpf", "guard"];

/// Makes `stage` hold the sources of `repository` and nothing else.
///
/// A file that has the right content already is left alone, or cargo would compile it again.
pub(super) fn fill(stage: &Path, repository: &Path) -> Result<()> {
    let mut wanted = Vec::new();
    for package in PACKAGES {
        for path in cache::sorted_files(&repository.join(package).join("src"))? {
            let below = path.strip_prefix(repository)?.to_path_buf();
            wanted.push((below, read(&path)?));
        }
    }
    let workspace = parse(&repository.join("Cargo.toml"))?;
    let kernel_side = parse(&repository.join("ebpf/Cargo.toml"))?;
    wanted.push(("Cargo.toml".into(), top_manifest(workspace, &kernel_side)?.to_string().into()));
    for package in PACKAGES {
        let mut manifest = parse(&repository.join(package).join("Cargo.toml"))?;
        keep_what_is_built(&mut manifest);
        let below = Path::new(package).join("Cargo.toml");
        wanted.push((below, manifest.to_string().into()));
    }
    wanted.push(("Cargo.lock".into(), read(&repository.join("ebpf/Cargo.lock"))?));
    write_all(stage, &wanted)
}

/// The workspace's manifest: what members inherit from the repository's, and the profile from the
/// kernel side's.
fn top_manifest(mut repository: Table, kernel_side: &Table) -> Result<Table> {
    let workspace = repository.remove("workspace").context("Cargo.toml has no workspace")?;
    let Value::Table(mut workspace) = workspace else { anyhow::bail!("workspace is no table") };
    workspace.remove("exclude");
    workspace.remove("default-members");
    workspace.insert("members".into(), PACKAGES.to_vec().into());
    let profile = kernel_side.get("profile").context("ebpf/Cargo.toml has no profile")?;
    Ok(Table::from_iter([
        ("workspace".to_owned(), Value::Table(workspace)),
        ("profile".to_owned(), profile.clone()),
    ]))
}

/// Removes from a package's manifest what plays no part in this build. A member's tests and optional
/// parts would have to be in the lock file, which names only what the kernel side is made of.
fn keep_what_is_built(manifest: &mut Table) {
    for part in ["workspace", "profile", "dev-dependencies"] {
        manifest.remove(part);
    }
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        dependencies.retain(|_, it| it.get("optional").and_then(Value::as_bool) != Some(true));
    }
    // The features' names stay: the sources ask for them.
    if let Some(Value::Table(features)) = manifest.get_mut("features") {
        features.iter_mut().for_each(|(_, enables)| *enables = Value::Array(Vec::new()));
    }
}

fn parse(path: &Path) -> Result<Table> {
    let text = String::from_utf8(read(path)?).with_context(|| format!("{}", path.display()))?;
    text.parse().with_context(|| format!("cannot read {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write_all(stage: &Path, wanted: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    fs::create_dir_all(stage).with_context(|| format!("cannot make {}", stage.display()))?;
    let names: BTreeSet<PathBuf> = wanted.iter().map(|(below, _)| stage.join(below)).collect();
    for path in cache::sorted_files(stage)? {
        if !names.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for (below, content) in wanted {
        let path = stage.join(below);
        if fs::read(&path).ok().as_ref() == Some(content) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(stage: &Path) -> Vec<String> {
        let paths = cache::sorted_files(stage).unwrap();
        paths.iter().map(|p| p.strip_prefix(stage).unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_stage_is_one_workspace_of_the_three_packages() {
        let stage = tempfile::tempdir().unwrap();
        fill(stage.path(), &cache::repository()).unwrap();
        let top = parse(&stage.path().join("Cargo.toml")).unwrap();
        assert_eq!(top["workspace"]["members"], PACKAGES.to_vec().into());
        assert!(top["profile"]["release"]["lto"].as_bool().unwrap());
        let kernel_side = parse(&stage.path().join("ebpf/Cargo.toml")).unwrap();
        assert!(!kernel_side.contains_key("workspace"), "two workspaces in one another");
        assert!(files(stage.path()).contains(&"guard/src/lib.rs".to_owned()));
    }

    #[test]
    fn a_removed_source_leaves_the_stage_and_an_unchanged_one_is_not_touched() {
        let stage = tempfile::tempdir().unwrap();
        let write = |wanted: &[(&str, &str)]| {
            let wanted: Vec<_> =
                wanted.iter().map(|(name, text)| (name.into(), text.as_bytes().to_vec())).collect();
            write_all(stage.path(), &wanted).unwrap();
        };
        write(&[("a/old.rs", "x"), ("a/same.rs", "y")]);
        let written = || fs::metadata(stage.path().join("a/same.rs")).unwrap().modified().unwrap();
        let before = written();
        write(&[("a/same.rs", "y"), ("a/new.rs", "z")]);
        assert_eq!(files(stage.path()), ["a/new.rs", "a/same.rs"]);
        assert_eq!(written(), before);
    }
}
