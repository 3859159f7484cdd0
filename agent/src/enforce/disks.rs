//! The node's disks: what rates apply to.

use std::{fs, path::Path};

/// Block devices that are no disk, or stand on one that is limited itself.
const NO_DISKS: [&str; 8] = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd"];

/// `major:minor` of every disk, from `/sys/block`.
pub(super) fn disks(blocks: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(blocks) else { return Vec::new() };
    let mut disks: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            !NO_DISKS.iter().any(|beginning| name.starts_with(beginning))
        })
        .filter_map(|entry| {
            let read = |file| fs::read_to_string(entry.path().join(file)).ok();
            let empty = read("size").is_some_and(|size| size.trim() == "0");
            read("dev").map(|dev| dev.trim().to_owned()).filter(|_| !empty)
        })
        .collect();
    disks.sort();
    disks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_disks_with_something_on_them_are_found() {
        let root = tempfile::tempdir().unwrap();
        for (name, dev, size) in
            [("sda", "8:0\n", "100\n"), ("loop0", "7:0\n", "5\n"), ("sdb", "8:16\n", "0\n")]
        {
            let block = root.path().join(name);
            fs::create_dir_all(&block).unwrap();
            fs::write(block.join("dev"), dev).unwrap();
            fs::write(block.join("size"), size).unwrap();
        }
        assert_eq!(disks(root.path()), ["8:0"]);
        assert!(disks(Path::new("/no/such")).is_empty());
    }
}
