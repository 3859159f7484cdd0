//! What the agent itself must remember for as long as the kernel's maps refer to it. It is kept
//! where those are, so that it lasts exactly as long.
//!
//! ```text
//! TENANTS  number -> name and slot: identities and counts know tenants by number, levels by slot
//! SAID     act -> repeats that the log has heard of, while the kernel side counts them
//! HAND     which record the agent has in hand, and the log's number for it
//! TOLD     tenant, rule and reason -> records lost, as far as the log has heard of it
//! ```

use std::path::Path;

use aya::maps::{HashMap, Map, MapData, MapError};
use bulkhead_abi::{ActKey, CountKey, Fate};

use super::version;

/// Bytes of a name. Names of tenants and namespaces have at most 63.
const NAME: usize = 248;
/// The slot of a tenant that has none.
const NO_SLOT: u16 = u16::MAX;
/// linux/bpf.h: BPF_F_NO_PREALLOC.
const NO_PREALLOC: u32 = 1;

/// A name, zero-filled; its length; its slot.
type TenantValue = [u8; NAME + 8];

/// A tenant as an earlier agent knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownTenant {
    /// Its number in identities and counts.
    pub(crate) number: u32,
    /// Its name; `None` where it did not fit.
    pub(crate) name: Option<String>,
    /// The slot of its level.
    pub(crate) slot: Option<u16>,
}

/// A tenant's number, a rule's, and what became of its records.
pub(crate) type LossKey = (u32, u16, Fate);

/// Whether the record of these acts never reached an agent. A fate that a later build has written is
/// taken for it: rather one freeze too many than one too few.
pub(crate) fn is_lost(key: &CountKey) -> bool {
    Fate::from_u8(key.fate).is_none_or(Fate::is_lost)
}

/// The record that the agent has in hand. It says so before it tells the log, and lets the record go
/// after: an agent that finds the log at this number knows which record is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InHand {
    /// When the act was, in nanoseconds since boot.
    pub(crate) time: u64,
    /// The task that acted: none acts twice at one time.
    pub(crate) task: u32,
    /// The number that it gets in the log.
    pub(crate) sequence: u64,
}

/// How many lost records the log has heard of.
pub(crate) type ToldLosses = Vec<(LossKey, u64)>;

/// The maps.
pub(super) struct Memory {
    tenants: HashMap<MapData, u32, TenantValue>,
    told: HashMap<MapData, u64, u64>,
    said: HashMap<MapData, ActKey, u64>,
    hand: HashMap<MapData, u32, [u64; 3]>,
}

/// Name, size of a key, size of a value and room of each.
const MAPS: [(&str, u32, u32, u32); 4] = [
    ("TENANTS", 4, (NAME + 8) as u32, 65_536),
    ("TOLD", 8, 8, 65_536),
    ("SAID", size_of::<ActKey>() as u32, 8, 65_536),
    ("HAND", 4, 24, 1),
];

