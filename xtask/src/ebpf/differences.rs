//! Where two objects differ, in words.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use object::{Object, ObjectSection};

/// One line for each section that is only in one object, or differs.
pub(super) fn between(committed: &[u8], built: &[u8]) -> Result<Vec<String>> {
    let old = sections(committed).context("the committed object")?;
    let new = sections(built).context("the built object")?;
    let mut lines = Vec::new();
    for (name, old_data) in &old {
        match new.get(name) {
            None => lines.push(format!("{name}: only in the committed object")),
            Some(new_data) if new_data != old_data => {
                lines.push(describe(name, old_data, new_data))
            }
            Some(_) => {}
        }
    }
    let added = new.keys().filter(|name| !old.contains_key(*name));
    lines.extend(added.map(|name| format!("{name}: only in the built object")));
    if lines.is_empty() {
        lines.push("no section's content differs, only their layout or symbols".to_owned());
    }
    Ok(lines)
}

fn describe(name: &str, old: &[u8], new: &[u8]) -> String {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    format!("{name}: {} bytes, built {}; they part at byte {same:#x}", old.len(), new.len())
}

fn sections(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let file = object::File::parse(bytes).context("no ELF object")?;
    let mut found = BTreeMap::new();
    for section in file.sections() {
        found.insert(section.name()?.to_owned(), section.data()?.to_vec());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use object::write::Object as Writer;
    use object::{Architecture, BinaryFormat, Endianness, SectionKind};

    use super::*;

    fn object(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
        for (name, data) in sections {
            let id = writer.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Data);
            writer.append_section_data(id, data, 8);
        }
        writer.write().unwrap()
    }

    #[test]
    fn each_differing_section_is_named_with_the_place() {
        let committed = object(&[("lsm/a", b"same"), ("lsm/b", b"abcd"), ("gone", b"x")]);
        let built = object(&[("lsm/a", b"same"), ("lsm/b", b"abXd"), ("come", b"x")]);
        let lines = between(&committed, &built).unwrap().join("\n");
        assert!(lines.contains("lsm/b: 4 bytes, built 4; they part at byte 0x2"), "{lines}");
        assert!(lines.contains("gone: only in the committed"), "{lines}");
        assert!(lines.contains("come: only in the built"), "{lines}");
        assert!(!lines.contains("lsm/a"), "{lines}");
    }
}
