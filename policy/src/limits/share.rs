//! A tenant's sum, divided among its containers.
//!
//! The kernel has no cgroup above the pods of one tenant, so that a sum can only be kept by giving
//! each container a part of it.

/// Amounts of what is summed. `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpu: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// Divides `total` among containers of which each would take `asks` (`None`: all it can get).
///
/// Whoever asks for less than an equal part gets what it asks for, and the others share what is left
/// equally. The parts never sum to more than the total; but nobody gets less than `least`, without
/// which a container cannot live.
pub fn fair(total: u64, asks: &[Option<u64>], least: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..asks.len()).collect();
    let ask = |at: usize| asks.get(at).copied().flatten().unwrap_or(u64::MAX);
    order.sort_by_key(|&at| ask(at));
    let mut parts = vec![0; asks.len()];
    let mut left = total;
    for (taken, &at) in order.iter().enumerate() {
        let others = u64::try_from(asks.len() - taken).unwrap_or(u64::MAX);
        let part = ask(at).min(left / others);
        left -= part;
        if let Some(slot) = parts.get_mut(at) {
            *slot = part.max(least);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_modest_get_what_they_ask_for_and_the_others_share_the_rest() {
        assert_eq!(fair(100, &[None, None], 0), [50, 50]);
        assert_eq!(fair(100, &[Some(10), None, None], 0), [10, 45, 45]);
        assert_eq!(fair(100, &[None, Some(90), Some(5)], 0), [48, 47, 5]);
        assert_eq!(fair(100, &[Some(10)], 0), [10]);
        assert_eq!(fair(100, &[], 0), [0; 0]);
        assert_eq!(fair(3, &[None; 5], 2), [2; 5], "nobody gets less than it needs to live");
    }

    proptest! {
        #[test]
        fn the_parts_never_sum_to_more(
            total in any::<u64>(),
            asks in prop::collection::vec(prop::option::of(any::<u64>()), 0..40),
        ) {
            let parts = fair(total, &asks, 0);
            let sum: u128 = parts.iter().map(|part| u128::from(*part)).sum();
            prop_assert!(sum <= u128::from(total));
            for (part, ask) in parts.iter().zip(&asks) {
                prop_assert!(ask.is_none_or(|ask| *part <= ask));
            }
            // Nothing lies idle while somebody asks for more.
            let hungry = parts.iter().zip(&asks).any(|(part, ask)| ask.is_none_or(|ask| *part < ask));
            prop_assert!(!hungry || u128::from(total) - sum < asks.len() as u128);
        }
    }
}
