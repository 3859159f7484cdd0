//! Writing down what a frozen container was doing, beside the agent's loop.
//!
//! ```text
//! Job -> worker (a thread) -> reader (a child that may hang and be killed) -> document -> store
//! ```

mod document;
mod store;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use bulkhead_policy::event::{CaptureFile, Response, Text};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

pub(crate) use self::document::members;
use self::{document::Document, store::Store};
use super::{Outcome, freezer};
use crate::workloads::{Listed, Workloads};

/// Captures that wait for the one being written.
const WAITING: usize = 16;

/// A capture to be written.
#[derive(Clone, Debug)]
pub(super) struct Job {
    cgroup: u64,
    directory: PathBuf,
    /// The process that acted, which is read first.
    actor: Option<u32>,
    told: Response,
    since: Timestamp,
}

impl Job {
    pub(super) fn new(
        listed: &Listed<'_>,
        workloads: &Workloads,
        told: &Response,
        actor: Option<u32>,
    ) -> Self {
        Self {
            cgroup: listed.cgroup,
            directory: freezer::directory(listed, workloads),
            actor,
            told: told.clone(),
            since: Timestamp::now(),
        }
    }
}

/// The thread that writes captures, one after the other.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    jobs: Option<SyncSender<Job>>,
    keep: Arc<AtomicUsize>,
}

impl Worker {
    /// Starts it. Without a thread nothing can be captured: each job is then refused.
    pub(super) fn start(
        directory: PathBuf,
        keep: usize,
        outcomes: UnboundedSender<Outcome>,
    ) -> Self {
        let (jobs, waiting) = sync_channel(WAITING);
        let keep = Arc::new(AtomicUsize::new(keep));
        let store = Store::new(directory, Arc::clone(&keep));
        let started = thread::Builder::new()
            .name("captures".to_owned())
            .spawn(move || work(&waiting, &store, &outcomes));
        match started {
            Ok(_detached) => Self { jobs: Some(jobs), keep },
            Err(error) => {
                tracing::error!(%error, "no capture can be written");
                Self { jobs: None, keep }
            }
        }
    }

    /// How many captures are kept, from now on.
    pub(super) fn keep(&self, keep: usize) {
        self.keep.store(keep, Ordering::Relaxed);
    }

    /// Takes a job, or says why not.
    pub(super) fn write(&self, job: Job) -> Result<(), String> {
        let jobs = self.jobs.as_ref().ok_or("the thread for it could not be started")?;
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => format!("{WAITING} others wait to be written"),
            TrySendError::Disconnected(_) => "the thread for it has ended".to_owned(),
        })
    }
}

fn work(waiting: &Receiver<Job>, store: &Store, outcomes: &UnboundedSender<Outcome>) {
    while let Ok(job) = waiting.recv() {
        let result = capture(&job, store).map_err(|error| format!("{error:#}"));
        if outcomes.send(Outcome::Captured { cgroup: job.cgroup, result }).is_err() {
            // The agent ends.
            return;
        }
    }
}

fn capture(job: &Job, store: &Store) -> anyhow::Result<CaptureFile> {
    let document = Document::of(job)?;
    let written = store.write(job.since, job.cgroup, &document.text)?;
    Ok(CaptureFile {
        file: Text::new(written.path.to_string_lossy().as_ref()),
        sha256: written.sha256,
        bytes: document.text.len() as u64,
        processes: document.processes,
        cut: document.cut,
    })
}
