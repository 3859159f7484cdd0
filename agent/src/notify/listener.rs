//! What a runtime hands over: a listener, and whose it is.

use std::{
    io::{self, IoSliceMut},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};
use serde::Deserialize;

use super::sys;

/// The state has the container's annotations in it; the kubelet keeps those under 256 KiB.
const MAX_STATE: usize = 512 << 10;
/// The most descriptors of one message; the runtimes send one.
const MAX_DESCRIPTORS: usize = 4;

/// Lines of one container in a second; the others are counted.
pub(super) const TOLD_A_SECOND: u32 = 10;

/// ContainerProcessState of the OCI runtime specification, what is needed of it.
#[derive(Deserialize)]
struct ProcessState {
    #[serde(default)]
    fds: Vec<String>,
    state: State,
}

#[derive(Deserialize)]
struct State {
    id: String,
}

/// A container's listener.
pub(super) struct Listener {
    pub(super) descriptor: OwnedFd,
    pub(super) container: String,
    /// Lines about it that may be told before the next second.
    pub(super) left: u32,
    /// Refusals that were not told.
    pub(super) untold: u64,
}

/// A runtime's connection, until its listener has come. crun connects when it creates a container and sends
/// when that is started, however long that takes.
pub(super) struct Handover {
    pub(super) stream: UnixStream,
    text: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// How far a handover has come.
pub(super) enum Came {
    /// There is more to come.
    Part,
    /// The runtime has gone without a word: the container was never started.
    Nothing,
    /// All of it.
    Listener(Listener),
}

impl Handover {
    pub(super) fn of(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, text: Vec::new(), descriptors: Vec::new() })
    }

    /// Takes what has come.
    pub(super) fn go_on(&mut self) -> io::Result<Came> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = match read_some(&self.stream, &mut buffer, &mut self.descriptors) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Came::Part),
                read => read?,
            };
            if read == 0 && self.text.is_empty() {
                return Ok(Came::Nothing);
            }
            self.text.extend_from_slice(buffer.get(..read).unwrap_or_default());
            match serde_json::from_slice::<ProcessState>(&self.text) {
                Ok(state) => return self.listener(state).map(Came::Listener),
                Err(error) if read == 0 || !error.is_eof() => return Err(error.into()),
                Err(_) if self.text.len() > MAX_STATE => {
                    return Err(io::Error::other("the container's state does not end"));
                }
                Err(_) => {}
            }
        }
    }

    fn listener(&mut self, state: ProcessState) -> io::Result<Listener> {
        let place = state.fds.iter().position(|name| name == "seccompFd").unwrap_or_default();
        if place >= self.descriptors.len() {
            return Err(io::Error::other("the runtime sent no seccompFd"));
        }
        let descriptor = self.descriptors.swap_remove(place);
        Ok(Listener { descriptor, container: state.state.id, left: TOLD_A_SECOND, untold: 0 })
    }
}

fn read_some(
    stream: &UnixStream,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = cmsg_space!([i32; MAX_DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = part {
            descriptors.extend(received.into_iter().map(sys::own));
        }
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::IoSlice};

    use nix::sys::socket::{ControlMessage, sendmsg};

    use super::*;

    const STATE: &str = r#"{"ociVersion":"1.0","fds":["seccompFd"],"state":{"id":"c1"}}"#;

    fn pair() -> (UnixStream, Handover) {
        let (runtime, here) = UnixStream::pair().unwrap();
        (runtime, Handover::of(here).unwrap())
    }

    fn send(runtime: &UnixStream, text: &str, descriptor: Option<&File>) {
        let descriptors: Vec<i32> = descriptor.iter().map(|file| file.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let rights: &[_] = if descriptors.is_empty() { &[] } else { &rights };
        let parts = [IoSlice::new(text.as_bytes())];
        let sent =
            sendmsg::<()>(runtime.as_raw_fd(), &parts, rights, MsgFlags::empty(), None).unwrap();
        assert_eq!(sent, text.len());
    }

    #[test]
    fn a_runtime_may_take_its_time_and_several_writes() {
        let (runtime, mut handover) = pair();
        assert!(matches!(handover.go_on(), Ok(Came::Part)), "connected, and nothing yet");
        let (one, other) = STATE.split_at(20);
        send(&runtime, one, Some(&File::open("/dev/null").unwrap()));
        assert!(matches!(handover.go_on(), Ok(Came::Part)));
        send(&runtime, other, None);
        let Ok(Came::Listener(listener)) = handover.go_on() else { panic!("no listener") };
        assert_eq!(listener.container, "c1");
    }

    #[test]
    fn a_container_that_is_never_started_is_no_error() {
        let (runtime, mut handover) = pair();
        drop(runtime);
        assert!(matches!(handover.go_on(), Ok(Came::Nothing)));
    }

    #[test]
    fn what_is_no_listener_is_refused() {
        for text in ["{}", "[", "no json", STATE] {
            let (runtime, mut handover) = pair();
            send(&runtime, text, None);
            drop(runtime);
            assert!(handover.go_on().is_err(), "{text}");
        }
    }
}
