//! The attached programs' links, and how they are let go where they are not to outlive the agent.
//!
//! Closing the last descriptor of a link waits for every processor to have left the old code, a
//! tenth of a second each, one after the other. A link whose last hold is a name in the BPF file
//! system is let go by a kernel worker instead, and nobody waits. So each link gets a name at the
//! end, and loses it again.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use aya::programs::links::FdLink;

use super::{
    LoadError, bpf,
    pins::{BPFFS, ENDING},
};

/// A link of either maker.
pub(super) enum Link {
    Library(FdLink),
    Own(OwnedFd),
}

impl From<FdLink> for Link {
    fn from(link: FdLink) -> Self {
        Self::Library(link)
    }
}

impl From<OwnedFd> for Link {
    fn from(link: OwnedFd) -> Self {
        Self::Own(link)
    }
}

impl Link {
    /// Gives it a file, which holds it from then on. Where that fails it is gone.
    fn pin(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Library(link) => link.pin(path).map(drop).map_err(io::Error::other),
            Self::Own(link) => bpf::pin(link.as_fd(), path),
        }
    }
}

/// Links that are held; all are let go together.
#[derive(Default)]
pub(super) struct Links(Vec<(String, Link)>);

impl Links {
    /// Holds a link under the name that its file is to have.
    pub(super) fn hold(&mut self, name: &str, link: impl Into<Link>) {
        self.0.push((name.to_owned(), link.into()));
    }

    /// Gives each link a file in `directory`.
    pub(super) fn pin(mut self, directory: &Path) -> Result<(), LoadError> {
        for (name, link) in self.0.drain(..) {
            link.pin(&directory.join(&name)).map_err(|source| LoadError::Pin(name, source))?;
        }
        Ok(())
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for (_, link) in self.0.drain(..) {
            let_go(link);
        }
    }
}

/// Lets a link go without waiting, where there is a BPF file system, and with waiting elsewhere.
pub(super) fn let_go(link: impl Into<Link>) {
    let path = unused_name();
    match link.into().pin(&path) {
        Ok(()) => {
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
    Path::new(BPFFS).join(format!("{ENDING}{}-{number}", std::process::id()))
}
