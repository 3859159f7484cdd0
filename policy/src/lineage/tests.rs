use proptest::prelude::*;
use zerocopy::FromZeros;

use super::*;

const START: u64 = 5_000 * abi::START_TICK;

fn executed(container: u64, pid: u32, start_time: u64, parent: (u32, u64)) -> abi::Executed {
    let mut record = abi::Executed::new_zeroed();
    record.identity.container = container;
    (record.pid, record.start_time) = (pid, start_time);
    (record.parent_pid, record.parent_start_time) = parent;
    record.path_start = u16::try_from(abi::PATH_LEN).unwrap();
    record.arguments[..4].copy_from_slice(b"sh\0\n");
    record.arguments_length = 4;
    record
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let mut images = Images::default();
    images.executed(&executed(1, 77, START, (0, 0)));
    let known = |start| images.get(1, ProcessKey::of(77, start)).is_some();
    assert!(known(START) && known(START + abi::START_TICK - 1), "/proc tells ticks alone");
    assert!(!known(START + abi::START_TICK) && !known(START - 1));
    assert_eq!(ProcessKey::of(77, START), ProcessKey::of_ticks(77, 5_000));
    assert!(images.get(2, ProcessKey::of(77, START)).is_none(), "another container's");
}

#[test]
fn the_first_that_enters_is_init_and_the_next_was_put_in() {
    let mut images = Images::default();
    let enter = |pid| abi::Executed { entered: 1, ..executed(1, pid, START, (0, 0)) };
    let (first, second) = (ProcessKey::of(10, START), ProcessKey::of(11, START));
    assert_eq!(images.entry(1, first), None);
    images.executed(&enter(10));
    images.executed(&enter(11));
    assert_eq!(images.entry(1, first), Some(Entry::Init));
    assert_eq!(images.entry(1, second), Some(Entry::Exec));
    // It executes once more: it is the first all the same.
    images.executed(&executed(1, 10, START, (0, 0)));
    assert_eq!(images.entry(1, first), Some(Entry::Init));
}

#[test]
fn a_fork_bomb_pushes_out_its_own_alone_and_not_the_one_that_bears() {
    let mut images = Images::default();
    for container in 1..=40 {
        images.executed(&executed(container, 1, START, (0, 0)));
        images.executed(&executed(container, 2, START, (1, START)));
    }
    for pid in 10..200_000 {
        images.executed(&executed(7, pid, START + u64::from(pid) * abi::START_TICK, (2, START)));
    }
    assert!(images.len() <= MAX_IMAGES, "{}", images.len());
    for container in (1..=40).filter(|container| *container != 7) {
        assert!(images.get(container, ProcessKey::of(1, START)).is_some(), "{container}");
        assert!(images.get(container, ProcessKey::of(2, START)).is_some(), "{container}");
    }
    assert!(images.get(7, ProcessKey::of(2, START)).is_some(), "the parent of them all");
    images.retain(|container| container != 7);
    assert_eq!(images.len(), 39 * 2);
}

#[test]
fn a_command_line_of_any_length_is_cut_and_says_so() {
    let mut record = executed(1, 1, START, (0, 0));
    record.arguments = [b'a'; abi::ARGUMENTS_LEN];
    record.arguments_length = u32::MAX;
    let image = Image::of(&record);
    assert_eq!(image.arguments.as_ref().map(Vec::len), Some(abi::ARGUMENTS_LEN));
    assert!(image.cut);
    record.arguments_length = 0;
    assert_eq!(Image::of(&record).arguments, None);
}

proptest! {
    #[test]
    fn the_table_stays_bounded_and_counts_itself(
        acts in proptest::collection::vec((0u64..300, 0u32..2_000, 0u64..4, 0u32..2_000), 0..4_000)
    ) {
        let mut images = Images::default();
        for (container, pid, start, parent) in acts {
            let parent = (parent, start * abi::START_TICK);
            images.executed(&executed(container, pid, start * abi::START_TICK, parent));
            prop_assert!(images.get(container, ProcessKey::of(pid, start * abi::START_TICK)).is_some());
        }
        let counted: usize = images.containers.values().map(|it| it.images.len()).sum();
        prop_assert_eq!(counted, images.len());
        prop_assert!(images.len() <= MAX_IMAGES);
        for container in images.containers.values() {
            prop_assert!(container.images.len() <= MAX_OF_CONTAINER);
            prop_assert_eq!(container.images.len(), container.order.len());
        }
    }
}
