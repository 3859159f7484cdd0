//! The log over its life: restarts, crashes, full disks, and other hands in its directory.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};

use bulkhead_policy::{catalogue::Severity, event::Notice};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::*;

fn options(directory: &Path) -> EvidenceOptions {
    EvidenceOptions {
        retry_after: Duration::ZERO,
        ..EvidenceOptions::in_directory(directory.into())
    }
}

fn open(directory: &Path) -> Evidence {
    Evidence::open(options(directory), "node-1").unwrap()
}

fn notice(message: &str) -> Event {
    let message = Text::new(message);
    let kind = Kind::Notice(Notice { subject: "test", severity: Severity::Low, message });
    Event::new(Timestamp::UNIX_EPOCH, "node-1", kind)
}

/// Every line of every file in order, parsed; a line that is not whole JSON fails the test.
fn lines(directory: &Path) -> Vec<serde_json::Value> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    // `current` sorts before `evidence`, and comes last.
    files.retain(|path| !path.to_string_lossy().contains("damaged"));
    files.sort_by_key(|path| (path.ends_with("current.jsonl"), path.clone()));
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{} is torn", file.display());
        lines.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    lines
}

/// Checks that the numbers have no gap and no repetition, and returns the last one.
fn assert_unbroken(lines: &[serde_json::Value]) -> u64 {
    let mut next = lines[0]["sequence"].as_u64().unwrap();
    for line in lines {
        assert_eq!(line["sequence"].as_u64().unwrap(), next, "{line}");
        next = line["lastSequence"].as_u64().unwrap_or(next) + 1;
    }
    next - 1
}

fn kinds(lines: &[serde_json::Value]) -> Vec<&str> {
    lines.iter().map(|line| line["kind"].as_str().unwrap()).collect()
}

#[test]
fn numbers_go_on_over_a_restart_and_only_root_can_read_the_log() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("evidence");
    for expected in [1, 2, 3] {
        let mut log = open(&directory);
        assert_eq!(log.append(notice("hello")), expected);
        assert_eq!(log.close().0.written, 1);
    }
    assert_eq!(assert_unbroken(&lines(&directory)), 3);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("current.jsonl")), 0o600);
}

#[test]
fn files_are_closed_by_size_and_the_oldest_removed() {
    let root = tempfile::tempdir().unwrap();
    let sizes = EvidenceOptions { max_file_bytes: 1_000, keep_files: 3, ..options(root.path()) };
    let mut log = Evidence::open(sizes, "node-1").unwrap();
    for _ in 0..100 {
        log.append(notice("some words to fill the file"));
        assert!(log.flush().change.is_none());
    }
    drop(log);
    let lines = lines(root.path());
    assert_eq!(assert_unbroken(&lines), 100);
    let files = fs::read_dir(root.path()).unwrap().map(|it| it.unwrap());
    let mut names = Vec::new();
    for file in files {
        assert!(file.metadata().unwrap().len() <= 1_000);
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names.len(), 4);
    let first = lines[0]["sequence"].as_u64().unwrap();
    assert_eq!(names[1], format!("evidence-{first:020}.jsonl"));
    // The next agent continues, even where the growing file has just begun.
    fs::write(root.path().join("current.jsonl"), "").unwrap();
    let closed = open(root.path()).append(notice("next"));
    assert!(closed > 90 && closed <= 101, "{closed}");
}

#[test]
fn a_line_torn_by_a_crash_is_cut_off_and_told() {
    let root = tempfile::tempdir().unwrap();
    let mut log = open(root.path());
    log.append(notice("whole"));
    log.append(notice("torn"));
    log.close();
    let path = root.path().join("current.jsonl");
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let mut log = open(root.path());
    log.append(notice("after"));
    log.close();
    let lines = lines(root.path());
    assert_eq!(kinds(&lines), ["notice", "repair", "notice"]);
    assert_eq!(assert_unbroken(&lines), 3);
    assert_eq!(lines[0]["message"], "whole");
    assert!(lines[1]["removedBytes"].as_u64().unwrap() > 50);
}

#[test]
fn a_file_that_nobody_can_read_is_kept_aside_and_its_numbers_are_not_given_again() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("current.jsonl"), "garbage\n{\"sequence\":41}\n").unwrap();
    let mut log = open(root.path());
    assert_eq!(log.append(notice("after")), 43, "42 is the repair");
    log.close();
    assert!(root.path().join("damaged-1.jsonl").exists());
    assert_eq!(kinds(&lines(root.path())), ["repair", "notice"]);
}

