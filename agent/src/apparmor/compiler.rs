//! Text to policy: `apparmor_parser`, which loads nothing here.
//!
//! It runs with an empty environment and no cache, gets what it reads as a file or as standard
//! input, and its output is read before anything is done with it.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::fs::MemfdFlags;

use super::levels;

/// Where distributions have it.
const PLACES: [&str; 3] =
    ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser", "/usr/bin/apparmor_parser"];

/// A profile that takes longer was not written by somebody in their senses.
const TIME: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// A policy of this size is some thousand profiles.
const MAX_OUTPUT: u64 = 64 << 20;
const MAX_MESSAGES: u64 = 16 << 10;

/// What is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// A text of ours.
    Own(&'a str),
    /// A file of the operator's.
    File(&'a Path),
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompileError {
    /// There is no parser.
    #[error(
        "there is no apparmor_parser at {}: install the package `apparmor`, or name its place \
         with --parser (profiles.appArmorParser in the configuration)", list(.looked)
    )]
    Missing {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// It could not be run.
    #[error("cannot run {parser}: {source}")]
    Run {
        /// The parser.
        parser: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is wrong.
    #[error("{of} is no AppArmor profile that the parser takes: {said}")]
    Refused {
        /// The file, or what else it is.
        of: String,
        /// What the parser says, with the line.
        said: String,
    },
    /// It took too long.
    #[error("{parser} was not done after {} s and was ended: simplify the profile's patterns", TIME.as_secs())]
    TooLong {
        /// The parser.
        parser: PathBuf,
    },
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The parser.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    parser: PathBuf,
}

impl Compiler {
    /// The one at `place`, or where distributions have it.
    pub(crate) fn find(place: Option<&Path>) -> Result<Self, CompileError> {
        let places = match place {
            Some(place) => vec![place.to_owned()],
            None => PLACES.map(PathBuf::from).to_vec(),
        };
        match places.iter().find(|place| place.is_file()) {
            Some(parser) => Ok(Self { parser: parser.clone() }),
            None => Err(CompileError::Missing { looked: places }),
        }
    }

    /// Compiles for this node's kernel.
    pub(crate) fn compile(&self, source: Source<'_>) -> Result<Vec<u8>, CompileError> {
        let run = |source| CompileError::Run { parser: self.parser.clone(), source };
        let mut command = Command::new(&self.parser);
        command.env_clear().env("LC_ALL", "C").current_dir("/");
        // Nothing is loaded, no cache read or written, no warning: the policy on standard output.
        command.args(["--skip-kernel-load", "--skip-cache", "--quiet", "--stdout"]);
        // Kept open until the parser has read it, by its number there.
        let features = memory(levels::FEATURES, MemfdFlags::empty()).map_err(run)?;
        // Holds for a text that has no `abi` line: what distributions take then differs, and one
        // that begins as a copy of a level's must mean what the level's means.
        command.arg("--policy-features").arg(format!("/proc/self/fd/{}", features.as_raw_fd()));
        let (input, of) = match source {
            Source::Own(text) => {
                let text = memory(text, MemfdFlags::CLOEXEC).map_err(run)?;
                (Stdio::from(text), "the built-in profile".to_owned())
            }
            Source::File(path) => {
                let unreadable = |source| CompileError::Read { path: path.to_owned(), source };
                let path = path.canonicalize().map_err(unreadable)?;
                File::open(&path).map_err(unreadable)?;
                command.arg(&path);
                (Stdio::null(), path.display().to_string())
            }
        };
        let [output, messages] = ["", ""].map(|nothing| memory(nothing, MemfdFlags::CLOEXEC));
        let (mut output, mut messages) = (output.map_err(run)?, messages.map_err(run)?);
        command.stdin(input).stdout(output.try_clone().map_err(run)?);
        command.stderr(messages.try_clone().map_err(run)?);
        let status = self.wait(&mut command)?;
        if !status.success() {
            let said = read(&mut messages, MAX_MESSAGES).map_err(run)?;
            let said = summary(&said, status, &of);
            return Err(CompileError::Refused { of, said });
        }
        read(&mut output, MAX_OUTPUT).map_err(run)
    }

    fn wait(&self, command: &mut Command) -> Result<ExitStatus, CompileError> {
        let run = |source| CompileError::Run { parser: self.parser.clone(), source };
        let mut child = command.spawn().map_err(run)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(run)? {
                return Ok(status);
            }
            if begun.elapsed() > TIME {
                child.kill().and_then(|()| child.wait()).map_err(run)?;
                return Err(CompileError::TooLong { parser: self.parser.clone() });
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// A file that no file system has: the agent's own may be read-only.
fn memory(text: &str, flags: MemfdFlags) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("apparmor", flags)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn read(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The parser's words, on one line, without its own name and that of the file, which it says twice.
fn summary(said: &[u8], status: ExitStatus, of: &str) -> String {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let file = format!("for {of} in profile {of} ");
    let words: Vec<&str> = lines
        .map(|line| line.trim_start_matches("AppArmor parser error "))
        .map(|line| line.strip_prefix(&file).unwrap_or(line))
        .collect();
    if words.is_empty() { status.to_string() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt, process::ExitStatusExt};

    use super::*;

    /// A parser that does what a script says.
    fn parser(directory: &Path, script: &str) -> Compiler {
        let path = directory.join("parser");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Compiler::find(Some(&path)).unwrap()
    }

    #[test]
    fn a_parser_that_is_missing_is_told_with_what_to_do() {
        let error = Compiler::find(Some(Path::new("/no/parser"))).unwrap_err().to_string();
        assert!(error.contains("/no/parser") && error.contains("package `apparmor`"), "{error}");
        assert!(error.contains("--parser"), "{error}");
    }

    #[test]
    fn the_policy_is_what_the_parser_writes_and_it_is_told_to_load_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let compiler = parser(
            directory.path(),
            "cat; echo \"$@\" | cut -d' ' -f1-5; env | grep -c CARGO; true",
        );
        let said = compiler.compile(Source::Own("text\n")).unwrap();
        let expected =
            "text\n--skip-kernel-load --skip-cache --quiet --stdout --policy-features\n0\n";
        assert_eq!(String::from_utf8(said).unwrap(), expected);
    }

    #[test]
    fn what_the_parser_says_is_told_with_the_file_and_the_line() {
        let directory = tempfile::tempdir().unwrap();
        let compiler =
            parser(directory.path(), "echo 'AppArmor parser error at line 3: bad' >&2; exit 1");
        let file = directory.path().join("parser");
        let error = compiler.compile(Source::File(&file)).unwrap_err().to_string();
        assert!(error.contains("/parser is no AppArmor profile"), "{error}");
        assert!(error.ends_with("at line 3: bad"), "{error}");
        let missing = compiler.compile(Source::File(Path::new("/no/file"))).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read /no/file"), "{missing}");
    }

    #[test]
    fn the_file_is_named_once_and_an_included_one_is_named_too() {
        let summary = |text: &str| summary(text.as_bytes(), ExitStatus::from_raw(0x100), "/a");
        let own = summary("AppArmor parser error for /a in profile /a at line 6: syntax error\n");
        assert_eq!(own, "at line 6: syntax error");
        let included = summary("AppArmor parser error for /a in profile /b at line 2: bad\n");
        assert_eq!(included, "for /a in profile /b at line 2: bad");
    }

    #[test]
    fn a_parser_that_fails_without_a_word_is_told_by_its_status() {
        assert_eq!(summary(b"\n", ExitStatus::from_raw(0x100), "/a"), "exit status: 1");
    }
}
