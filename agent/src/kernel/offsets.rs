//! The kernel side's offsets, looked up in the running kernel.

use bulkhead_abi::{ABSENT, OFFSETS, Offset};

use super::btf::Btf;

/// Every constant of the kernel side with its value here; the error names what is missing.
pub(crate) fn resolve(btf: &Btf) -> Result<Vec<(&'static str, u32)>, Vec<&'static Offset>> {
    let mut values = Vec::with_capacity(OFFSETS.len());
    let mut missing = Vec::new();
    for offset in OFFSETS {
        match btf.offset(offset.structure, offset.member) {
            Some(value) => values.push((offset.symbol, value)),
            None if offset.optional => values.push((offset.symbol, ABSENT)),
            None => missing.push(offset),
        }
    }
    if missing.is_empty() { Ok(values) } else { Err(missing) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::VMLINUX;

    #[test]
    fn the_running_kernel_has_every_required_member() {
        let Ok(data) = std::fs::read(VMLINUX) else {
            eprintln!("skipped: this kernel has no {VMLINUX}");
            return;
        };
        let values = resolve(&Btf::parse(&data).unwrap());
        assert_eq!(values.map(|values| values.len()), Ok(OFFSETS.len()));
    }
}
