//! The configuration, which a careless hand or a tool may have written.

use bulkhead_policy::configuration::read;

/// What is refused is refused with at least one fault, and each is one line that begins with the file.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Err(refused) = read("c.yaml", text) else { return true };
    let said = refused.to_string();
    assert!(!refused.problems().is_empty());
    assert_eq!(said.lines().count(), refused.problems().len(), "{said:?}");
    assert!(said.lines().all(|line| line.starts_with("c.yaml:")), "{said:?}");
    false
}
