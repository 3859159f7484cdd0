//! What a runtime hands over: a listener, and whose it is.

use std::{
    io::{self, IoSliceMut},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::{
    cmsg_space,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};
use serde::Deserialize;

use super::sys;

/// The state has the container's annotations in it; the kubelet keeps those under 256 KiB.
const MAX_STATE: usize = 512 << 10;
/// A runtime writes at once. Meanwhile calls of other containers wait.
const PATIENCE: Duration = Duration::from_millis(200);
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

/// Reads what a runtime sends.
pub(super) fn receive(stream: &UnixStream) -> io::Result<Listener> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    let mut text = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let state = loop {
        let read = read_some(stream, &mut buffer, &mut descriptors)?;
        text.extend_from_slice(buffer.get(..read).unwrap_or_default());
        match serde_json::from_slice::<ProcessState>(&text) {
            Ok(state) => break state,
            Err(error) if read == 0 || !error.is_eof() => return Err(error.into()),
            Err(_) if text.len() > MAX_STATE => {
                return Err(io::Error::other("the container's state does not end"));
            }
            Err(_) => {}
        }
    };
    let place = state.fds.iter().position(|name| name == "seccompFd").unwrap_or_default();
    if place >= descriptors.len() {
        return Err(io::Error::other("the runtime sent no seccompFd"));
    }
    let descriptor = descriptors.swap_remove(place);
    Ok(Listener { descriptor, container: state.state.id, left: TOLD_A_SECOND, untold: 0 })
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
