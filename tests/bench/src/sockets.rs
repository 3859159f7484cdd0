//! TCP connections on the loopback.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn, socket};

use crate::clock::{Measure, now};

/// Each leaves a port in TIME_WAIT for a minute; there are 28,000.
const COUNT: u32 = 10;

pub(crate) fn connect() -> Result<Measure> {
    let listener = listener()?;
    let SocketAddr::V4(address) = listener.local_addr()? else {
        bail!("127.0.0.1 is an IPv6 address");
    };
    let address = SockaddrIn::from(address);
    Measure::of_each(COUNT, || {
        let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let begun = now()?;
        socket::connect(socket.as_raw_fd(), &address)?;
        let took = now()? - begun;
        let (accepted, _) = listener.accept()?;
        drop((socket, accepted));
        Ok(took)
    })
}

pub(crate) fn accept() -> Result<Measure> {
    let listener = listener()?;
    let address = listener.local_addr()?;
    Measure::of_each(COUNT, || {
        let stream = TcpStream::connect(address)?;
        let begun = now()?;
        let (accepted, _) = listener.accept()?;
        let took = now()? - begun;
        drop((stream, accepted));
        Ok(took)
    })
}

fn listener() -> Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")
}
