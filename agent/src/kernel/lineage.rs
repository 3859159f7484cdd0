//! The programs of lineages. They decide nothing: where this kernel does not take one, all the rest
//! goes on, and the ladder says what is not told.

use aya::{Btf as AyaBtf, Ebpf};
use serde::{Deserialize, Serialize};

use super::{
    LoadError,
    attach::{attach_tracepoint_to, brief},
    links::Links,
    load,
};

/// The iterator that looks at processes that run already, and the name of its file.
pub(super) const ADOPTION: &str = "adopt_lineages";

/// What lineages lack on this node. Each is empty where nothing is lacking, and says why otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineageStatus {
    /// Who bore whom.
    pub(crate) births: String,
    /// Command lines of processes that end before the agent looks.
    pub(crate) programs: String,
    /// Where the processes come from that ran before the agent.
    pub(crate) running: String,
}

impl LineageStatus {
    /// What is lacking, in words; nothing where lineages are whole.
    pub(crate) fn lacks(&self) -> Vec<String> {
        [
            ("parents that have ended", &self.births),
            ("command lines of processes that have ended", &self.programs),
            ("the parents of processes that ran before the agent", &self.running),
        ]
        .into_iter()
        .filter(|(_, why)| !why.is_empty())
        .map(|(what, why)| format!("lineages lack {what}: {why}"))
        .collect()
    }
}

/// Attaches what this kernel takes. Call it when the lifecycle programs are attached: those that
/// come first are called first.
pub(super) fn attach(ebpf: &mut Ebpf, btf: &AyaBtf, links: &mut Links) -> LineageStatus {
    let mut to = |program: &str, tracepoint: &str| match attach_tracepoint_to(
        ebpf, program, tracepoint, btf,
    ) {
        Ok(link) => {
            links.hold(&format!("tp_{program}"), link);
            String::new()
        }
        Err(error) => brief(&error),
    };
    let births = to("lineage_fork", "sched_process_fork");
    let programs = to("lineage_exec", "sched_process_exec");
    let running = match load::load_adoption(ebpf, ADOPTION, btf) {
        Ok(()) => String::new(),
        Err(error) => brief(&error),
    };
    LineageStatus { births, programs, running }
}

/// Holds the iterator, where there is one, so that it can be pinned.
pub(super) fn hold(
    status: &LineageStatus,
    ebpf: &mut Ebpf,
    links: &mut Links,
) -> Result<(), LoadError> {
    if status.running.is_empty() { load::hold_adoption(ebpf, ADOPTION, links) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lineages_lack_is_told_with_the_reason() {
        assert_eq!(LineageStatus::default().lacks(), Vec::<String>::new());
        let status = LineageStatus { programs: "no such tracepoint".into(), ..Default::default() };
        let lacks = status.lacks();
        assert_eq!(lacks.len(), 1);
        assert!(lacks[0].contains("command lines") && lacks[0].ends_with("no such tracepoint"));
    }
}
