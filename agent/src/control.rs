//! How commands ask the running agent: a Unix socket, one JSON document each way, over HTTP/1.1.
//!
//! ```text
//! command -> client::ask -> agent.sock -> server -> Question -> the agent's loop -> Answer
//! ```
//!
//! A question is a variant of [`Request`]. To add one: the variant, what it answers in `views.rs`,
//! an arm in `commands/run/service/answers.rs`, and the command that asks it. Nothing else knows
//! the questions.
//!
//! Both ends distrust each other until the kernel has said who is there. The server answers root of
//! the initial user namespace and nobody of a tenant's cgroup; the client trusts a socket that is
//! root's, in a directory that is root's, served by a process that is root in the client's own user
//! and process namespaces.

mod client;
mod peer;
mod server;
mod views;

use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub(crate) use self::{
    client::ask,
    peer::Peer,
    server::Server,
    views::{
        ContainerView, ControlView, ExceptionView, FrozenView, LimitView, PodView, TenantView,
        Tenants,
    },
};

/// Where the agent listens unless told otherwise.
pub(crate) const SOCKET: &str = "/run/bulkhead/agent.sock";
/// The socket's name in the runtime directory.
pub(crate) const SOCKET_NAME: &str = "agent.sock";
/// Bytes of a request's document.
const MAX_REQUEST_BYTES: usize = 64 << 10;
/// Bytes of an answer's document.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What a command may ask of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Every tenant with its containers.
    Tenants {},
    /// One container.
    Container {
        /// Its runtime's id or a beginning of it, or its cgroup's path.
        id: String,
    },
    /// A profile refused a call, and told `bulkhead notify`.
    Refused(Box<crate::notify::RefusedCall>),
    /// A container is to stand still.
    Freeze {
        /// As above.
        id: String,
        /// Why, in the words of whoever asks.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A container is to go on.
    Thaw {
        /// As above.
        id: String,
    },
}

/// The document of an answer, or why there is none.
pub(crate) type Answer = Result<serde_json::Value, Refusal>;

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The asker may not ask.
    #[error("{0}")]
    Forbidden(String),
    /// What it asks about is not there.
    #[error("{0}")]
    NotFound(String),
    /// The words mean nothing, or more than one thing.
    #[error("{0}")]
    Bad(String),
    /// The agent tried and could not.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    /// The HTTP status that stands for it.
    fn status(&self) -> u16 {
        match self {
            Self::Forbidden(_) => 403,
            Self::NotFound(_) => 404,
            Self::Bad(_) => 400,
            Self::Failed(_) => 500,
        }
    }
}

/// A question on its way to the agent's loop.
#[derive(Debug)]
pub(crate) struct Question {
    /// What.
    pub(crate) request: Request,
    /// Who asks, as the kernel says.
    pub(crate) peer: Peer,
    /// Where the answer goes. An asker that is gone is no error.
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The socket in this runtime directory.
pub(crate) fn socket_in(runtime_directory: &Path) -> std::path::PathBuf {
    runtime_directory.join(SOCKET_NAME)
}

#[cfg(test)]
mod tests;
