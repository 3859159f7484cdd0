//! Doors and descriptors of a process that lets itself be acted on: unix sockets that it listens on,
//! and what it hands out over the line that is its standard input.

use std::{
    fs::File,
    io::{IoSlice, IoSliceMut},
    net::UdpSocket,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
};

use anyhow::Context;
use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
    unistd::{read, write},
};

use super::sys;

/// What may be asked for: one byte on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loan {
    /// A network socket of the target's.
    Socket,
    /// The target's UTS namespace.
    Namespace,
}

impl Loan {
    const fn byte(self) -> u8 {
        match self {
            Self::Socket => b's',
            Self::Namespace => b'n',
        }
    }
}

/// The name of the abstract socket on which process `pid` listens.
pub(crate) fn stream_door(pid: u32) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("bulkhead-prove-{pid}-stream"))
}

/// The name of the abstract socket that takes process `pid`'s datagrams.
pub(crate) fn datagram_door(pid: u32) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("bulkhead-prove-{pid}-datagram"))
}

/// The sockets, open as long as this is kept.
pub(crate) struct Doors {
    _stream: UnixListener,
    _datagram: UnixDatagram,
}

impl Doors {
    /// Opens those of process `pid`, which is the caller.
    pub(crate) fn open(pid: u32) -> anyhow::Result<Self> {
        Ok(Self {
            _stream: UnixListener::bind_addr(&stream_door(pid)?).context("an abstract socket")?,
            _datagram: UnixDatagram::bind_addr(&datagram_door(pid)?)
                .context("an abstract socket")?,
        })
    }
}

/// Hands out what is asked for, until the line ends.
pub(crate) fn serve(line: BorrowedFd<'_>) -> anyhow::Result<()> {
    let mut asked = [0];
    loop {
        match read(line, &mut asked) {
            Ok(0) | Err(Errno::ECONNRESET) => return Ok(()),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("standard input"),
        }
        let lent: OwnedFd = match asked {
            [b'n'] => File::open("/proc/self/ns/uts").context("one's own namespace")?.into(),
            _ => UdpSocket::bind("127.0.0.1:0").context("a socket to lend")?.into(),
        };
        let descriptors = [lent.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&descriptors)];
        sendmsg::<()>(
            line.as_raw_fd(),
            &[IoSlice::new(&asked)],
            &message,
            MsgFlags::MSG_NOSIGNAL,
            None,
        )
        .context("lending a descriptor")?;
    }
}

/// Asks for a loan and waits until it can be taken.
pub(crate) fn ask(loan: Loan) -> nix::Result<()> {
    let line = std::io::stdin();
    write(line.as_fd(), &[loan.byte()])?;
    let mut wait = [nix::poll::PollFd::new(line.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut wait, nix::poll::PollTimeout::from(5_000u16)).map(drop)
}

/// Takes the loan. A descriptor that the kernel keeps back is missing from the message, and nothing
/// else tells: that is a refusal.
pub(crate) fn take() -> nix::Result<OwnedFd> {
    let line = std::io::stdin();
    let mut byte = [0];
    let mut room = nix::cmsg_space!(std::os::fd::RawFd);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(line.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(Errno::EACCES);
    }
    let mut given = message.cmsgs()?.filter_map(|part| match part {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    });
    given.next().map(sys::adopt).ok_or(Errno::EACCES)
}
