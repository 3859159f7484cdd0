//! A command's end of the socket.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request as HttpRequest, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time::timeout};

use super::{MAX_ANSWER_BYTES, Peer, Request, peer::PeerError};

/// The agent answers within milliseconds; a freeze with its capture takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// There is no socket, or nobody behind it.
    #[error(
        "no agent runs here: nobody answers on {0}. Start one with `bulkhead run`, or name its \
         socket with --socket"
    )]
    NoAgent(PathBuf),
    /// The socket may not be opened.
    #[error("cannot open {0}: only root may ask the agent")]
    NotRoot(PathBuf),
    /// Somebody else could have made it.
    #[error("{path} is not the agent's: {why}. Nothing was sent")]
    Forged {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something between the two ends.
    #[error("the agent at {path} cannot be asked")]
    Transport {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has not answered in time.
    #[error("the agent at {0} has not answered within {PATIENCE:?}: its log says what it does")]
    Late(PathBuf),
    /// The agent says no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the agent behind `socket`, and reads its answer as a `T`.
pub(crate) fn ask<T: DeserializeOwned>(socket: &Path, request: &Request) -> Result<T, AskError> {
    let broken = transport(socket);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(broken)?;
    let asked = runtime.block_on(async { timeout(PATIENCE, exchange(socket, request)).await });
    let answer = asked.map_err(|_elapsed| AskError::Late(socket.to_owned()))??;
    serde_json::from_slice(&answer).map_err(transport(socket))
}

fn transport<E: std::error::Error + Send + Sync + 'static>(
    socket: &Path,
) -> impl FnOnce(E) -> AskError {
    let path = socket.to_owned();
    move |error| AskError::Transport { path, source: Box::new(error) }
}

async fn exchange(socket: &Path, request: &Request) -> Result<Bytes, AskError> {
    check_files(socket)?;
    let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, error))?;
    check_server(socket, &stream)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(transport(socket))?;
    // It ends with the exchange; what goes wrong in it is told by the sender.
    let connection = tokio::spawn(connection);
    let body = serde_json::to_vec(request).map_err(transport(socket))?;
    let request = HttpRequest::post("/v1")
        .header("host", "agent")
        .body(Full::new(Bytes::from(body)))
        .map_err(transport(socket))?;
    let response = sender.send_request(request).await.map_err(transport(socket))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    connection.abort();
    let body = body.map_err(|source| AskError::Transport { path: socket.to_owned(), source })?;
    let body = body.to_bytes();
    if status == StatusCode::OK { Ok(body) } else { Err(AskError::Refused(reason(&body))) }
}

fn unreachable(socket: &Path, error: io::Error) -> AskError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NoAgent(socket.to_owned())
        }
        io::ErrorKind::PermissionDenied => AskError::NotRoot(socket.to_owned()),
        _ => transport(socket)(error),
    }
}

/// Nobody but root can have put the socket there.
fn check_files(socket: &Path) -> Result<(), AskError> {
    let forged = |why: String| AskError::Forged { path: socket.to_owned(), why };
    let file = fs::symlink_metadata(socket).map_err(|error| unreachable(socket, error))?;
    if !file.file_type().is_socket() {
        return Err(forged("it is no socket".to_owned()));
    }
    if file.uid() != 0 {
        return Err(forged(format!("it belongs to user {}", file.uid())));
    }
    let parent = socket.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let directory = fs::metadata(parent).map_err(|error| unreachable(socket, error))?;
    if directory.uid() != 0 || directory.mode() & 0o022 != 0 {
        return Err(forged(format!("others than root may write to {}", parent.display())));
    }
    Ok(())
}

/// The process that listens is root as this one is.
fn check_server(socket: &Path, stream: &UnixStream) -> Result<(), AskError> {
    let forged = |why: String| AskError::Forged { path: socket.to_owned(), why };
    let peer = Peer::of(stream).map_err(|error: PeerError| forged(error.to_string()))?;
    match peer.is_root_here() {
        Ok(true) => Ok(()),
        Ok(false) => Err(forged(format!(
            "process {} serves it, which is not root here (user {}, or in other namespaces)",
            peer.pid, peer.uid
        ))),
        Err(error) => Err(transport(socket)(error)),
    }
}

fn reason(body: &[u8]) -> String {
    let document: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = document.as_ref().and_then(|document| document.get("error")?.as_str());
    match error {
        Some(error) => error.chars().filter(|c| !c.is_control()).collect(),
        None => "the agent refuses without a reason".to_owned(),
    }
}
