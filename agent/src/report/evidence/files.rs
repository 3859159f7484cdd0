//! The files of the log: one that grows, and the closed ones before it.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufReader, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Repaired,
    recover::{Content, content},
};

/// A growing file that had its name is taken to have it for so long.
const NAMED: Duration = Duration::from_millis(10);

/// The file that grows.
const CURRENT: &str = "current.jsonl";
/// Closed files are named by their first number, so that their names sort in their order.
const CLOSED: (&str, &str) = ("evidence-", ".jsonl");
/// Files that no reader can follow are kept aside under this name and a number.
const DAMAGED: &str = "damaged-";

/// Why the log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    /// A file or directory could not be worked on.
    #[error("evidence log: cannot {action} {path}")]
    File {
        /// What failed.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A closed file must never be overwritten.
    #[error("evidence log: {0} is there already; the log goes on in {CURRENT}")]
    Exists(PathBuf),
    /// The thread of the copy on stdout could not be started.
    #[error("cannot start the copy of the evidence log on stdout")]
    Echo(#[source] io::Error),
}

/// What opening found.
#[derive(Debug)]
pub(super) struct Found {
    /// The last number in the log.
    pub(super) last: Option<u64>,
    /// What was put right.
    pub(super) repairs: Vec<Repaired>,
}

/// What became of lines to be written.
pub(super) struct Written {
    /// Lines, from the first, that are whole in the file.
    pub(super) lines: usize,
    /// Why not all.
    pub(super) result: Result<(), EvidenceError>,
}

/// See the module.
pub(super) struct Files {
    directory: PathBuf,
    file: File,
    /// Length of the growing file up to its last whole line.
    length: u64,
    /// Set while bytes after `length` could not be cut off.
    torn: bool,
    /// The number of the growing file's first line, once it has one.
    first: Option<u64>,
    /// When the name was last seen to be that of the growing file.
    named: Option<Instant>,
    max_bytes: u64,
    keep: usize,
}

impl Files {
    /// Opens the growing file, or begins it, and puts right what a crash left there.
    pub(super) fn open(
        directory: PathBuf,
        max_bytes: u64,
        keep: usize,
    ) -> Result<(Self, Found), EvidenceError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed("make the directory", &directory))?;
        let mut repairs = Vec::new();
        let (file, found) = open_sound(&directory, &mut repairs)?;
        let last = match found.last {
            Some(last) => Some(last),
            None => last_of_closed(&directory)?,
        };
        let files = Self {
            directory,
            file,
            length: found.whole_bytes,
            torn: false,
            first: found.first,
            named: None,
            max_bytes,
            keep,
        };
        Ok((files, Found { last, repairs }))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether `path` still leads to the growing file. A file that was removed or written over has no name
    /// left and is told at once; one that was moved still exists, so that its name is looked up, which costs
    /// as much as the rest of writing a line, only now and then.
    fn is_named(&mut self, path: &Path, ours: &Metadata) -> bool {
        let now = Instant::now();
        if self.named.is_some_and(|named| now.duration_since(named) < NAMED) {
            return true;
        }
        let there = fs::symlink_metadata(path);
        let same = there.is_ok_and(|it| it.ino() == ours.ino() && it.dev() == ours.dev());
        self.named = same.then_some(now);
        same
    }

    /// Looks whether the growing file still is what this process made of it. If somebody removed
    /// or changed it, it is opened anew, and the repairs say so.
    pub(super) fn check(&mut self) -> Result<Vec<Repaired>, EvidenceError> {
        let path = self.directory.join(CURRENT);
        if self.torn {
            return Ok(Vec::new());
        }
        let ours = self.file.metadata().map_err(failed("look at", &path))?;
        let same = ours.nlink() > 0 && self.is_named(&path, &ours);
        if same && ours.len() == self.length {
            return Ok(Vec::new());
        }
        let message = if same {
            format!("the file had {} bytes where {} were written", ours.len(), self.length)
        } else {
            "the file was removed or exchanged while the agent wrote to it".to_owned()
        };
        let mut repairs = vec![repaired(CURRENT, 0, message)];
        let (file, found) = open_sound(&self.directory, &mut repairs)?;
        (self.file, self.length, self.first) = (file, found.whole_bytes, found.first);
        self.named = None;
        Ok(repairs)
    }

    /// Appends lines, and closes the file where it would grow too large.
    pub(super) fn append(&mut self, lines: &[Vec<u8>]) -> Written {
        let mut done = 0;
        while let Some(rest) = lines.get(done..).filter(|rest| !rest.is_empty()) {
            let fitting = self.fitting(rest);
            let result = if fitting == 0 { self.rotate() } else { Ok(()) };
            if let Err(error) = result {
                return Written { lines: done, result: Err(error) };
            }
            let piece = rest.get(..fitting).unwrap_or_default();
            let (whole, result) = self.write(piece);
            done += whole;
            if let Err(source) = result {
                let error = failed("write", &self.directory.join(CURRENT))(source);
                return Written { lines: done, result: Err(error) };
            }
        }
        Written { lines: done, result: Ok(()) }
    }

    /// How many lines the growing file still takes; an empty file takes at least one.
    fn fitting(&self, lines: &[Vec<u8>]) -> usize {
        let mut length = self.length;
        let fits = |line: &&Vec<u8>| {
            let first = length == 0;
            length += line.len() as u64;
            first || length <= self.max_bytes
        };
        lines.iter().take_while(fits).count()
    }

    /// Writes whole lines or cuts off what is not whole; says how many are.
    fn write(&mut self, lines: &[Vec<u8>]) -> (usize, io::Result<()>) {
        if self.torn {
            if let Err(error) = self.file.set_len(self.length) {
                return (0, Err(error));
            }
            self.torn = false;
        }
        let bytes = lines.concat();
        let (written, result) = write_some(&mut self.file, &bytes);
        let (count, whole) = whole_lines(lines, written);
        self.length += whole as u64;
        if self.first.is_none() && count > 0 {
            self.first = lines.first().and_then(|line| number(line));
        }
        if written > whole {
            // Where even this fails, the next write tries again before anything else.
            self.torn = self.file.set_len(self.length).is_err();
        }
        (count, result)
    }

    /// Gives the growing file its lasting name and begins the next.
    fn rotate(&mut self) -> Result<(), EvidenceError> {
        let current = self.directory.join(CURRENT);
        // A file whose first line has no number is never kept growing: see `open_sound`.
        let closed = self.directory.join(closed_name(self.first.unwrap_or_default()));
        if closed.exists() {
            return Err(EvidenceError::Exists(closed));
        }
        fs::rename(&current, &closed).map_err(failed("rename", &current))?;
        self.file = open_for_append(&current).map_err(failed("open", &current))?;
        (self.length, self.first) = (0, None);
        remove_oldest(&self.directory, self.keep)
    }
}

