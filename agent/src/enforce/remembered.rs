//! What containers' files held before the agent changed them, kept across its restarts: without it a
//! limit that is relaxed later could not give back what the pod had asked for.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use bulkhead_policy::limits::File;
use serde::{Deserialize, Serialize};

use super::hold::Known;

/// A file larger than this was not written by us.
const MOST: u64 = 16 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
    boot: String,
    before: BTreeMap<u64, BTreeMap<File, Known>>,
    written: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    /// Numbers of cgroups mean nothing after a reboot.
    boot: String,
    containers: BTreeMap<u64, BTreeMap<String, Entry>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    original: String,
    wished: String,
    last: String,
    ours: bool,
}

impl Remembered {
    /// Reads the file, if there is one of this boot. One that cannot be read is told and begun anew.
    pub(super) fn load(path: PathBuf, boot: String) -> Self {
        let document = read(&path).unwrap_or_else(|error| {
            tracing::warn!(
                path = %path.display(),
                %error,
                "what containers had before this agent is forgotten: limits only tighten for them"
            );
            Document::default()
        });
        let before = if document.boot == boot { known(&document) } else { BTreeMap::new() };
        Self { path, boot, before, written: String::new() }
    }

    /// What is known of a cgroup from before the restart. It is asked once.
    pub(super) fn take(&mut self, cgroup: u64) -> BTreeMap<File, Known> {
        self.before.remove(&cgroup).unwrap_or_default()
    }

    /// Writes what is known now, where it has changed.
    pub(super) fn save<'a>(
        &mut self,
        containers: impl Iterator<Item = (u64, &'a BTreeMap<File, Known>)>,
    ) -> io::Result<()> {
        let containers = containers
            .filter(|(_, known)| !known.is_empty())
            .map(|(cgroup, known)| (cgroup, known.iter().map(entry).collect()))
            .collect();
        let document = Document { boot: self.boot.clone(), containers };
        let text = serde_json::to_string(&document)?;
        if text == self.written {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        fs::write(&new, &text)?;
        fs::rename(&new, &self.path)?;
        self.written = text;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Document> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::default()),
        Err(error) => return Err(error),
    };
    if length > MOST {
        return Err(io::Error::other(format!("it has {length} bytes")));
    }
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn known(document: &Document) -> BTreeMap<u64, BTreeMap<File, Known>> {
    let files = |entries: &BTreeMap<String, Entry>| {
        let read = |(name, entry): (&String, &Entry)| {
            let file = File::named(name)?;
            let known = Known {
                original: file.parse(&entry.original)?,
                wished: file.parse(&entry.wished)?,
                last: file.parse(&entry.last)?,
                ours: entry.ours,
            };
            Some((file, known))
        };
        entries.iter().filter_map(read).collect()
    };
    document.containers.iter().map(|(cgroup, entries)| (*cgroup, files(entries))).collect()
}

fn entry((file, known): (&File, &Known)) -> (String, Entry) {
    let entry = Entry {
        original: known.original.to_string(),
        wished: known.wished.to_string(),
        last: known.last.to_string(),
        ours: known.ours,
    };
    (file.name(), entry)
}

#[cfg(test)]
mod tests {
    use bulkhead_policy::limits::Setting;

    use super::*;

    #[test]
    fn what_was_there_before_survives_the_agent_and_not_the_boot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("limits.json");
        let amount = |amount| Setting::Amount(Some(amount));
        let known = Known {
            original: Setting::Amount(None),
            wished: amount(7),
            last: amount(7),
            ours: true,
        };
        let files = BTreeMap::from([(File::PidsMax, known)]);
        let mut memory = Remembered::load(path.clone(), "boot-1".into());
        memory.save([(42, &files)].into_iter()).unwrap();
        let mut again = Remembered::load(path.clone(), "boot-1".into());
        assert_eq!(again.take(42), files);
        assert!(again.take(42).is_empty(), "asked once");
        assert!(Remembered::load(path.clone(), "boot-2".into()).take(42).is_empty());
        fs::write(&path, "{ garbage").unwrap();
        assert!(Remembered::load(path, "boot-1".into()).take(42).is_empty());
    }
}
