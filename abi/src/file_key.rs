//! How the kernel side recognises a sensitive file of a kernel file system.

/// Bytes of a file's name that take part in the match. The longest sensitive name is shorter.
pub const SENSITIVE_NAME_LEN: usize = 24;

/// The key of the sensitive-file map. Names in procfs, sysfs and their like are given by the
/// kernel and no tenant can make one, so that, unlike elsewhere, a name is an identity here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct SensitiveFile {
    /// The file system's magic number (linux/magic.h).
    pub magic: u64,
    /// The file's own name, zero-filled.
    pub name: [u8; SENSITIVE_NAME_LEN],
}
