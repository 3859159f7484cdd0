//! Pure policy: levels, tenants, rules, workloads. No input or output, and nothing here knows how
//! the kernel side is loaded.

pub mod breakouts;
pub mod capability;
pub mod catalogue;
pub mod claim;
pub mod configuration;
pub mod controls;
pub mod decode;
pub mod devices;
pub mod event;
mod everyday;
pub mod exception;
pub mod level;
pub mod limits;
pub mod lineage;
pub mod policy;
pub mod pressure;
mod resolve;
pub mod sensitive;
pub mod slots;
pub mod verify;
pub mod workload;

pub use configuration::{Configuration, Settings};
pub use exception::Exception;
pub use level::Level;
pub use policy::{Assignment, Policy, WorkloadFacts};
pub use slots::{Slots, TenantNumbers};
