//! What the runtime is asked to do, as far as the wrapper cares: which container is made from which
//! configuration, or which process is run in which container. Whatever else was typed is the
//! runtime's business, faults included.
//!
//! runc reads options as Go's `flag` does (`-log` is `--log`), crun as GNU's `argp` (`-bDIR`,
//! `--bund DIR`). Both spellings are understood.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A container is made from this configuration file: `create`, `run`, `restore`.
    Make(PathBuf),
    /// A process that this file describes is run in a container.
    Exec {
        /// The process's description.
        process: PathBuf,
        /// The container's id.
        container: OsString,
        /// Where the runtime keeps its containers' state, if it was told.
        root: Option<PathBuf>,
    },
    /// Anything else.
    Other,
}

/// The runtime's log file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The file.
    pub file: Option<PathBuf>,
    /// Whether its lines are JSON.
    pub json: bool,
}

/// A call and where its faults are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub call: Call,
    /// Where the caller looks for errors.
    pub log: Log,
}

/// An option: its long name, its short one, whether a value belongs to it.
type Known = (&'static str, Option<u8>, bool);

const VALUE: bool = true;
const FLAG: bool = false;

/// Options before the verb, of runc and crun.
const GLOBAL: &[Known] = &[
    ("log", None, VALUE),
    ("log-format", None, VALUE),
    ("log-level", None, VALUE),
    ("root", None, VALUE),
    ("criu", None, VALUE),
    ("rootless", None, VALUE),
    ("cgroup-manager", None, VALUE),
    ("systemd-cgroup", None, FLAG),
    ("debug", None, FLAG),
    ("help", Some(b'h'), FLAG),
    ("usage", None, FLAG),
    ("version", Some(b'v'), FLAG),
];

/// Options of the verbs that make a container.
const MAKE: &[Known] = &[
    ("bundle", Some(b'b'), VALUE),
    ("config", Some(b'f'), VALUE),
    ("console-socket", None, VALUE),
    ("pidfd-socket", None, VALUE),
    ("pid-file", None, VALUE),
    ("preserve-fds", None, VALUE),
    ("image-path", None, VALUE),
    ("work-path", None, VALUE),
    ("manage-cgroups-mode", None, VALUE),
    ("empty-ns", None, VALUE),
    ("lsm-profile", None, VALUE),
    ("lsm-mount-context", None, VALUE),
    ("status-fd", None, VALUE),
    ("no-pivot", None, FLAG),
    ("no-new-keyring", None, FLAG),
    ("no-subreaper", None, FLAG),
    ("detach", Some(b'd'), FLAG),
    ("keep", None, FLAG),
    ("tcp-established", None, FLAG),
    ("ext-unix-sk", None, FLAG),
    ("shell-job", None, FLAG),
    ("file-locks", None, FLAG),
    ("auto-dedup", None, FLAG),
    ("lazy-pages", None, FLAG),
    ("help", Some(b'h'), FLAG),
];

/// Options of `exec`.
const EXEC: &[Known] = &[
    ("process", Some(b'p'), VALUE),
    ("console-socket", None, VALUE),
    ("pidfd-socket", None, VALUE),
    ("cwd", None, VALUE),
    ("env", Some(b'e'), VALUE),
    ("user", Some(b'u'), VALUE),
    ("additional-gids", Some(b'g'), VALUE),
    ("pid-file", None, VALUE),
    ("process-label", None, VALUE),
    ("apparmor", None, VALUE),
    ("cap", Some(b'c'), VALUE),
    ("preserve-fds", None, VALUE),
    ("cgroup", None, VALUE),
    ("tty", Some(b't'), FLAG),
    ("detach", Some(b'd'), FLAG),
    ("no-new-privs", None, FLAG),
    ("ignore-paused", None, FLAG),
    ("help", Some(b'h'), FLAG),
];

/// The verbs of runc and crun: where an option that nobody knows stands before one of them, the
/// verb is still found.
const VERBS: &[&str] = &[
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "help",
    "kill",
    "list",
    "mounts",
    "pause",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "update",
];

/// Reads the arguments that follow the program's name.
pub fn read(words: &[OsString]) -> Request {
    let mut global = Scan::new(words, GLOBAL);
    let mut log = Log::default();
    let mut root = None;
    let mut verb = None;
    let mut doubtful = false;
    while let Some(word) = global.next_word() {
        match word {
            Word::Option("log", value) => log.file = log_file(&value),
            Word::Option("log-format", value) => log.json = value == "json",
            Word::Option("root", value) => root = Some(PathBuf::from(value)),
            Word::Option(..) => {}
            Word::Unknown => doubtful = true,
            // The value of an option that nobody knows may stand here.
            Word::Plain(word) if doubtful && !VERBS.iter().any(|verb| word == *verb) => {}
            Word::Plain(word) => {
                verb = Some(word);
                break;
            }
        }
    }
    let rest = global.rest();
    let call = match verb.as_deref().and_then(OsStr::to_str) {
        Some("create" | "run" | "restore") => Call::Make(read_make(rest)),
        Some("exec") => read_exec(rest, root),
        _ => Call::Other,
    };
    Request { call, log }
}

/// The configuration of a container that is made. Options stand before and behind its id.
fn read_make(words: &[OsString]) -> PathBuf {
    let mut scan = Scan::new(words, MAKE);
    let mut bundle = PathBuf::new();
    let mut config = PathBuf::from("config.json");
    while let Some(word) = scan.next_word() {
        match word {
            Word::Option("bundle", value) => bundle = PathBuf::from(value),
            Word::Option("config", value) => config = PathBuf::from(value),
            _ => {}
        }
    }
    bundle.join(config)
}

/// What `exec` runs. What follows the container's id is the command, whatever it looks like.
fn read_exec(words: &[OsString], root: Option<PathBuf>) -> Call {
    let mut scan = Scan::new(words, EXEC);
    let mut process = None;
    while let Some(word) = scan.next_word() {
        match word {
            Word::Option("process", value) => process = Some(PathBuf::from(value)),
            Word::Plain(container) => {
                return match process {
                    Some(process) => Call::Exec { process, container, root },
                    // The runtime makes it from the container's own configuration.
                    None => Call::Other,
                };
            }
            _ => {}
        }
    }
    Call::Other
}

/// crun's `--log` may name a journal or syslog instead of a file.
fn log_file(value: &OsStr) -> Option<PathBuf> {
    let bytes = value.as_bytes();
    if bytes.is_empty() || bytes.starts_with(b"journald:") || bytes.starts_with(b"syslog:") {
        return None;
    }
    Some(PathBuf::from(OsStr::from_bytes(bytes.strip_prefix(b"file:").unwrap_or(bytes))))
}

/// One word, or an option with its value.
enum Word {
    /// A known option; the value of a flag is empty.
    Option(&'static str, OsString),
    /// An option that nobody knows.
    Unknown,
    /// No option.
    Plain(OsString),
}

struct Scan<'a> {
    words: &'a [OsString],
    at: usize,
    known: &'static [Known],
    only_plain: bool,
}

impl<'a> Scan<'a> {
    fn new(words: &'a [OsString], known: &'static [Known]) -> Self {
        Self { words, at: 0, known, only_plain: false }
    }

    fn rest(&self) -> &'a [OsString] {
        self.words.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self) -> Option<&'a OsString> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn next_word(&mut self) -> Option<Word> {
        loop {
            let word = self.take()?;
            let bytes = word.as_bytes();
            if self.only_plain || bytes.len() < 2 || !bytes.starts_with(b"-") {
                return Some(Word::Plain(word.clone()));
            }
            if bytes == b"--" {
                self.only_plain = true;
                continue;
            }
            return Some(self.option(bytes));
        }
    }

    fn option(&mut self, bytes: &[u8]) -> Word {
        let long = bytes.strip_prefix(b"--");
        let text = long.or_else(|| bytes.strip_prefix(b"-")).unwrap_or_default();
        let (name, value) = match text.iter().position(|byte| *byte == b'=') {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        if let Some((name, _, takes_value)) = self.find(name, long.is_some()) {
            return Word::Option(name, self.value(takes_value, value));
        }
        let attached = text.split_first().filter(|_| long.is_none());
        if let Some((name, _, VALUE)) = attached.and_then(|(letter, _)| self.by_letter(*letter)) {
            let value = text.get(1..).unwrap_or_default();
            return Word::Option(name, OsString::from_vec(value.to_vec()));
        }
        Word::Unknown
    }

    /// A known option by its name or letter, or (GNU) by the beginning of one name alone.
    fn find(&self, name: &[u8], may_be_short: bool) -> Option<Known> {
        let exact = self.known.iter().find(|(long, _, _)| long.as_bytes() == name).copied();
        let letter = || match name {
            [letter] => self.by_letter(*letter),
            _ => None,
        };
        let beginning = || {
            let mut fitting =
                self.known.iter().filter(|(long, _, _)| long.as_bytes().starts_with(name));
            let first = fitting.next().filter(|_| may_be_short && !name.is_empty());
            first.filter(|_| fitting.next().is_none()).copied()
        };
        exact.or_else(letter).or_else(beginning)
    }

    fn by_letter(&self, letter: u8) -> Option<Known> {
        self.known.iter().find(|(_, short, _)| *short == Some(letter)).copied()
    }

    fn value(&mut self, takes_value: bool, attached: Option<&[u8]>) -> OsString {
        match attached {
            Some(value) => OsString::from_vec(value.to_vec()),
            None if takes_value => self.take().cloned().unwrap_or_default(),
            None => OsString::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Request {
        read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    fn config(line: &str) -> String {
        match of(line).call {
            Call::Make(path) => path.display().to_string(),
            other => panic!("`{line}` is {other:?}"),
        }
    }

    #[test]
    fn the_bundle_is_found_however_it_is_written() {
        for line in [
            "create --bundle /b id",
            "create --bundle=/b id",
            "create -b /b id",
            "create -b=/b id",
            "create -b/b id",
            "create -bundle /b id",
            "create --bund /b id",
            "create id --bundle /b",
            "create --pid-file /p --no-pivot -b /b --console-socket=/c id",
            "run -d --bundle /b id",
            "run --detach --keep id -b /b",
            "restore --image-path /i --bundle /b --manage-cgroups-mode soft id",
            "--root /r --log /l --log-format json create --bundle /b --pid-file /p id",
            "--root=/r -log /l -debug --systemd-cgroup create --bundle /b id",
            "--cgroup-manager systemd --criu /c --rootless true create --bundle /b id",
            "--new-option value create --bundle /b id",
            "--new-option create --bundle /b id",
            "create --new-option --bundle /b id",
        ] {
            assert_eq!(config(line), "/b/config.json", "{line}");
        }
    }

    #[test]
    fn without_a_bundle_it_is_the_working_directory() {
        assert_eq!(config("create id"), "config.json");
        assert_eq!(config("create -- --bundle"), "config.json");
        assert_eq!(config("create --bundle rel id"), "rel/config.json");
        assert_eq!(config("create --bundle /b --config other.json id"), "/b/other.json");
        assert_eq!(config("create --bundle /b -f /o.json id"), "/o.json");
    }

    #[test]
    fn an_exec_s_process_and_container_are_found() {
        let line = "--root /r --log /l exec --process /p --console-socket /c -d --pid-file /i id";
        let expected =
            Call::Exec { process: "/p".into(), container: "id".into(), root: Some("/r".into()) };
        assert_eq!(of(line).call, expected);
        assert_eq!(of(&line.replace("--process /p", "-p /p")).call, expected);
        assert_eq!(of(&line.replace("--process /p", "--process=/p")).call, expected);
    }

    #[test]
    fn an_exec_s_command_is_not_taken_for_options() {
        assert_eq!(of("exec id sh --process /p").call, Call::Other);
        assert_eq!(of("exec -t --user 0 id --process /p").call, Call::Other);
    }

    #[test]
    fn every_other_call_is_the_runtime_s_business() {
        for line in [
            "",
            "--version",
            "-v",
            "--help",
            "features",
            "delete --force id",
            "kill id 9",
            "state id",
            "start id",
            "--root create state id",
            "list -f json",
            "spec --bundle /b",
            "update --resources - id",
            "checkpoint id",
            "unknown",
            "--",
            "-",
            "--log",
        ] {
            assert_eq!(of(line).call, Call::Other, "{line}");
        }
    }

    #[test]
    fn the_log_is_where_the_caller_looks() {
        let log = |line: &str| of(line).log;
        let json = Log { file: Some("/l".into()), json: true };
        assert_eq!(log("--log /l --log-format json create id"), json);
        assert_eq!(log("--log=/l -log-format=json state id"), json);
        assert_eq!(log("--log file:/l --log-format json create id"), json);
        assert_eq!(log("--log journald:x create id"), Log::default());
        assert_eq!(log("create --log /l id"), Log::default());
    }
}
