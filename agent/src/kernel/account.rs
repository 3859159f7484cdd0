//! How the programs of a directory hold, kept beside their links: an agent that goes on with them
//! has not attached them and cannot find it out again.

use std::path::Path;

use aya::maps::{Array, Map, MapData, MapError};
use bulkhead_abi::{Rule, Rung};
use bulkhead_policy::catalogue;
use serde::{Deserialize, Serialize};

use super::{
    hooks::HOOKS,
    ladder::{HookStatus, Ladder, RuleStatus, State},
    lineage::LineageStatus,
};

/// Room for the text, in pieces, so that none is large on the stack.
const PIECE: usize = 1_024;
const PIECES: u32 = 256;
/// The name of the file.
pub(super) const FILE: &str = "ladder";

/// The ladder could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The map that holds it.
    #[error("the kernel refuses the map of the ladder")]
    Map(#[from] MapError),
    /// The file of that map.
    #[error("the map of the ladder cannot be pinned")]
    Pin(#[from] aya::pin::PinError),
    /// What is in it.
    #[error("the ladder is not as this agent writes it: {0}")]
    Text(#[from] serde_json::Error),
    /// It is too long.
    #[error("the ladder takes {0} bytes, more than there is room for")]
    Length(usize),
    /// It is of other hooks or rules.
    #[error("the ladder is of other rules")]
    Foreign,
}

#[derive(Serialize, Deserialize)]
struct Account {
    kernel: String,
    active_lsm: Option<String>,
    advice: Vec<String>,
    /// Hook, rung, why.
    hooks: Vec<(String, u8, String)>,
    /// Rule, state, rung, why.
    rules: Vec<(u16, u8, u8, String)>,
    lineage: LineageStatus,
}

/// Keeps the ladder in a map pinned in `directory`.
pub(super) fn keep(ladder: &Ladder, directory: &Path) -> Result<(), AccountError> {
    let text = serde_json::to_vec(&Account::of(ladder))?;
    // JSON has no zero byte: the first one ends it.
    if text.len() >= PIECE * PIECES as usize {
        return Err(AccountError::Length(text.len()));
    }
    let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
    let map = aya_obj::Map::new_from_params(kind, 4, PIECE as u32, PIECES, 0);
    let data = MapData::create(map, "BH_LADDER", None)?;
    let mut array: Array<MapData, [u8; PIECE]> = Map::from_map_data(data)?.try_into()?;
    for (index, chunk) in (0..).zip(text.chunks(PIECE)) {
        let mut piece = [0; PIECE];
        for (to, from) in piece.iter_mut().zip(chunk) {
            *to = *from;
        }
        array.set(index, piece, 0)?;
    }
    Ok(array.pin(directory.join(FILE))?)
}

/// The ladder that is kept in `directory`.
pub(super) fn read(directory: &Path) -> Result<Ladder, AccountError> {
    let data = MapData::from_pin(directory.join(FILE))?;
    let array: Array<MapData, [u8; PIECE]> = Map::from_map_data(data)?.try_into()?;
    let mut text = Vec::new();
    for index in 0..PIECES {
        let piece = array.get(&index, 0)?;
        let end = piece.iter().position(|byte| *byte == 0);
        text.extend(piece.iter().take(end.unwrap_or(PIECE)));
        if end.is_some() {
            break;
        }
    }
    serde_json::from_slice::<Account>(&text)?.ladder().ok_or(AccountError::Foreign)
}

impl Account {
    fn of(ladder: &Ladder) -> Self {
        let hooks = ladder.hooks.iter();
        let rules = ladder.rules.iter();
        Self {
            kernel: ladder.kernel.clone(),
            active_lsm: ladder.active_lsm.clone(),
            advice: ladder.advice.clone(),
            hooks: hooks
                .map(|hook| (hook.hook.to_owned(), hook.rung as u8, hook.why.clone()))
                .collect(),
            rules: rules
                .map(|rule| {
                    (rule.number as u16, rule.state as u8, rule.rung as u8, rule.why.clone())
                })
                .collect(),
            lineage: ladder.lineage.clone(),
        }
    }

    fn ladder(self) -> Option<Ladder> {
        let hooks = self.hooks.into_iter().map(|(name, rung, why)| {
            let hook = HOOKS.iter().find(|hook| hook.name == name)?.name;
            Some(HookStatus { hook, rung: Rung::from_u8(rung)?, why })
        });
        let rules = self.rules.into_iter().map(|(number, state, rung, why)| {
            let number = Rule::from_u16(number)?;
            let info = catalogue::info(number);
            let state = [State::Enforcing, State::Observing, State::Blind]
                .into_iter()
                .find(|known| *known as u8 == state)?;
            let rung = Rung::from_u8(rung)?;
            Some(RuleStatus { rule: info.id, number, title: info.title, state, rung, why })
        });
        Some(Ladder {
            hooks: hooks.collect::<Option<_>>()?,
            rules: rules.collect::<Option<_>>()?,
            kernel: self.kernel,
            active_lsm: self.active_lsm,
            advice: self.advice,
            lineage: self.lineage,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_tells_the_ladder_again() {
        let info = catalogue::info(Rule::Bpf);
        let (rung, why) = (Rung::Fentry, "bpf: no \"BPF LSM\"".to_owned());
        let rule = RuleStatus {
            rule: info.id,
            number: Rule::Bpf,
            title: info.title,
            state: State::Observing,
            rung,
            why: why.clone(),
        };
        let ladder = Ladder {
            kernel: "6.12".into(),
            active_lsm: None,
            advice: vec!["change it".into()],
            rules: vec![rule],
            hooks: vec![HookStatus { hook: "bpf", rung, why }],
            lineage: LineageStatus { births: "no tracepoint".into(), ..Default::default() },
        };
        let text = serde_json::to_vec(&Account::of(&ladder)).unwrap();
        let again = serde_json::from_slice::<Account>(&text).unwrap().ladder().unwrap();
        assert_eq!(format!("{again:?}"), format!("{ladder:?}"));
    }

    #[test]
    fn an_account_of_other_rules_is_refused() {
        let account = r#"{"kernel":"k","active_lsm":null,"advice":[],"hooks":[["gone",0,""]],"rules":[],
                "lineage":{"births":"","programs":"","running":""}}"#;
        assert!(serde_json::from_str::<Account>(account).unwrap().ladder().is_none());
    }
}
