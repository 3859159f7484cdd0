//! Which container each cgroup is, and whose.
//!
//! The table is what the agent knows; the kernel's map is what decides. The agent writes an entry
//! whenever it learns a name, and the kernel side copies it to every cgroup made below. Moments at
//! which the two change:
//!
//! ```text
//! start            scan: every cgroup of the tree is placed, parents first
//! cgroup made      the kernel side has inherited already; the agent names it (`made`)
//! identity late    a bundle that was not there yet is looked for again (`retry`)
//! cgroup gone      the kernel side has dropped the entry; the name is kept for late records
//! policy reloaded  every container is assigned anew (`adopt_policy`)
//! records lost     scan again
//! ```

mod announced;
mod bundle;
mod placement;
mod retries;
mod table;

pub(crate) use announced::{Announced, Announcement, NotAnnounced};
pub(crate) use bundle::{Bundle, Bundles};
pub(crate) use table::{Listed, NoSuch, Workloads};
