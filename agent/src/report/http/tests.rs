//! The port, over loopback.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;

/// A served port, and the means to change and to end it.
struct Site {
    address: SocketAddr,
    ready: watch::Sender<Readiness>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn site() -> Site {
    let metrics = Arc::new(Metrics::new("0.1.0", "abc").unwrap());
    let (ready, state) = watch::channel(Err("the programs are being loaded".to_owned()));
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), metrics, state).await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server.serve(async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Site { address, ready, stop, served }
}

/// Sends `request` as it is and returns the answer as it comes.
async fn exchange(site: &Site, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut off instead of closed has still answered what it has answered.
    if let Err(error) = stream.read_to_end(&mut answer).await {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(answer).unwrap()
}

async fn get(site: &Site, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    exchange(site, request.as_bytes()).await
}

#[tokio::test]
async fn metrics_come_in_the_text_format() {
    let site = site().await;
    let answer = get(&site, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
    assert!(answer.contains("\nbulkhead_build_info{revision=\"abc\",version=\"0.1.0\"} 1\n"));
}

#[tokio::test]
async fn ready_is_said_only_once_it_is_so_and_alive_before() {
    let site = site().await;
    assert!(get(&site, "/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = get(&site, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("not ready: the programs are being loaded\n"), "{answer}");
    site.ready.send(Ok(())).unwrap();
    assert!(get(&site, "/readyz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let site = site().await;
    assert!(get(&site, "/").await.starts_with("HTTP/1.1 404"));
    assert!(get(&site, "/metrics/../etc/passwd").await.starts_with("HTTP/1.1 404"));
    let post =
        b"POST /metrics HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = exchange(&site, post).await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD\r\n"));
    assert!(exchange(&site, b"nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let site = site().await;
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
    assert!(exchange(&site, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let mut long = b"GET /metrics HTTP/1.1\r\nA: ".to_vec();
    long.resize(MAX_HEADER_BYTES + 100, b'a');
    assert!(exchange(&site, &long).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_let_go() {
    let site = site().await;
    let begin = tokio::time::Instant::now();
    let answer = exchange(&site, b"GET /metrics HTTP/1.1\r\nHos").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(begin.elapsed() < HEADER_TIMEOUT * 2);
}

#[tokio::test]
async fn a_crowd_that_holds_on_keeps_nobody_out() {
    let site = site().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(TcpStream::connect(site.address).await.unwrap());
    }
    let answer = timeout(Duration::from_secs(2), get(&site, "/healthz")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut byte = [0];
    let oldest = timeout(Duration::from_secs(2), idle[0].read(&mut byte)).await.unwrap();
    assert!(matches!(oldest, Ok(0) | Err(_)), "the oldest made room: {oldest:?}");
    let newest = idle.last_mut().unwrap().read(&mut byte);
    assert!(timeout(Duration::from_millis(100), newest).await.is_err(), "the others stay");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_setting_to_change() {
    let site = site().await;
    let metrics = Arc::new(Metrics::new("0.1.0", "abc").unwrap());
    let (_ready, state) = watch::channel(Ok(()));
    let error = Server::bind(site.address, metrics, state).await.err().unwrap().to_string();
    assert!(error.contains(&site.address.to_string()), "{error}");
    assert!(error.contains("`metrics.address`"), "{error}");
}

#[tokio::test]
async fn the_end_comes_in_time_even_with_a_client_that_holds_on() {
    let site = site().await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    assert!(get(&site, "/healthz").await.starts_with("HTTP/1.1 200"));
    let begin = Instant::now();
    site.stop.send(()).unwrap();
    site.served.await.unwrap();
    assert!(begin.elapsed() < GRACE * 2, "{:?}", begin.elapsed());
}
