//! The sockets of a process, as its network namespace shows them.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bulkhead_policy::event::Text;
use serde::Serialize;

use super::bounded;

/// Bytes of one table.
const MAX_BYTES: usize = 2 << 20;
/// Sockets of one process that are told.
const MAX_TOLD: usize = 256;
/// Network namespaces that are remembered.
const MAX_NAMESPACES: usize = 64;

const TABLES: [&str; 7] = ["tcp", "tcp6", "udp", "udp6", "raw", "packet", "unix"];

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Socket {
    inode: u64,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

/// The tables of the namespaces seen so far.
#[derive(Default)]
pub(super) struct Sockets {
    tables: HashMap<u64, HashMap<u64, Socket>>,
}

impl Sockets {
    /// Those of these inode numbers, in the network namespace of a process.
    pub(super) fn of(&mut self, pid: u32, namespace: u64, inodes: &BTreeSet<u64>) -> Vec<Socket> {
        if inodes.is_empty() {
            return Vec::new();
        }
        if self.tables.len() >= MAX_NAMESPACES {
            self.tables.clear();
        }
        let table = self.tables.entry(namespace).or_insert_with(|| read(pid));
        inodes.iter().filter_map(|inode| table.get(inode)).take(MAX_TOLD).cloned().collect()
    }
}

fn read(pid: u32) -> HashMap<u64, Socket> {
    let mut sockets = HashMap::new();
    for name in TABLES {
        // A table that is not there is of a protocol that this kernel has not.
        let Ok((text, _more)) = bounded::file(format!("/proc/{pid}/net/{name}"), MAX_BYTES) else {
            continue;
        };
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().skip(1);
        sockets.extend(lines.filter_map(|line| parse(name, line)).map(|it| (it.inode, it)));
    }
    sockets
}

fn parse(protocol: &'static str, line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let word = |at: usize| words.get(at).copied();
    match protocol {
        "unix" => Some(Socket {
            inode: word(6)?.parse().ok()?,
            protocol,
            local: word(7).map(bounded::text),
            remote: None,
            state: None,
        }),
        "packet" => Some(Socket {
            inode: word(8)?.parse().ok()?,
            protocol,
            local: None,
            remote: None,
            state: None,
        }),
        _ => Some(Socket {
            inode: word(9)?.parse().ok()?,
            protocol,
            local: address(word(1)?),
            remote: address(word(2)?),
            state: if protocol.starts_with("tcp") { state(word(3)?) } else { None },
        }),
    }
}

/// `0100007F:1F90`: words of the machine's byte order, and a port.
fn address(text: &str) -> Option<Text> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<[u8; 4]>> = host
        .as_bytes()
        .chunks(8)
        .map(|chunk| {
            let text = std::str::from_utf8(chunk).ok()?;
            Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let host = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some(Text::new(SocketAddr::new(host, port).to_string()))
}

/// include/net/tcp_states.h
fn state(number: &str) -> Option<&'static str> {
    const STATES: [&str; 12] = [
        "established",
        "syn-sent",
        "syn-received",
        "fin-wait-1",
        "fin-wait-2",
        "time-wait",
        "closed",
        "close-wait",
        "last-ack",
        "listening",
        "closing",
        "new-syn-received",
    ];
    let number = usize::from_str_radix(number, 16).ok()?;
    STATES.get(number.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_found_by_its_inode() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener));
        let link = std::fs::read_link(link).unwrap().to_string_lossy().into_owned();
        let inode: u64 = link.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let told = Sockets::default().of(std::process::id(), 1, &BTreeSet::from([inode]));
        let local = listener.local_addr().unwrap().to_string();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].local, Some(Text::new(local)));
        assert_eq!(told[0].state, Some("listening"));
    }

    #[test]
    fn a_line_of_any_kind_is_read_or_left() {
        let six = "  0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 \
                   0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        let told = parse("tcp6", six).unwrap();
        assert_eq!((told.inode, told.local), (4_711, Some(Text::new("[::1]:22"))));
        let unix = "0000000000000000: 00000002 00000000 00010000 0001 01 12 @a\u{1b}b";
        assert_eq!(parse("unix", unix).unwrap().local, Some(Text::new("@a\u{1b}b")));
        for broken in ["", "x", "0: zz:1 1:2 3 4 5 6 7 8 9", "é é é é é é é é é é"] {
            for table in TABLES {
                assert!(parse(table, broken).is_none_or(|socket| socket.inode <= 9), "{broken}");
            }
        }
    }
}
