//! /metrics, /healthz and /readyz.
//!
//! Whoever reaches the port may be anybody: requests have no body that is read, headers a size and
//! a time in which to come, connections a number and a longest life.

use std::{
    collections::VecDeque, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::metrics::{self, Metrics};

/// Connections held at the same time; one more costs the oldest its place. If the new one waited
/// instead, whoever holds connections open could keep the kubelet's probes out, and the kubelet
/// would restart the agent for it.
const MAX_CONNECTIONS: usize = 128;
/// In this time a request's headers must have come; also the longest pause between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this time in any case.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// The end waits this long for responses under way; the agent must be gone within two seconds.
const GRACE: Duration = Duration::from_millis(500);
/// Request line and headers together (8 KiB is the least that hyper takes).
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 64;

/// Why the port could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Somebody else has it.
    #[error(
        "cannot serve metrics on {address}: another process uses it. Set `metrics.address` in the \
         configuration to a free one"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot serve metrics on {address} (`metrics.address` in the configuration)")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether the agent does its work; the text says why not.
pub(crate) type Readiness = Result<(), String>;

/// The open port, not served yet.
pub(crate) struct Server {
    listener: TcpListener,
    metrics: Arc<Metrics>,
    ready: watch::Receiver<Readiness>,
}

impl Server {
    /// Opens the port.
    pub(crate) async fn bind(
        address: SocketAddr,
        metrics: Arc<Metrics>,
        ready: watch::Receiver<Readiness>,
    ) -> Result<Self, HttpError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self { listener, metrics, ready }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(HttpError::InUse { address })
            }
            Err(source) => Err(HttpError::Bind { address, source }),
        }
    }

    /// The address that was opened: the port is another one where the configured one is 0.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is done, and then lets responses under way finish.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let mut held = VecDeque::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    let connection = graceful.watch(self.connection(stream));
                    hold(&mut held, tokio::spawn(answer(connection)).abort_handle());
                }
                Err(error) => {
                    // Out of descriptors, or a client that was gone already: the port stays open,
                    // and the pause keeps the first of the two from becoming a busy loop.
                    tracing::warn!(%error, "cannot accept a connection to the metrics");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        if timeout(GRACE, graceful.shutdown()).await.is_err() {
            tracing::debug!("connections to the metrics were cut off at the end");
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
    ) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
        let (metrics, ready) = (Arc::clone(&self.metrics), self.ready.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let response = respond(request.method(), request.uri().path(), &metrics, &ready);
            std::future::ready(Ok::<_, Infallible>(response))
        });
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
    }
}

/// Adds a connection to those that are held.
fn hold(held: &mut VecDeque<AbortHandle>, connection: AbortHandle) {
    held.retain(|other| !other.is_finished());
    if held.len() >= MAX_CONNECTIONS
        && let Some(oldest) = held.pop_front()
    {
        oldest.abort();
    }
    held.push_back(connection);
}

/// Lives as long as a connection may. How it ends is the client's affair.
async fn answer(connection: impl Future<Output = hyper::Result<()>>) {
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, connection).await {
        tracing::debug!(%error, "a connection to the metrics ended early");
    }
}

fn respond(
    method: &Method,
    path: &str,
    metrics: &Metrics,
    ready: &watch::Receiver<Readiness>,
) -> Response<Full<Bytes>> {
    let known = matches!(path, "/metrics" | "/healthz" | "/readyz");
    if known && method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => match metrics.text() {
            Ok(text) => with_type(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        // Whoever reads this answer has proof that the agent's loop runs.
        "/healthz" => plain(StatusCode::OK, "alive\n"),
        "/readyz" => match &*ready.borrow() {
            Ok(()) => plain(StatusCode::OK, "ready\n"),
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", text)
}

fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
