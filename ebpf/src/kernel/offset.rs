//! Offsets that the agent writes into the instructions before it loads them.

use core::{arch::asm, hint::assert_unchecked, mem::transmute_copy};

use bulkhead_abi::{ABSENT, PLACE_IMMEDIATE, PLACE_LOAD};

use super::Object;

/// An offset, by its place (`bulkhead_abi::place_of`).
#[derive(Clone, Copy)]
pub struct Offset<const PLACE: u16>;

impl<const PLACE: u16> Offset<PLACE> {
    /// The offset itself. Not `pure`: the compiler would keep what it can have again for one
    /// instruction, and the stack of 6.1 has no room for that.
    #[inline(always)]
    pub fn load(self) -> u64 {
        let offset: u64;
        // SAFETY: it sets one register.
        unsafe {
            asm!(
                "{offset} = {place}",
                offset = out(reg) offset,
                place = const PLACE_IMMEDIATE + PLACE as i32,
                options(nomem, nostack, preserves_flags),
            );
        }
        offset
    }

    /// The member's address in the structure at `address`.
    #[inline(always)]
    pub fn of(self, address: u64) -> u64 {
        address.wrapping_add(self.load())
    }

    /// The address of the structure whose member is at `address`.
    #[inline(always)]
    pub fn around(self, address: u64) -> u64 {
        address.wrapping_sub(self.load())
    }

    /// Whether the running kernel has the member.
    #[inline(always)]
    pub fn exists(self) -> bool {
        self.load() != ABSENT as u64
    }
}

/// One load of this width. The rest of the register is zero.
macro_rules! load {
    ($instruction:literal, $object:expr, $place:ident) => {{
        let value: u64;
        // SAFETY: the verifier refuses the program unless the object is a kernel object whose type it
        // knows and the offset is that of a member of this size; a bad address reads as zero.
        unsafe {
            asm!(
                $instruction,
                value = out(reg) value,
                object = in(reg) $object,
                place = const PLACE_LOAD + $place as i16,
                options(readonly, nostack, preserves_flags),
            );
        }
        value
    }};
}

/// Loads a member of a typed object.
#[inline(always)]
pub fn field<T: Copy, const PLACE: u16>(object: Object, offset: Offset<PLACE>) -> T {
    const { assert!(size_of::<T>() <= 8) };
    let value = match size_of::<T>() {
        2 => load!("{value} = *(u16 *)({object} + {place})", object, PLACE),
        4 => field_32(object, offset),
        _ => load!("{value} = *(u64 *)({object} + {place})", object, PLACE),
    };
    if size_of::<T>() < 8 {
        // SAFETY: the load has cleared the rest of the register. The compiler would do it again.
        unsafe { assert_unchecked(value >> (8 * size_of::<T>()) == 0) };
    }
    // SAFETY: a number or an address, of which the value has at least as many bytes.
    unsafe { transmute_copy(&value) }
}

/// Loads a member of 32 bits as a number that is as wide as a register: the compiler puts no
/// instructions between it and a calculation.
#[inline(always)]
pub fn field_32<const PLACE: u16>(object: Object, _offset: Offset<PLACE>) -> u64 {
    load!("{value} = *(u32 *)({object} + {place})", object, PLACE)
}
