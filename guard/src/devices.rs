//! Devices that a runtime has granted, and those that every container has.

use core::hint::black_box;

use bulkhead_abi::grants::{ANY, Grants, MAX_GRANTS};

/// What runc and crun grant to every container without being told, block devices being none:
/// null, zero, full, random, urandom; tty, console, ptmx; terminals; tun.
#[inline(always)]
pub const fn is_ordinary(block: bool, major: u32, minor: u32) -> bool {
    if block {
        return false;
    }
    match major {
        1 => matches!(minor, 3 | 5 | 7 | 8 | 9),
        5 => minor <= 2,
        136 => true,
        10 => minor == 200,
        _ => false,
    }
}

/// Whether a device may be opened so: `access` are bits of `bulkhead_abi::grants::access`.
#[inline(always)]
pub fn is_granted(grants: &Grants, block: bool, major: u32, minor: u32, access: u8) -> bool {
    let all_but = grants.all_but != 0;
    let mut wanted = access;
    for index in 0..MAX_GRANTS {
        if index as u32 >= grants.count {
            break;
        }
        // The verifier does not know the bound that the compiler knows, and wants to see the mask.
        #[allow(clippy::indexing_slicing)]
        let entry = &grants.entries[black_box(index) & (MAX_GRANTS - 1)];
        if (entry.block != 0) == block
            && (entry.major == ANY || entry.major == major)
            && (entry.minor == ANY || entry.minor == minor)
        {
            if all_but && entry.access & access != 0 {
                return false;
            }
            wanted &= !entry.access;
        }
    }
    all_but || wanted == 0
}

#[cfg(test)]
mod tests {
    use bulkhead_abi::grants::{Grant, access};

    use super::*;

    const READ: u8 = access::READ;
    const BOTH: u8 = access::READ | access::WRITE;

    fn entry(block: u8, major: u32, minor: u32, access: u8) -> Grant {
        Grant { major, minor, block, access, padding: [0; 2] }
    }

    #[test]
    fn what_every_container_has_is_ordinary_and_a_disk_never_is() {
        for (major, minor) in [(1, 3), (1, 9), (5, 0), (5, 2), (136, 7), (10, 200)] {
            assert!(is_ordinary(false, major, minor), "{major}:{minor}");
            assert!(!is_ordinary(true, major, minor), "{major}:{minor}");
        }
        for (major, minor) in [(1, 1), (1, 11), (4, 64), (5, 3), (10, 229), (10, 232), (195, 0)] {
            assert!(!is_ordinary(false, major, minor), "{major}:{minor}");
        }
    }

    #[test]
    fn nothing_is_granted_but_what_was_named() {
        let gpu = Grants::of(false, &[entry(0, 195, ANY, BOTH), entry(0, 10, 229, READ)]).unwrap();
        assert!(is_granted(&gpu, false, 195, 255, BOTH));
        assert!(!is_granted(&gpu, true, 195, 255, READ), "a disk of that number");
        assert!(is_granted(&gpu, false, 10, 229, READ));
        assert!(!is_granted(&gpu, false, 10, 229, BOTH), "for reading alone");
        assert!(!is_granted(&gpu, false, 10, 232, READ));
        assert!(!is_granted(&Grants::NONE, false, 0, 0, READ));
    }

    #[test]
    fn reading_and_writing_may_be_granted_one_by_one() {
        let both = [entry(0, 10, 229, READ), entry(0, 10, ANY, access::WRITE)];
        assert!(is_granted(&Grants::of(false, &both).unwrap(), false, 10, 229, BOTH));
    }

    #[test]
    fn a_privileged_container_has_everything_but_what_was_taken_out() {
        let all = Grants::of(true, &[]).unwrap();
        assert!(is_granted(&all, true, 8, 0, BOTH));
        let some = Grants::of(true, &[entry(1, 8, 0, access::WRITE)]).unwrap();
        assert!(is_granted(&some, true, 8, 0, READ) && !is_granted(&some, true, 8, 0, BOTH));
        assert!(is_granted(&some, true, 8, 1, BOTH));
    }

    #[test]
    fn a_full_list_is_read_to_its_end_and_no_further() {
        let mut entries = [entry(0, 1, 1, READ); MAX_GRANTS];
        entries[MAX_GRANTS - 1] = entry(0, 240, 9, READ);
        let full = Grants::of(false, &entries).unwrap();
        assert!(is_granted(&full, false, 240, 9, READ));
        let short = Grants { count: 63, ..full };
        assert!(!is_granted(&short, false, 240, 9, READ));
        let broken = Grants { count: u32::MAX, ..full };
        assert!(is_granted(&broken, false, 240, 9, READ));
        assert!(Grants::of(false, &[entries[0]; MAX_GRANTS + 1]).is_none());
    }
}
