//! Where the search begins.

use std::{fs, path::Path};

/// The inputs that are committed for a target. A file is one; of a `.hex` file, each line.
///
/// # Panics
/// When they cannot be read: this is for tests.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut paths: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut seeds = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let text = String::from_utf8(bytes).unwrap();
            seeds.extend(text.lines().map(from_hex));
        } else {
            seeds.push(bytes);
        }
    }
    seeds
}

fn from_hex(line: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    line.as_bytes().chunks(2).map(byte).collect()
}