/// Opens the growing file. A torn tail is cut off; a file that has lines, and whose first line or
/// every line cannot be read, is kept aside, because its place in the order is not known.
fn open_sound(
    directory: &Path,
    repairs: &mut Vec<Repaired>,
) -> Result<(File, Content), EvidenceError> {
    let path = directory.join(CURRENT);
    let file = open_for_append(&path).map_err(failed("open", &path))?;
    let found = content(BufReader::new(&file)).map_err(failed("read", &path))?;
    if found.whole_bytes > 0 && found.first.is_none() {
        let aside = free_name(directory)?;
        fs::rename(&path, &aside).map_err(failed("rename", &path))?;
        let name = aside.file_name().unwrap_or_default().to_string_lossy();
        let message = format!("its first line could not be read; the file is kept as {name}");
        repairs.push(repaired(CURRENT, 0, message));
        let file = open_for_append(&path).map_err(failed("open", &path))?;
        // Its numbers count all the same: they must not be given twice.
        return Ok((file, Content { last: found.last, ..Content::default() }));
    }
    if found.torn_bytes > 0 {
        file.set_len(found.whole_bytes).map_err(failed("cut the torn line off", &path))?;
        let message = "the last line had been written in part; it was cut off".to_owned();
        repairs.push(repaired(CURRENT, found.torn_bytes, message));
    }
    if !found.is_sound() {
        let message = format!("{} lines that cannot be read were left in place", found.unreadable);
        repairs.push(repaired(CURRENT, 0, message));
    }
    Ok((file, found))
}

fn open_for_append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        // Whoever can put a link here must not choose which file gets written.
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
        .open(path)
}

/// Like `write_all`, but says how much was written before the error.
fn write_some(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// How many of the lines, and how many bytes, are whole within the first `written` bytes.
fn whole_lines(lines: &[Vec<u8>], written: usize) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for line in lines {
        if bytes + line.len() > written {
            break;
        }
        count += 1;
        bytes += line.len();
    }
    (count, bytes)
}

fn number(line: &[u8]) -> Option<u64> {
    content(io::Cursor::new(line)).ok()?.first
}

fn closed_name(first: u64) -> String {
    format!("{}{first:020}{}", CLOSED.0, CLOSED.1)
}

/// The closed files, oldest first.
fn closed_files(directory: &Path) -> Result<Vec<PathBuf>, EvidenceError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("list", directory))? {
        let entry = entry.map_err(failed("list", directory))?;
        let name = entry.file_name();
        let is_closed =
            name.to_str().is_some_and(|it| it.starts_with(CLOSED.0) && it.ends_with(CLOSED.1));
        if is_closed {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The last number of the newest closed file; at least the one in its name.
fn last_of_closed(directory: &Path) -> Result<Option<u64>, EvidenceError> {
    let Some(newest) = closed_files(directory)?.pop() else { return Ok(None) };
    let file = File::open(&newest).map_err(failed("open", &newest))?;
    let found = content(BufReader::new(file)).map_err(failed("read", &newest))?;
    let named = newest
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_prefix(CLOSED.0)?.strip_suffix(CLOSED.1)?.parse().ok());
    Ok(found.last.max(named))
}

fn remove_oldest(directory: &Path, keep: usize) -> Result<(), EvidenceError> {
    let files = closed_files(directory)?;
    let too_many = files.len().saturating_sub(keep);
    for file in files.iter().take(too_many) {
        fs::remove_file(file).map_err(failed("remove the oldest file", file))?;
    }
    Ok(())
}

fn free_name(directory: &Path) -> Result<PathBuf, EvidenceError> {
    (1..=u32::MAX)
        .map(|number| directory.join(format!("{DAMAGED}{number}{}", CLOSED.1)))
        .find(|path| !path.exists())
        .ok_or_else(|| EvidenceError::Exists(directory.join(DAMAGED)))
}

fn repaired(file: &str, removed_bytes: u64, message: String) -> Repaired {
    Repaired { file: file.to_owned(), removed_bytes, message }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EvidenceError {
    let path = path.to_owned();
    move |source| EvidenceError::File { action, path, source }
}
