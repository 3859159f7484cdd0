//! A reader of the kernel's BTF, as far as member offsets and function names go.
//!
//! aya reads BTF but keeps members to itself, and the one Rust crate that offers them is under a
//! licence that does not go with a static binary under ours; the format is small and fixed
//! (Documentation/bpf/btf.rst).

use std::collections::HashMap;

/// Where the kernel shows its BTF.
pub(crate) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

// uapi/linux/btf.h
const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;
const MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18];
/// Structs in structs that the search for a member follows.
const MAX_NESTING: usize = 8;

/// Why the BTF could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BtfError {
    /// The data ends inside something.
    #[error("the data ends early, at byte {at}")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// Not BTF.
    #[error("this is not little-endian BTF (magic {0:#x})")]
    Magic(u16),
    /// A kind that this reader does not know the size of.
    #[error("unknown kind {0}")]
    Kind(u32),
}

/// The types of a kernel.
pub(crate) struct Btf {
    types: Vec<Type>,
    structs: HashMap<String, usize>,
    functions: std::collections::HashSet<String>,
}

struct Type {
    kind: u32,
    /// What a modifier refers to.
    refers_to: u32,
    members: Vec<Member>,
}

struct Member {
    name: String,
    of_type: u32,
    bit: u32,
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], BtfError> {
        let end = self.at.saturating_add(N);
        let bytes = self
            .data
            .get(self.at..end)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(BtfError::Truncated { at: self.at })?;
        self.at = end;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32, BtfError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn skip(&mut self, words: u32) {
        self.at = self.at.saturating_add(words as usize * 4);
    }

    fn string(&self, start: usize, offset: u32) -> Result<&'a str, BtfError> {
        let at = start.saturating_add(offset as usize);
        let rest = self.data.get(at..).ok_or(BtfError::Truncated { at })?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or(BtfError::Truncated { at })?;
        Ok(rest.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(""))
    }
}

impl Btf {
    /// Reads the types out of raw BTF.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, BtfError> {
        let mut reader = Reader { data, at: 0 };
        let magic = u16::from_le_bytes(reader.bytes()?);
        if magic != MAGIC {
            return Err(BtfError::Magic(magic));
        }
        let _version_and_flags: [u8; 2] = reader.bytes()?;
        let header = reader.word()? as usize;
        let types_at = header.saturating_add(reader.word()? as usize);
        let types_end = types_at.saturating_add(reader.word()? as usize);
        let strings = header.saturating_add(reader.word()? as usize);
        let mut btf = Self {
            types: vec![Type { kind: 0, refers_to: 0, members: Vec::new() }],
            structs: HashMap::new(),
            functions: std::collections::HashSet::new(),
        };
        reader.at = types_at;
        while reader.at < types_end {
            btf.read_type(&mut reader, strings)?;
        }
        Ok(btf)
    }

    fn read_type(&mut self, reader: &mut Reader<'_>, strings: usize) -> Result<(), BtfError> {
        let (name, info, refers_to) = (reader.word()?, reader.word()?, reader.word()?);
        let (count, kind, bitfields) = (info & 0xffff, (info >> 24) & 0x1f, info >> 31 != 0);
        let name = reader.string(strings, name)?;
        let mut members = Vec::new();
        match kind {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => reader.skip(1),
            KIND_ARRAY => reader.skip(3),
            KIND_STRUCT | KIND_UNION => {
                for _ in 0..count {
                    let (name, of_type, offset) = (reader.word()?, reader.word()?, reader.word()?);
                    let bit = if bitfields { offset & 0x00ff_ffff } else { offset };
                    let name = reader.string(strings, name)?.to_owned();
                    members.push(Member { name, of_type, bit });
                }
            }
            KIND_ENUM | KIND_FUNC_PROTO => reader.skip(2 * count),
            KIND_DATASEC | KIND_ENUM64 => reader.skip(3 * count),
            // Pointers, forward declarations, modifiers, functions, floats: nothing follows.
            2 | 7 | KIND_FUNC | 16 => {}
            other if MODIFIERS.contains(&other) => {}
            other => return Err(BtfError::Kind(other)),
        }
        let index = self.types.len();
        match kind {
            KIND_STRUCT if !name.is_empty() => {
                self.structs.entry(name.to_owned()).or_insert(index);
            }
            KIND_FUNC => {
                self.functions.insert(name.to_owned());
            }
            _ => {}
        }
        self.types.push(Type { kind, refers_to, members });
        Ok(())
    }

    /// Byte offset of a member; members of anonymous structs and unions count as the outer's.
    pub(crate) fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        let index = *self.structs.get(structure)?;
        self.search(index, member, 0, MAX_NESTING).map(|bit| bit / 8)
    }

    /// Whether the kernel has a function of this name.
    pub(crate) fn has_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    fn search(&self, index: usize, member: &str, base: u32, depth: usize) -> Option<u32> {
        let structure = self.types.get(index)?;
        if let Some(found) = structure.members.iter().find(|candidate| candidate.name == member) {
            return Some(base + found.bit);
        }
        let depth = depth.checked_sub(1)?;
        structure.members.iter().filter(|candidate| candidate.name.is_empty()).find_map(|inner| {
            self.search(self.unmodified(inner.of_type), member, base + inner.bit, depth)
        })
    }

    fn unmodified(&self, mut index: u32) -> usize {
        for _ in 0..MAX_NESTING {
            match self.types.get(index as usize) {
                Some(found) if MODIFIERS.contains(&found.kind) => index = found.refers_to,
                _ => break,
            }
        }
        index as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_running_kernel() {
        let Ok(data) = std::fs::read(VMLINUX) else {
            eprintln!("skipped: this kernel has no {VMLINUX}");
            return;
        };
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.offset("list_head", "prev"), Some(8));
        assert!(btf.offset("task_struct", "tgid").is_some());
        assert!(
            btf.offset("file", "f_path").is_some(),
            "inside an anonymous union on some kernels"
        );
        assert_eq!(btf.offset("task_struct", "no_such_member"), None);
        assert!(btf.has_function("schedule"));
        assert!(!btf.has_function("no_such_function"));
    }

    #[test]
    fn refuses_what_is_not_btf() {
        assert!(matches!(Btf::parse(b""), Err(BtfError::Truncated { .. })));
        assert!(matches!(Btf::parse(b"\x7fELF\0\0\0\0"), Err(BtfError::Magic(_))));
        let mut header = vec![0x9f, 0xeb, 1, 0];
        for word in [24u32, 0, 4096, 0, 0] {
            header.extend(word.to_le_bytes());
        }
        assert!(matches!(Btf::parse(&header), Err(BtfError::Truncated { .. })));
    }
}
