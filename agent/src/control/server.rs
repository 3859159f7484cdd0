//! The agent's end of the socket.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs, io,
    os::unix::{fs::PermissionsExt, net::UnixStream as Blocking},
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request as HttpRequest, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{Answer, MAX_REQUEST_BYTES, Peer, Question, Refusal, Request};
use crate::node::instance::make_directory;

/// Connections held at the same time; one more costs the oldest its place.
const MAX_CONNECTIONS: usize = 16;
/// Questions that wait for the agent's loop.
const MAX_QUESTIONS: usize = 16;
/// In this time a request's headers must have come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this time in any case.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Another agent answers there.
    #[error(
        "another process answers on {0}. Only one agent can run on a node; set `runtimeDirectory` \
         in the configuration if this is meant"
    )]
    InUse(PathBuf),
    /// The directory cannot be made.
    #[error(transparent)]
    Directory(#[from] crate::node::instance::InstanceError),
    /// The socket cannot be made.
    #[error("cannot {action} {path} (`runtimeDirectory` in the configuration)")]
    Socket {
        /// What failed.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The open socket, not served yet.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    questions: mpsc::Sender<Question>,
}

impl Server {
    /// Opens the socket. Questions come out of the other end of the channel.
    pub(crate) fn bind(path: &Path) -> Result<(Self, mpsc::Receiver<Question>), ControlError> {
        if let Some(directory) = path.parent() {
            make_directory(directory)?;
            // One that was there may have been made by somebody less careful.
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
                .map_err(failed("close to others", directory))?;
        }
        if Blocking::connect(path).is_ok() {
            return Err(ControlError::InUse(path.to_owned()));
        }
        // Made under another name, so that at every moment the name means a socket that is served
        // or one that a dead agent left.
        let new = path.with_extension("new");
        remove(&new)?;
        let listener = UnixListener::bind(&new).map_err(failed("make", &new))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))
            .map_err(failed("close to others", &new))?;
        fs::rename(&new, path).map_err(failed("name", path))?;
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        Ok((Self { listener, questions }, asked))
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self) {
        let mut held = VecDeque::new();
        loop {
            match self.listener.accept().await {
                Ok((stream, _address)) => {
                    let task = tokio::spawn(connection(stream, self.questions.clone()));
                    hold(&mut held, task.abort_handle());
                }
                Err(error) => {
                    // As for the metrics: the pause keeps this from becoming a busy loop.
                    tracing::warn!(%error, "cannot accept a connection to the control socket");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ControlError {
    let path = path.to_owned();
    move |source| ControlError::Socket { action, path, source }
}

fn remove(path: &Path) -> Result<(), ControlError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove the old", path)(error))
        }
        _ => Ok(()),
    }
}

fn hold(held: &mut VecDeque<AbortHandle>, connection: AbortHandle) {
    held.retain(|other| !other.is_finished());
    if held.len() >= MAX_CONNECTIONS
        && let Some(oldest) = held.pop_front()
    {
        oldest.abort();
    }
    held.push_back(connection);
}

/// Lives as long as a connection may. How it ends is the asker's affair.
async fn connection(stream: UnixStream, questions: mpsc::Sender<Question>) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(%error, "a connection to the control socket was closed");
            return;
        }
    };
    let service = service_fn(move |request: HttpRequest<Incoming>| {
        let (peer, questions) = (peer.clone(), questions.clone());
        async move { Ok::<_, Infallible>(told(respond(request, peer, questions).await)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 << 10)
        .max_headers(32)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, served).await {
        tracing::debug!(%error, "a connection to the control socket ended early");
    }
}

async fn respond(
    request: HttpRequest<Incoming>,
    peer: Peer,
    questions: mpsc::Sender<Question>,
) -> Answer {
    if request.method() != Method::POST || request.uri().path() != "/v1" {
        return Err(Refusal::NotFound("there is only POST /v1".to_owned()));
    }
    let body = Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect().await;
    let body = body.map_err(|error| Refusal::Bad(error.to_string()))?.to_bytes();
    let request: Request = serde_json::from_slice(&body)
        .map_err(|error| Refusal::Bad(format!("this agent does not know the question: {error}")))?;
    let (answer, answered) = oneshot::channel();
    let ending = |_closed| Refusal::Failed("the agent is stopping".to_owned());
    let question = Question { request, peer, answer };
    questions
        .send(question)
        .await
        .map_err(|_closed| Refusal::Failed("the agent is stopping".to_owned()))?;
    answered.await.map_err(ending)?
}

fn told(answer: Answer) -> Response<Full<Bytes>> {
    let (status, document) = match answer {
        Ok(document) => (StatusCode::OK, document),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status());
            let document = serde_json::json!({ "error": refusal.to_string() });
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), document)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
