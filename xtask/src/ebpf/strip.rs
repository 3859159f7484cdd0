//! Removes the DWARF sections from the linked object; BTF stays.
//!
//! `llvm-strip -g` does the same, but each LLVM lays the result out in its own way, and the bytes
//! must not depend on the machine's LLVM.

use anyhow::{Context, Result, ensure};
use object::build::elf::{Builder, SectionData};
use object::elf;

/// The object without its `.debug_*` sections and their relocations.
pub(super) fn debug_sections(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut object = Builder::read(bytes).context("the linker made no ELF object")?;
    for section in &mut object.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    }
    object.delete_orphans();
    let kept: Vec<&[u8]> = object.sections.iter().map(|section| section.name.as_slice()).collect();
    for needed in [".BTF", ".BTF.ext"] {
        ensure!(kept.contains(&needed.as_bytes()), "the linker made no section {needed}");
    }
    separate_names(&mut object);
    let mut stripped = Vec::new();
    object.write(&mut stripped).context("cannot lay the stripped object out")?;
    Ok(stripped)
}

/// LLVM keeps the names of sections and symbols in one table; here sections get one of their own.
fn separate_names(object: &mut Builder<'_>) {
    if object.sections.iter().any(|section| matches!(section.data, SectionData::SectionString)) {
        return;
    }
    let names = object.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
}
