//! System calls that a container made, while somebody records them.

/// Numbers of one entry; every table ends below.
pub const RECORDED_NUMBERS: u32 = 512;
/// Index of the first call of the 32-bit entry.
pub const RECORDED_COMPAT: u32 = RECORDED_NUMBERS;
/// Index of the count of calls with higher numbers, which cannot be told apart.
pub const RECORDED_OTHER: u32 = 2 * RECORDED_NUMBERS;
/// Index of the count of values that found no room.
pub const RECORDED_LOST: u32 = RECORDED_OTHER + 1;
/// Length of the array of counts.
pub const RECORDED_LEN: u32 = RECORDED_OTHER + 2;
/// The bit of a count that asks for the values of the call's first argument.
pub const RECORDED_WATCHED: u64 = 1 << 63;
/// How many values there is room for, of all calls together.
pub const RECORDED_VALUES: u32 = 1024;

/// The key of the map of values: a call and its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct RecordedValue {
    /// Index of the call in the array of counts.
    pub call: u32,
    /// The lower 32 bits, which are all that the kernel reads of these arguments.
    pub value: u32,
}
