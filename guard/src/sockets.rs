//! Sockets by family.

use bulkhead_abi::Rule;

// linux/socket.h
const AF_UNIX: i32 = 1;
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
const AF_NETLINK: i32 = 16;
const AF_PACKET: i32 = 17;
const AF_ALG: i32 = 38;
const AF_VSOCK: i32 = 40;
/// linux/net.h: the type is in the low four bits, the rest are flags.
const SOCK_TYPE_MASK: i32 = 0xf;
const SOCK_RAW: i32 = 3;
// uapi/linux/netlink.h
const NETLINK_XFRM: i32 = 6;
const NETLINK_NETFILTER: i32 = 12;
const IPPROTO_DCCP: i32 = 33;
const IPPROTO_SCTP: i32 = 132;

/// The rule for socket(2) with these arguments, if ordinary programs have no need of them.
#[inline(always)]
pub const fn of_socket(family: i32, kind: i32, protocol: i32) -> Option<Rule> {
    match family {
        AF_UNIX => None,
        AF_NETLINK if protocol == NETLINK_XFRM => Some(Rule::NetlinkXfrm),
        AF_NETLINK if protocol == NETLINK_NETFILTER => Some(Rule::NetlinkNetfilter),
        AF_NETLINK => None,
        AF_INET | AF_INET6 if kind & SOCK_TYPE_MASK == SOCK_RAW => Some(Rule::SocketRaw),
        AF_INET | AF_INET6 if protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP => {
            Some(Rule::SocketRare)
        }
        AF_INET | AF_INET6 => None,
        AF_PACKET => Some(Rule::SocketRaw),
        AF_ALG => Some(Rule::SocketAlg),
        AF_VSOCK => Some(Rule::SocketVsock),
        _ => Some(Rule::SocketRare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM_CLOEXEC: i32 = 1 | 0o2000000;

    #[test]
    fn ordinary_sockets_meet_no_rule() {
        for family in [AF_UNIX, AF_INET, AF_INET6] {
            assert_eq!(of_socket(family, STREAM_CLOEXEC, 0), None);
        }
        assert_eq!(of_socket(AF_NETLINK, SOCK_RAW, 0), None, "netlink sockets are raw by habit");
        assert_eq!(of_socket(AF_INET, STREAM_CLOEXEC, 262), None, "MPTCP is what Go listens on");
    }

    #[test]
    fn netlink_is_judged_by_its_protocol() {
        assert_eq!(of_socket(AF_NETLINK, SOCK_RAW, 6), Some(Rule::NetlinkXfrm));
        assert_eq!(of_socket(AF_NETLINK, SOCK_RAW, 12), Some(Rule::NetlinkNetfilter));
        for protocol in [0, 4, 9, 15, 16] {
            assert_eq!(of_socket(AF_NETLINK, SOCK_RAW, protocol), None, "{protocol}");
        }
    }

    #[test]
    fn each_dangerous_family_meets_its_rule() {
        assert_eq!(of_socket(AF_ALG, 5, 0), Some(Rule::SocketAlg));
        assert_eq!(of_socket(AF_PACKET, 3, 0), Some(Rule::SocketRaw));
        assert_eq!(of_socket(AF_INET, SOCK_RAW | 0o2000000, 1), Some(Rule::SocketRaw));
        assert_eq!(of_socket(AF_VSOCK, 1, 0), Some(Rule::SocketVsock));
        assert_eq!(of_socket(AF_INET, 5, IPPROTO_SCTP), Some(Rule::SocketRare));
        for family in [21, 30, 33, 41] {
            assert_eq!(of_socket(family, 2, 0), Some(Rule::SocketRare), "{family}");
        }
    }
}
