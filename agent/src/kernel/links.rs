//! The attached programs' links, and how they are let go.
//!
//! Closing the last descriptor of a link waits for every processor to have left the old code, a
//! tenth of a second each, one after the other. A link whose last hold is a name in the BPF file
//! system is let go by a kernel worker instead, and nobody waits. So each link gets a name at the
//! end, and loses it again.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use aya::programs::links::FdLink;

/// Where the BPF file system is mounted.
const BPFFS: &str = "/sys/fs/bpf";

/// Links that are held; all are let go together.
#[derive(Default)]
pub(super) struct Links(Vec<FdLink>);

impl Links {
    /// Holds a link.
    pub(super) fn hold(&mut self, link: FdLink) {
        self.0.push(link);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for link in self.0.drain(..) {
            let_go(link);
        }
    }
}

/// Lets a link go without waiting, where there is a BPF file system, and with waiting elsewhere.
pub(super) fn let_go(link: FdLink) {
    let path = unused_name();
    match link.pin(&path) {
        Ok(pinned) => {
            drop(pinned);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::error!(
                    %error,
                    path = %path.display(),
                    "a program stays attached: remove this file to detach it"
                );
            }
        }
        // The link is gone with the error: it was closed, and the wait is over.
        Err(error) => tracing::debug!(%error, "a link was closed without a name"),
    }
}

fn unused_name() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Path::new(BPFFS).join(format!("bulkhead-ending-{}-{number}", std::process::id()))
}
