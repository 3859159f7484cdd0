//! Both ends, over a socket in a directory of the test's own.

use std::{
    os::unix::{fs::PermissionsExt, fs::symlink, net::UnixListener},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{client::AskError, server::ControlError, *};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn asked(socket: &Path, request: &Request) -> Result<serde_json::Value, AskError> {
    ask(socket, request)
}

/// An agent that answers every question with the question, and refuses one.
fn agent(socket: &Path) -> std::sync::mpsc::Sender<()> {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (up, is_up) = std::sync::mpsc::channel();
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let (server, mut questions) = Server::bind(&socket).unwrap();
            tokio::spawn(server.serve());
            up.send(()).unwrap();
            loop {
                tokio::select! {
                    Some(question) = questions.recv() => {
                        let answer = match &question.request {
                            Request::Container { id } if id == "none" => {
                                Err(Refusal::NotFound("no such\u{1b}container".to_owned()))
                            }
                            request => Ok(serde_json::json!({
                                "request": request, "pid": question.peer.pid,
                            })),
                        };
                        question.answer.send(answer).unwrap();
                    }
                    () = tokio::time::sleep(Duration::from_millis(20)) => {
                        if stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
                            return;
                        }
                    }
                }
            }
        });
    });
    is_up.recv().unwrap();
    stop
}

/// Who may not be root's directory owner cannot have these tests' agent either.
fn is_root() -> bool {
    nix::unistd::getuid().is_root()
}

#[test]
fn a_question_is_answered_and_the_kernel_says_who_asked() {
    if !is_root() {
        return println!("skipped: only root may ask an agent");
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("run/agent.sock");
    let _agent = agent(&socket);
    let request = Request::Container { id: "a\nb".to_owned() };
    let answer = asked(&socket, &request).unwrap();
    assert_eq!(answer["request"], serde_json::json!({ "container": { "id": "a\nb" } }));
    assert_eq!(answer["pid"], std::process::id());
    let refused = asked(&socket, &Request::Container { id: "none".to_owned() }).unwrap_err();
    assert_eq!(refused.to_string(), "no suchcontainer", "and no control character gets through");
}

#[test]
fn the_socket_is_for_root_alone() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).unwrap();
    let _agent = agent(&run.join("agent.sock"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&run), mode(&run.join("agent.sock"))), (0o700, 0o600));
}

#[test]
fn where_no_agent_runs_the_error_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let error = asked(&socket, &Request::Tenants {}).unwrap_err().to_string();
    assert!(error.contains("`bulkhead run`") && error.contains("--socket"), "{error}");
    // What a dead agent left is no agent either.
    drop(UnixListener::bind(&socket).unwrap());
    if is_root() {
        let error = asked(&socket, &Request::Tenants {}).unwrap_err();
        assert!(matches!(error, AskError::NoAgent(_)), "{error}");
    }
    let _agent = agent(&socket);
}

#[test]
fn a_second_agent_does_not_take_the_socket_from_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let _agent = agent(&socket);
    let error = runtime().block_on(async { Server::bind(&socket).map(drop) }).unwrap_err();
    assert!(matches!(error, ControlError::InUse(_)), "{error}");
}

#[test]
fn nothing_is_sent_to_a_forged_socket() {
    let directory = tempfile::tempdir().unwrap();
    let forged = |socket: &Path| match asked(socket, &Request::Tenants {}) {
        Err(AskError::Forged { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(forged(&file), "it is no socket");
    let link = directory.path().join("link");
    symlink("/run/bulkhead/agent.sock", &link).unwrap();
    assert_eq!(forged(&link), "it is no socket");
    let open = directory.path().join("open");
    std::fs::create_dir(&open).unwrap();
    let _listener = UnixListener::bind(open.join("agent.sock")).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    if is_root() {
        let why = forged(&open.join("agent.sock"));
        assert!(why.starts_with("others than root may write"), "{why}");
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(open.join("agent.sock"), Some(65_534), None).unwrap();
        assert_eq!(forged(&open.join("agent.sock")), "it belongs to user 65534");
    }
}

#[test]
fn what_is_too_large_or_no_question_is_refused_and_the_socket_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let _agent = agent(&socket);
    let exchange = |request: Vec<u8>| {
        runtime().block_on(async {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            // The agent may have answered, and closed, before all of it is written.
            let _written = stream.write_all(&request).await;
            let mut answer = Vec::new();
            let _cut_off = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        })
    };
    let post = |path: &str, body: &str| {
        let length = body.len();
        let head = "Host: x\r\nConnection: close";
        exchange(
            format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")
                .into_bytes(),
        )
    };
    assert!(post("/v1", r#"{"tenants":{}}"#).starts_with("HTTP/1.1 200"));
    assert!(post("/v1", r#"{"burn":{}}"#).starts_with("HTTP/1.1 400"));
    assert!(post("/v1", r#"{"tenants":{"x":1}}"#).starts_with("HTTP/1.1 400"));
    assert!(post("/", r#"{"tenants":{}}"#).starts_with("HTTP/1.1 404"));
    let large = post("/v1", &" ".repeat(MAX_REQUEST_BYTES + 1));
    assert!(large.starts_with("HTTP/1.1 400"), "{large}");
    assert!(!exchange(vec![0xff; 100_000]).starts_with("HTTP/1.1 200"));
    assert!(post("/v1", r#"{"tenants":{}}"#).starts_with("HTTP/1.1 200"));
}
