//! A filter, run: classic BPF as the kernel lets seccomp use it.

/// One instruction (linux/filter.h: struct sock_filter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    constant: u32,
}

/// What a filter sees of a call (linux/seccomp.h: struct seccomp_data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// AUDIT_ARCH.
    pub arch: u32,
    /// The number.
    pub number: u32,
    /// As the registers hold them.
    pub arguments: [u64; 6],
}

impl Call {
    /// The word at a byte offset; the instruction pointer is told as 0.
    fn word(&self, offset: u32) -> Option<u32> {
        match offset {
            0 => Some(self.number),
            4 => Some(self.arch),
            8 | 12 => Some(0),
            16..64 if offset.is_multiple_of(4) => {
                let argument = *self.arguments.get(usize::try_from((offset - 16) / 8).ok()?)?;
                let bytes = argument.to_ne_bytes();
                let half =
                    if offset.is_multiple_of(8) { bytes.first_chunk() } else { bytes.last_chunk() };
                half.copied().map(u32::from_ne_bytes)
            }
            _ => None,
        }
    }
}

/// Why a filter cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not a whole number of instructions, none, or more than the kernel takes.
    #[error("the compiled filter has {0} bytes: it is no filter the kernel would take")]
    Size(usize),
    /// An instruction that the kernel would not take.
    #[error("instruction {0} of the compiled filter is none of a seccomp filter")]
    Instruction(usize),
}

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Vec<Instruction>);

/// linux/filter.h: BPF_MAXINSNS.
const MAX_INSTRUCTIONS: usize = 4096;

impl Filter {
    /// From the array of `struct sock_filter` that libseccomp writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FilterError> {
        let count = bytes.len() / 8;
        if !bytes.len().is_multiple_of(8) || count == 0 || count > MAX_INSTRUCTIONS {
            return Err(FilterError::Size(bytes.len()));
        }
        let read = |raw: &[u8]| match *raw {
            [c0, c1, if_true, if_false, k0, k1, k2, k3] => Some(Instruction {
                code: u16::from_ne_bytes([c0, c1]),
                if_true,
                if_false,
                constant: u32::from_ne_bytes([k0, k1, k2, k3]),
            }),
            _ => None,
        };
        Ok(Self(bytes.chunks_exact(8).filter_map(read).collect()))
    }

    /// How many instructions it has; the kernel takes 4096.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: a filter has instructions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the filter answers: a SECCOMP_RET value.
    ///
    /// Jumps only lead forward, so that it ends.
    pub fn run(&self, call: &Call) -> Result<u32, FilterError> {
        let (mut a, mut x, mut at) = (0_u32, 0_u32, 0_usize);
        let mut memory = [0_u32; 16];
        loop {
            let bad = FilterError::Instruction(at);
            let instruction = self.0.get(at).ok_or_else(|| bad.clone())?;
            let k = instruction.constant;
            let slot = usize::try_from(k).unwrap_or(usize::MAX);
            // linux/bpf_common.h: the class, the operation and the operand in one number.
            match instruction.code {
                // ld [k], ld #k, ldx #k
                0x20 => a = call.word(k).ok_or(bad)?,
                0x00 => a = k,
                0x01 => x = k,
                // ld M[k], ldx M[k], st, stx
                0x60 => a = *memory.get(slot).ok_or(bad)?,
                0x61 => x = *memory.get(slot).ok_or(bad)?,
                0x02 => *memory.get_mut(slot).ok_or(bad)? = a,
                0x03 => *memory.get_mut(slot).ok_or(bad)? = x,
                // and, or, xor, lsh, rsh, add, sub with #k, and with x
                0x54 => a &= k,
                0x5c => a &= x,
                0x44 => a |= k,
                0x4c => a |= x,
                0xa4 => a ^= k,
                0xac => a ^= x,
                0x64 => a = a.checked_shl(k).unwrap_or(0),
                0x74 => a = a.checked_shr(k).unwrap_or(0),
                0x04 => a = a.wrapping_add(k),
                0x14 => a = a.wrapping_sub(k),
                // tax, txa
                0x07 => x = a,
                0x87 => a = x,
                // ja, jeq, jgt, jge, jset with #k, and with x
                0x05 => at = at.saturating_add(slot),
                0x15 => at += instruction.branch(a == k),
                0x1d => at += instruction.branch(a == x),
                0x25 => at += instruction.branch(a > k),
                0x2d => at += instruction.branch(a > x),
                0x35 => at += instruction.branch(a >= k),
                0x3d => at += instruction.branch(a >= x),
                0x45 => at += instruction.branch(a & k != 0),
                0x4d => at += instruction.branch(a & x != 0),
                // ret #k, ret a
                0x06 => return Ok(k),
                0x16 => return Ok(a),
                _ => return Err(bad),
            }
            at = at.saturating_add(1);
        }
    }
}

impl Instruction {
    fn branch(self, taken: bool) -> usize {
        usize::from(if taken { self.if_true } else { self.if_false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(code: &[(u16, u8, u8, u32)]) -> Result<Filter, FilterError> {
        let mut bytes = Vec::new();
        for (code, if_true, if_false, constant) in code {
            bytes.extend(code.to_ne_bytes());
            bytes.extend([*if_true, *if_false]);
            bytes.extend(constant.to_ne_bytes());
        }
        Filter::from_bytes(&bytes)
    }

    #[test]
    fn both_halves_of_an_argument_are_seen() {
        let high = filter(&[(0x20, 0, 0, 20), (0x15, 0, 1, 7), (0x06, 0, 0, 1), (0x06, 0, 0, 2)]);
        let call = |argument| Call { arch: 0, number: 0, arguments: [argument, 0, 0, 0, 0, 0] };
        let high = high.unwrap();
        assert_eq!(high.run(&call(7 << 32)), Ok(1));
        assert_eq!(high.run(&call(7)), Ok(2));
    }

    #[test]
    fn what_is_no_filter_is_refused_and_not_run() {
        let call = Call { arch: 0, number: 0, arguments: [0; 6] };
        assert_eq!(filter(&[]), Err(FilterError::Size(0)));
        assert_eq!(Filter::from_bytes(&[0; 9]), Err(FilterError::Size(9)));
        // Runs off the end, jumps out of it, loads past the call, has no such instruction.
        for code in [(0x00, 0, 0, 0), (0x05, 0, 0, u32::MAX), (0x20, 0, 0, 64), (0xff, 0, 0, 0)] {
            assert!(filter(&[code]).unwrap().run(&call).is_err(), "{code:?}");
        }
    }
}
