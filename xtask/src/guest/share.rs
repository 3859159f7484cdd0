//! The share: a small read-only disk with our programs, the caller's files and the command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

use super::Containerd;
use crate::command;

/// The directory of the share that belongs to the runner, not to the caller.
const RUNNER: &str = ".run";

/// A file or directory of this machine, and its name below /share in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    path: PathBuf,
    name: String,
}

impl Shared {
    /// Shares a path under its own name.
    pub(crate) fn under_own_name(path: &Path) -> Result<Self> {
        let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
        Ok(Self { path: path.to_path_buf(), name: name.to_string_lossy().into_owned() })
    }

    /// Shares a path under another name.
    pub(crate) fn named(path: &Path, name: &str) -> Result<Self> {
        let path =
            path.canonicalize().with_context(|| format!("cannot share {}", path.display()))?;
        Ok(Self { path, name: name.to_owned() })
    }
}

impl FromStr for Shared {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (path, name) = match text.rsplit_once(':') {
            Some((path, name)) => (Path::new(path), Some(name)),
            None => (Path::new(text), None),
        };
        let whole =
            path.canonicalize().with_context(|| format!("cannot share {}", path.display()))?;
        let mut shared = Self::under_own_name(&whole)?;
        if let Some(name) = name {
            ensure!(
                !name.is_empty() && !name.contains('/') && name != RUNNER,
                "`{name}` cannot be a name below /share"
            );
            name.clone_into(&mut shared.name);
        }
        Ok(shared)
    }
}

/// What the guest is to do.
#[derive(Debug)]
pub(crate) enum Task<'a> {
    /// Run this command; `mark` ends its two output streams.
    Run { command: &'a [String], mark: &'a str },
    /// Give a shell on the console.
    Shell,
}

/// Makes the disk. The directory given is for staging and is left empty.
pub(crate) fn make(
    disk: &Path,
    stage: &Path,
    shared: &[Shared],
    containerd: Containerd,
    task: &Task<'_>,
) -> Result<()> {
    let runner = stage.join(RUNNER);
    fs::create_dir_all(&runner).with_context(|| format!("cannot make {}", runner.display()))?;
    fs::write(runner.join("containerd"), containerd.name())?;
    match task {
        Task::Run { command, mark } => {
            fs::write(runner.join("mark"), mark)?;
            fs::write(runner.join("command"), script(command))?;
        }
        Task::Shell => fs::write(runner.join("shell"), "")?,
    }
    for Shared { path, name } in shared {
        let to = stage.join(name);
        if to.exists() {
            bail!("two shared files have the name {name}");
        }
        command::run(Command::new("cp").args(["-rL", "--preserve=mode", "-T"]).arg(path).arg(to))?;
    }
    fs::set_permissions(stage, fs::Permissions::from_mode(0o755))?;
    make_disk(stage, disk)?;
    fs::remove_dir_all(stage).context("cannot remove the staging directory")
}

/// Makes a disk that has room for a tree and no more.
pub(super) fn make_disk(tree: &Path, disk: &Path) -> Result<()> {
    let size = measure(tree)?;
    let mut mkfs = Command::new("mke2fs");
    mkfs.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0"]);
    mkfs.arg("-N").arg(size.inodes().to_string()).arg("-d").arg(tree).arg(disk);
    command::run(mkfs.arg(format!("{}k", size.kibibytes())))
}

/// The command as a shell script; each word arrives as it was given.
fn script(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("exec {}\n", quoted.join(" "))
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How much a tree holds.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    files: u64,
    bytes: u64,
}

impl Size {
    const BLOCK: u64 = 4096;

    /// A tenth and 4 MiB more than the files, for the file system's own tables.
    fn kibibytes(self) -> u64 {
        let bytes = self.bytes + self.files * Self::BLOCK;
        (bytes + bytes / 10) / 1024 + 4096
    }

    fn inodes(self) -> u64 {
        self.files + 64
    }
}

fn measure(directory: &Path) -> Result<Size> {
    let mut size = Size::default();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        size.files += 1;
        if meta.is_dir() {
            let below = measure(&entry.path())?;
            size.files += below.files;
            size.bytes += below.bytes;
        } else {
            size.bytes += meta.len().next_multiple_of(Size::BLOCK);
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_shell_gives_back_the_very_words_of_the_command() {
        let given = ["printf", "%s\\n", "it's", "$HOME `id`", "two\nlines", "", "\"q\"", "*"];
        let printed = command::output(Command::new("sh").arg("-c").arg(script(&words(&given))));
        assert_eq!(printed.unwrap(), given[2..].join("\n") + "\n");
    }

    #[test]
    fn a_shared_path_has_its_own_name_unless_told_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(Shared::from_str(&format!("{path}:tool")).unwrap().name, "tool");
        assert!(path.ends_with(&Shared::from_str(path).unwrap().name));
        assert!(Shared::from_str(&format!("{path}:a/b")).is_err());
        assert!(Shared::from_str(&format!("{path}:.run")).is_err());
        assert!(Shared::from_str("/no/such/file").is_err());
    }

    #[test]
    fn the_disk_has_room_for_the_files_and_their_tables() {
        let size = Size { files: 10, bytes: 100 << 20 };
        assert!(size.kibibytes() > 110 * 1024 && size.inodes() >= 10);
    }
}
