//! What the agent asks of the node it runs on, apart from the guard's own kernel interface.

pub(crate) mod cgroupfs;
pub(crate) mod clock;
pub(crate) mod heap;
pub(crate) mod instance;
pub(crate) mod made_up;
pub(crate) mod privilege;
pub(crate) mod systemd;
pub(crate) mod vantage;

use std::{fs, io, path::Path};

/// Identifies this boot of the node.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why the node cannot be named.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// The boot id could not be read.
    #[error("cannot read {BOOT_ID}")]
    BootId(#[source] io::Error),
    /// The host name could not be read.
    #[error("cannot read the host's name; set NODE_NAME")]
    HostName(#[source] nix::Error),
    /// The host name is not text.
    #[error("the host's name is not UTF-8; set NODE_NAME")]
    HostNameText,
}

/// The node's name: `NODE_NAME`, which the DaemonSet sets from `spec.nodeName`, else the host's.
pub(crate) fn name() -> Result<String, NodeError> {
    match std::env::var("NODE_NAME") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => nix::unistd::gethostname()
            .map_err(NodeError::HostName)?
            .into_string()
            .map_err(|_not_text| NodeError::HostNameText),
    }
}

/// The id of this boot: process ids, start times and cgroup ids mean something within one boot.
pub(crate) fn boot_id() -> Result<String, NodeError> {
    read_boot_id(Path::new(BOOT_ID))
}

fn read_boot_id(path: &Path) -> Result<String, NodeError> {
    Ok(fs::read_to_string(path).map_err(NodeError::BootId)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_has_an_id_and_the_node_a_name() {
        assert_eq!(boot_id().unwrap().len(), 36);
        assert!(!name().unwrap().is_empty());
    }
}