/// They could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemoryError {
    /// The map.
    #[error("the kernel refuses a map for what the agent remembers")]
    Map(#[from] MapError),
    /// Its file.
    #[error("a map for what the agent remembers cannot be pinned")]
    Pin(#[from] aya::pin::PinError),
}

impl Memory {
    /// Opens the maps in `directory`, or makes them.
    pub(super) fn open(directory: &Path) -> Result<Self, MemoryError> {
        let [tenants, told, said, hand] =
            MAPS.map(|(name, key, value, room)| open(directory, name, &shape(key, value, room)));
        Ok(Self {
            tenants: tenants?.try_into()?,
            told: told?.try_into()?,
            said: said?.try_into()?,
            hand: hand?.try_into()?,
        })
    }

    /// The files of the maps.
    pub(super) fn files() -> [String; 4] {
        MAPS.map(|(name, key, value, room)| version::file_of(name, &shape(key, value, room)))
    }

    pub(super) fn tenants(&self) -> Result<Vec<KnownTenant>, MapError> {
        self.tenants
            .iter()
            .map(|entry| entry.map(|(number, value)| from_value(number, &value)))
            .collect()
    }

    pub(super) fn remember(&mut self, tenant: &KnownTenant) -> Result<(), MapError> {
        self.tenants.insert(tenant.number, to_value(tenant), 0)
    }

    pub(super) fn told(&self) -> Result<ToldLosses, MapError> {
        let read = |entry: Result<(u64, u64), MapError>| match entry {
            Ok((packed, count)) => Fate::from_u8(packed as u8)
                .map(|fate| Ok((((packed >> 24) as u32, (packed >> 8) as u16, fate), count))),
            Err(error) => Some(Err(error)),
        };
        self.told.iter().filter_map(read).collect()
    }

    pub(super) fn set_told(
        &mut self,
        (tenant, rule, fate): LossKey,
        count: u64,
    ) -> Result<(), MapError> {
        let packed = (u64::from(tenant) << 24) | (u64::from(rule) << 8) | u64::from(fate as u8);
        self.told.insert(packed, count, 0)
    }

    pub(super) fn said(&self) -> Result<Vec<(ActKey, u64)>, MapError> {
        self.said.iter().collect()
    }

    pub(super) fn set_said(&mut self, act: &ActKey, repeats: u64) -> Result<(), MapError> {
        self.said.insert(act, repeats, 0)
    }

    pub(super) fn forget_said(&mut self, act: &ActKey) -> Result<(), MapError> {
        self.said.remove(act)
    }

    /// What was in hand last; `None` where nothing ever was.
    pub(super) fn in_hand(&self) -> Result<Option<InHand>, MapError> {
        match self.hand.get(&0, 0) {
            Ok([time, task, sequence]) => Ok(Some(InHand { time, task: task as u32, sequence })),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn take_in_hand(&mut self, hand: InHand) -> Result<(), MapError> {
        self.hand.insert(0, [hand.time, u64::from(hand.task), hand.sequence], 0)
    }
}

fn shape(key: u32, value: u32, room: u32) -> aya_obj::Map {
    let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_HASH as u32;
    aya_obj::Map::new_from_params(kind, key, value, room, NO_PREALLOC)
}

fn open(directory: &Path, name: &str, map: &aya_obj::Map) -> Result<Map, MemoryError> {
    let path = directory.join(version::file_of(name, map));
    if path.exists() {
        return Ok(Map::from_map_data(MapData::from_pin(path)?)?);
    }
    let data = MapData::create(map.clone(), &format!("BH_{name}"), None)?;
    data.pin(path)?;
    Ok(Map::from_map_data(data)?)
}

fn to_value(tenant: &KnownTenant) -> TenantValue {
    let mut value = [0; NAME + 8];
    let name = tenant.name.as_deref().unwrap_or_default();
    let length = if name.len() <= NAME { name.len() } else { 0 };
    let slot = tenant.slot.unwrap_or(NO_SLOT).to_ne_bytes();
    let length = (length as u16).to_ne_bytes();
    let head = slot.into_iter().chain(length).chain([0; 4]);
    for (to, from) in value.iter_mut().zip(head.chain(name.bytes())) {
        *to = from;
    }
    value
}

fn from_value(number: u32, value: &TenantValue) -> KnownTenant {
    let [slot, slot_high, length, length_high, ..] = *value;
    let slot = u16::from_ne_bytes([slot, slot_high]);
    let length = usize::from(u16::from_ne_bytes([length, length_high]));
    let name = value.get(8..8 + length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    KnownTenant {
        number,
        name: name.filter(|name| !name.is_empty()).map(str::to_owned),
        slot: (slot != NO_SLOT).then_some(slot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(tenant: &KnownTenant) -> KnownTenant {
        from_value(tenant.number, &to_value(tenant))
    }

    #[test]
    fn a_tenant_is_known_again() {
        let tenant = KnownTenant { number: 7, name: Some("bank".into()), slot: Some(2) };
        assert_eq!(again(&tenant), tenant);
        let without = KnownTenant { slot: None, ..tenant };
        assert_eq!(again(&without), without);
    }

    #[test]
    fn a_name_that_does_not_fit_is_nobody_s_and_its_number_is_not_free() {
        let long = KnownTenant { number: 7, name: Some("x".repeat(NAME + 1)), slot: None };
        assert_eq!(again(&long), KnownTenant { name: None, ..long });
        let full = KnownTenant { number: 7, name: Some("x".repeat(NAME)), slot: None };
        assert_eq!(again(&full), full);
    }
}
