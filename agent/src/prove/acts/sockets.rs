//! Socket families that containers seldom need and attackers often do. Nothing is bound,
//! connected or sent.

use bulkhead_abi::Rule;
use nix::libc;

use crate::prove::{
    actor::{Actor, Report},
    behaviour::{Behaviour, CAP_NET_RAW},
    sys,
};

pub(crate) const ALL: &[Behaviour] = &[
    Behaviour::new("socket-alg", "B27", Rule::SocketAlg, "a kernel crypto socket", |actor| {
        open(actor, libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    })
    .module("net-pf-38")
    .quick(),
    Behaviour::new("socket-packet", "B28", Rule::SocketRaw, "a packet socket", |actor| {
        // Protocol 0 receives nothing.
        open(actor, libc::AF_PACKET, libc::SOCK_DGRAM, 0)
    })
    .module("net-pf-17")
    .needs(&[CAP_NET_RAW]),
    Behaviour::new("socket-raw", "B28", Rule::SocketRaw, "a raw IPv4 socket", |actor| {
        open(actor, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    })
    .needs(&[CAP_NET_RAW])
    .quick(),
    Behaviour::new(
        "socket-vsock",
        "B29",
        Rule::SocketVsock,
        "a socket to the hypervisor",
        |actor| open(actor, libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    )
    .module("net-pf-40")
    .quick(),
    Behaviour::new("socket-tipc", "B32", Rule::SocketRare, "a TIPC socket", |actor| {
        open(actor, libc::AF_TIPC, libc::SOCK_SEQPACKET, 0)
    })
    .module("net-pf-30"),
    Behaviour::new("socket-rds", "B32", Rule::SocketRare, "an RDS socket", |actor| {
        open(actor, libc::AF_RDS, libc::SOCK_SEQPACKET, 0)
    })
    .module("net-pf-21"),
    Behaviour::new("socket-rxrpc", "B32", Rule::SocketRare, "an RxRPC socket", |actor| {
        open(actor, AF_RXRPC, libc::SOCK_DGRAM, libc::AF_INET)
    })
    .module("net-pf-33")
    .quick(),
    Behaviour::new("netlink-xfrm", "B30", Rule::NetlinkXfrm, "a socket for IPsec", |actor| {
        open(actor, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_XFRM)
    })
    .module("net-pf-16-proto-6"),
    Behaviour::new(
        "netlink-netfilter",
        "B31",
        Rule::NetlinkNetfilter,
        "a socket for packet filters",
        |actor| open(actor, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
    )
    .module("net-pf-16-proto-12"),
    Behaviour::new(
        "metadata",
        "B70",
        Rule::MetadataService,
        "connect a datagram socket to the cloud's metadata address (nothing is sent)",
        |actor| connect(actor, "169.254.169.254:80"),
    )
    .quick(),
    Behaviour::new(
        "metadata-mapped",
        "B70",
        Rule::MetadataService,
        "the same, as an IPv6 address that stands for it",
        |actor| connect(actor, "[::ffff:169.254.169.254]:80"),
    ),
    Behaviour::new(
        "kubelet-port",
        "B69",
        Rule::ControlPlane,
        "connect a datagram socket to the kubelet's port (nothing is sent)",
        |actor| connect(actor, "127.0.0.1:10250"),
    ),
];

/// Connecting a datagram socket sends nothing.
fn connect(actor: &Actor, to: &str) -> Report {
    let from = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    match std::net::UdpSocket::bind(from) {
        Ok(socket) => actor.attempt(|| {
            socket.connect(to).map_err(|error| {
                error.raw_os_error().map_or(nix::errno::Errno::EIO, nix::errno::Errno::from_raw)
            })
        }),
        Err(error) => actor.unavailable(&format!("no socket: {error}")),
    }
}

const AF_RXRPC: i32 = 33;

/// The guard's hook stands before the search for the family, so that a node without the family
/// answers EAFNOSUPPORT after the guard has spoken.
fn open(actor: &Actor, family: i32, kind: i32, protocol: i32) -> Report {
    actor.attempt(|| sys::socket(family, kind, protocol))
}
