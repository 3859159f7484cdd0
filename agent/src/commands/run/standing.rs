//! How the guard stands when an agent begins and when it ends, in words for the evidence log.

use bulkhead_policy::catalogue::Severity;

use crate::kernel::{Start, Succeeded};

/// How it stands.
pub(super) struct Standing {
    /// How the agent came to what is pinned.
    pub(super) succeeded: Option<Succeeded>,
    /// Why nothing is pinned.
    pub(super) unpinned: Option<String>,
}

impl Standing {
    /// Whether programs of another build were there.
    pub(super) fn has_replaced(&self) -> bool {
        self.succeeded.as_ref().is_some_and(|it| it.start == Start::Replaced)
    }

    /// What the log is told at the start.
    pub(super) fn at_start(&self) -> Vec<(Severity, String)> {
        let mut told = Vec::new();
        if let Some(why) = &self.unpinned {
            told.push((
                Severity::High,
                format!(
                    "nothing is pinned, so that nothing is enforced while no agent runs: {why}"
                ),
            ));
        }
        let Some(Succeeded { start, number, left_behind }) = &self.succeeded else { return told };
        let message = match start {
            Start::First => format!("programs {number} are pinned: they outlive the agent"),
            Start::Adopted => {
                format!("goes on with programs {number}, which decided while no agent ran")
            }
            Start::Replaced => {
                format!("programs {number} relieved those of another build, without a gap")
            }
        };
        told.push((Severity::Low, message));
        for what in left_behind {
            told.push((
                Severity::Medium,
                format!("the build before left what this one cannot go on with: {what}"),
            ));
        }
        told
    }

    /// What it is told at the end.
    pub(super) fn at_end(&self) -> &'static str {
        if self.succeeded.is_some() {
            "the agent ends; what it attached stays and goes on deciding. `bulkhead unload` removes it"
        } else {
            "the agent ends; what it attached ends with it"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_pinned_is_told_with_the_reason() {
        let standing = Standing { succeeded: None, unpinned: Some("no bpffs".into()) };
        let told = standing.at_start();
        assert_eq!(told.len(), 1);
        assert!(told[0].1.ends_with("no bpffs"), "{told:?}");
        assert!(standing.at_end().ends_with("ends with it"));
    }

    #[test]
    fn what_could_not_be_taken_over_is_told() {
        let left_behind = vec!["the counts".to_owned()];
        let succeeded = Some(Succeeded { start: Start::Replaced, number: 2, left_behind });
        let standing = Standing { succeeded, unpinned: None };
        let told = standing.at_start();
        assert_eq!(told.len(), 2);
        assert!(told[1].1.contains("the counts"));
        assert!(standing.at_end().contains("bulkhead unload"));
    }
}
