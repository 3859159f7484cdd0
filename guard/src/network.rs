//! Where connections go.

use bulkhead_abi::Rule;

/// 169.254.169.254 (AWS, Azure, GCP, OpenStack), 169.254.170.2 and .23 (AWS containers),
/// 100.100.100.200 (Alibaba), 168.63.129.16 (Azure), 192.0.0.192 (Oracle).
const METADATA: [u32; 6] =
    [0xa9fe_a9fe, 0xa9fe_aa02, 0xa9fe_aa17, 0x6464_64c8, 0xa83f_8110, 0xc000_00c0];
/// fd00:ec2::254 and fd00:ec2::23 (AWS), fd20:ce::254 (GCP): first and second half.
const METADATA_6: [(u64, u64); 3] =
    [(0xfd00_0ec2_0000_0000, 0x254), (0xfd00_0ec2_0000_0000, 0x23), (0xfd20_00ce_0000_0000, 0x254)];
/// kubelet, its read-only port, etcd's clients and peers, the API server.
const CONTROL_PLANE: [u16; 5] = [10250, 10255, 2379, 2380, 6443];

/// The rule for a connection to an IPv4 address and port, in host byte order.
#[inline(always)]
pub fn of_v4(address: u32, port: u16) -> Option<Rule> {
    let mut at = 0;
    while at < METADATA.len() {
        #[allow(clippy::indexing_slicing)]
        if METADATA[at] == address {
            return Some(Rule::MetadataService);
        }
        at += 1;
    }
    of_port(port)
}

/// The rule for a connection to an IPv6 address, by its halves. One that stands for an IPv4 address
/// is judged as that.
#[inline(always)]
pub fn of_v6(high: u64, low: u64, port: u16) -> Option<Rule> {
    if high == 0 && low >> 32 == 0xffff {
        return of_v4(low as u32, port);
    }
    let mut at = 0;
    while at < METADATA_6.len() {
        #[allow(clippy::indexing_slicing)]
        let (its_high, its_low) = METADATA_6[at];
        if its_high == high && its_low == low {
            return Some(Rule::MetadataService);
        }
        at += 1;
    }
    of_port(port)
}

#[inline(always)]
fn of_port(port: u16) -> Option<Rule> {
    let mut at = 0;
    while at < CONTROL_PLANE.len() {
        #[allow(clippy::indexing_slicing)]
        if CONTROL_PLANE[at] == port {
            return Some(Rule::ControlPlane);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    extern crate std;

    use super::*;

    fn v6(text: &str, port: u16) -> Option<Rule> {
        let bits = text.parse::<Ipv6Addr>().unwrap().to_bits();
        of_v6((bits >> 64) as u64, bits as u64, port)
    }

    fn v4(text: &str, port: u16) -> Option<Rule> {
        of_v4(text.parse::<Ipv4Addr>().unwrap().to_bits(), port)
    }

    #[test]
    fn metadata_services_are_known_in_both_families() {
        assert_eq!(v4("169.254.169.254", 80), Some(Rule::MetadataService));
        assert_eq!(v6("::ffff:169.254.169.254", 80), Some(Rule::MetadataService));
        assert_eq!(v6("fd00:ec2::254", 80), Some(Rule::MetadataService));
        assert_eq!(v6("fd20:ce::254", 80), Some(Rule::MetadataService));
        assert_eq!(v4("169.254.25.10", 53), None, "a node-local DNS cache");
    }

    #[test]
    fn the_control_plane_is_known_by_its_ports() {
        assert_eq!(v4("10.0.0.1", 10250), Some(Rule::ControlPlane));
        assert_eq!(v6("2001:db8::1", 6443), Some(Rule::ControlPlane));
        assert_eq!(v4("10.0.0.1", 443), None);
        assert_eq!(v6("::1", 8080), None);
    }
}
