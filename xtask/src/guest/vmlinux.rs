//! The uncompressed kernel inside a bzImage.
//!
//! QEMU enters a vmlinux directly (PVH), which saves the guest from unpacking it under emulation:
//! three seconds of each boot.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Offsets in the setup header, from the kernel's Documentation/arch/x86/boot.rst.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: usize = 512;

/// The payload ends with the length of what it unpacks to.
const LENGTH_TRAILER: usize = 4;

/// Unpacks the kernel in `image` to `dest`.
pub(crate) fn extract(image: &Path, dest: &Path) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let (packed, unpacked_length) =
        payload(&bytes).with_context(|| format!("{} is not a bzImage", image.display()))?;
    let program = unpacker(packed)?;
    let out = File::create(dest).with_context(|| format!("cannot make {}", dest.display()))?;
    let mut child = Command::new(program)
        .args(["-q", "-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))?;
    let mut input = child.stdin.take().context("the unpacker has no stdin")?;
    input.write_all(packed).with_context(|| format!("`{program}` does not take the kernel"))?;
    drop(input);
    let status = child.wait()?;
    ensure!(status.success(), "`{program}` cannot unpack the kernel, {status}");
    let length = fs::metadata(dest)?.len();
    ensure!(
        length == u64::from(unpacked_length),
        "the kernel unpacks to {length} bytes, its header says {unpacked_length}"
    );
    Ok(())
}

/// The packed kernel and the length that it unpacks to.
fn payload(image: &[u8]) -> Option<(&[u8], u32)> {
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    // Zero means four: a relic that the boot protocol keeps.
    let sectors = match *image.get(SETUP_SECTORS)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let begin = (sectors + 1) * SECTOR + usize::try_from(word(image, PAYLOAD_OFFSET)?).ok()?;
    let length = usize::try_from(word(image, PAYLOAD_LENGTH)?).ok()?;
    let whole = image.get(begin..begin.checked_add(length)?)?;
    let trailer = whole.len().checked_sub(LENGTH_TRAILER)?;
    Some((whole.get(..trailer)?, word(whole, trailer)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn unpacker(packed: &[u8]) -> Result<&'static str> {
    match packed {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok("zstd"),
        [0x02, 0x21, 0x4c, 0x18, ..] => Ok("lz4"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Ok("xz"),
        _ => bail!("the kernel is packed in a way that is not known here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image.resize(2 * SECTOR, 0);
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16u32.to_le_bytes());
        let length = u32::try_from(payload.len()).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend([0; 16]);
        image.extend(payload);
        image
    }

    #[test]
    fn the_payload_is_found_where_the_header_says() {
        let image = image(b"packed\x2a\x00\x00\x00");
        assert_eq!(payload(&image), Some((&b"packed"[..], 42)));
    }

    #[test]
    fn a_cut_or_foreign_file_is_refused() {
        let whole = image(b"packed\x2a\x00\x00\x00");
        assert_eq!(payload(&whole[..whole.len() - 1]), None);
        assert_eq!(payload(b"ELF"), None);
        assert_eq!(payload(&vec![0; 4096]), None);
    }

    #[test]
    fn an_unknown_packing_is_named_as_such() {
        assert!(unpacker(b"plain text").is_err());
        assert_eq!(unpacker(&[0x28, 0xb5, 0x2f, 0xfd, 0]).unwrap(), "zstd");
    }
}