#[test]
fn a_log_that_somebody_removes_or_cuts_meanwhile_is_begun_again_and_told() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("current.jsonl");
    let mut log = open(root.path());
    let mut write = |message: &str| {
        log.append(notice(message));
        assert!(log.flush().change.is_none());
    };
    write("one");
    fs::remove_file(&path).unwrap();
    write("two");
    let found = lines(root.path());
    assert_eq!(kinds(&found), ["notice", "repair"]);
    assert!(found[1]["message"].as_str().unwrap().contains("removed"));
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 5).unwrap();
    write("three");
    let found = lines(root.path());
    assert_eq!(kinds(&found), ["notice", "notice", "repair", "repair"]);
    assert_eq!(found[2]["removedBytes"], 0);
}

#[test]
fn a_link_in_the_place_of_the_log_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let victim = root.path().join("victim");
    fs::write(&victim, "precious\n").unwrap();
    let directory = root.path().join("log");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(&victim, directory.join("current.jsonl")).unwrap();
    let error = Evidence::open(options(&directory), "node-1").err().unwrap().to_string();
    assert!(error.starts_with("evidence log: cannot open /"), "{error}");
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious\n");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let error = Evidence::open(options(Path::new("/proc/none")), "n").err().unwrap().to_string();
    assert_eq!(error, "evidence log: cannot make the directory /proc/none");
}

#[test]
fn a_full_disk_loses_nothing_that_was_written_and_tells_what_it_cost() {
    on_small_disk(|disk| {
        let limits = EvidenceOptions { queue_bytes: 20_000, ..options(disk) };
        let mut log = Evidence::open(limits, "node-1").unwrap();
        fs::write(disk.join("ballast"), vec![0; 40_000]).unwrap();
        let (mut changes, mut errors, mut written) = (Vec::new(), 0, 0);
        let mut flush = |log: &mut Evidence| {
            let flush = log.flush();
            errors += flush.errors;
            written += flush.written;
            changes.extend(flush.change.map(|it| format!("{it:?}")));
            // Whatever happened: what is in the file is whole.
            lines(disk)
        };
        fs::rename(disk.join("ballast"), disk.join("damaged-ballast")).unwrap();
        let mut before = Vec::new();
        for _ in 0..400 {
            log.append(notice(&"x".repeat(100)));
            let now = flush(&mut log);
            assert!(now.starts_with(&before), "what was written is gone");
            before = now;
        }
        fs::remove_file(disk.join("damaged-ballast")).unwrap();
        log.append(notice("there is room again"));
        let after = flush(&mut log);
        assert!(after.starts_with(&before));
        assert_eq!(assert_unbroken(&after), 401);
        let losses: Vec<_> = after.iter().filter(|line| line["kind"] == "loss").collect();
        assert_eq!(losses.len(), 1, "{losses:?}");
        assert_eq!(losses[0]["place"], "evidence-queue");
        assert!(losses[0]["count"].as_u64().unwrap() > 10);
        assert_eq!(written, after.len() as u64 - 1);
        assert!(errors > 10, "each failed attempt counts: {errors}");
        assert_eq!(changes.len(), 2, "each change is told once: {changes:?}");
        assert!(changes[0].contains("StorageFull"), "{changes:?}");
        assert_eq!(changes[1], "Recovered");
    });
}

#[test]
fn while_the_log_fails_it_is_not_tried_at_every_flush() {
    on_small_disk(|disk| {
        let patience = EvidenceOptions { retry_after: Duration::from_secs(3_600), ..options(disk) };
        let mut log = Evidence::open(patience, "node-1").unwrap();
        for _ in 0..1_000 {
            log.append(notice(&"x".repeat(100)));
        }
        assert_eq!(log.flush().errors, 1);
        assert_eq!(log.flush().errors, 0);
        let (last, lost) = log.close();
        assert_eq!(last.errors, 1, "the end tries once more");
        assert_eq!(lost + lines(disk).len() as u64, 1_000);
    });
}

/// Runs `test` with a disk of 64 KiB: a tmpfs in a mount namespace of this thread alone, which
/// goes with the thread.
fn on_small_disk(test: impl FnOnce(&Path) + Send + 'static) {
    let run = move || {
        let root = tempfile::tempdir().unwrap();
        match small_disk(root.path()) {
            Ok(()) => test(root.path()),
            Err(nix::Error::EPERM) => eprintln!("skipped: mounting a small disk takes root"),
            Err(error) => panic!("cannot mount a small disk: {error}"),
        }
    };
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn small_disk(path: &Path) -> nix::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("size=64k"))
}

#[test]
fn every_line_is_copied_to_stdout_when_asked() {
    let root = tempfile::tempdir().unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let mut log = open(root.path());
    log.echo_to(writer).unwrap();
    log.append(notice("one"));
    log.append(notice("two"));
    log.close();
    let copy = io::read_to_string(reader).unwrap();
    assert_eq!(copy, fs::read_to_string(root.path().join("current.jsonl")).unwrap());
}
