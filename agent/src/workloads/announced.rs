//! Containers that a runtime has told of before it makes them.
//!
//! What a bundle on disk tells a moment later is known here beforehand, from the runtime itself, so
//! that a container is named without a look at the disk. The runtime's plugin thread writes, the
//! agent's loop reads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bulkhead_policy::limits::Plan;

use super::bundle::Bundle;

/// Containers that are kept; a node has some hundreds. More would be a runtime gone wild.
const MOST: usize = 8_192;
/// Bytes of labels and annotations that are kept of one container.
const MOST_TEXT: usize = 16 << 10;

/// What a runtime has said of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// Who it is.
    pub(crate) bundle: Bundle,
    /// Its cgroup below the mount, where it is known.
    pub(crate) cgroup: Option<String>,
    /// The pod's labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The container's annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Its image.
    pub(crate) image: Option<String>,
    /// The limits that its pod asked for, where the runtime told them before anybody changed them.
    pub(crate) asked: Option<Plan>,
    /// What the files of a container that ran already held, before the runtime was told to tighten them.
    pub(crate) found: Plan,
}

/// Why a container is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnnounced {
    /// The id is none.
    #[error("the runtime named a container by {0:?}, which is no id")]
    Id(String),
    /// There is no room.
    #[error("the runtime has told of {MOST} containers and of the end of none")]
    Full,
}

/// The containers, shared between threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announced(Arc<Mutex<HashMap<String, Arc<Announcement>>>>);

impl Announced {
    /// Takes a container in.
    pub(crate) fn announce(
        &self,
        id: &str,
        mut announcement: Announcement,
    ) -> Result<(), NotAnnounced> {
        if !super::bundle::is_component(id) {
            return Err(NotAnnounced::Id(id.chars().take(64).collect()));
        }
        keep_some(&mut announcement.labels);
        keep_some(&mut announcement.annotations);
        let mut table = self.table();
        if table.len() >= MOST && !table.contains_key(id) {
            return Err(NotAnnounced::Full);
        }
        table.insert(id.to_owned(), Arc::new(announcement));
        Ok(())
    }

    /// What was said of the container called `id`.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Announcement>> {
        self.table().get(id).cloned()
    }

    /// The container whose cgroup is announced to be at `path`.
    pub(super) fn at(&self, path: &str) -> Option<(String, Bundle)> {
        let table = self.table();
        let found = table.iter().find(|(_, it)| it.cgroup.as_deref() == Some(path));
        found.map(|(id, it)| (id.clone(), it.bundle.clone()))
    }

    /// The pod's limits have changed.
    pub(crate) fn ask(&self, id: &str, asked: Plan) {
        if let Some(announcement) = self.table().get_mut(id) {
            let announcement = Arc::make_mut(announcement);
            if let Some(before) = &mut announcement.asked {
                before.extend(asked);
            }
        }
    }

    /// The runtime is about to tighten a container that ran already; this is what its files hold now.
    pub(crate) fn find(&self, id: &str, found: Plan) {
        if let Some(announcement) = self.table().get_mut(id) {
            Arc::make_mut(announcement).found = found;
        }
    }

    /// A container is gone.
    pub(crate) fn forget(&self, id: &str) {
        self.table().remove(id);
    }

    /// Whatever a panic left is whole: every change is one insertion or removal.
    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Announcement>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pod may carry a quarter of a MiB of annotations; the agent does not.
fn keep_some(words: &mut BTreeMap<String, String>) {
    let mut room = MOST_TEXT;
    words.retain(|key, value| match room.checked_sub(key.len() + value.len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_id_and_by_cgroup_until_it_is_gone() {
        let announced = Announced::default();
        let bundle = Bundle { namespace: Some("team-a".into()), ..Bundle::default() };
        let cgroup = Some("/kubepods/pod1/c1".to_owned());
        let said = Announcement { bundle: bundle.clone(), cgroup, ..Announcement::default() };
        announced.announce("c1", said).unwrap();
        assert_eq!(announced.get("c1").unwrap().bundle, bundle);
        assert_eq!(announced.at("/kubepods/pod1/c1"), Some(("c1".into(), bundle)));
        assert_eq!(announced.at("/kubepods/pod1"), None);
        announced.forget("c1");
        assert!(announced.get("c1").is_none());
    }

    #[test]
    fn what_a_runtime_says_is_bounded() {
        let announced = Announced::default();
        let annotations =
            [("small".to_owned(), "x".to_owned()), ("huge".into(), "y".repeat(99_999))];
        let said = Announcement { annotations: annotations.into(), ..Announcement::default() };
        announced.announce("c1", said).unwrap();
        assert_eq!(announced.get("c1").unwrap().annotations.keys().collect::<Vec<_>>(), ["small"]);
        for id in ["", "..", "a/b", &"x".repeat(300)] {
            let refused = announced.announce(id, Announcement::default());
            assert!(matches!(refused, Err(NotAnnounced::Id(_))));
        }
        for at in 1..=MOST {
            announced.announce(&format!("c{at}"), Announcement::default()).unwrap();
        }
        assert_eq!(
            announced.announce("one-more", Announcement::default()),
            Err(NotAnnounced::Full)
        );
        announced.announce("c7", Announcement::default()).unwrap();
    }
}
