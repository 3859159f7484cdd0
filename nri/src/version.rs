//! What a runtime understands, by its version of NRI.

use crate::api::{ConfigureRequest, Event};

/// A version of NRI. Only the parts that change what may be sent are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NriVersion {
    /// Before the first dot.
    pub major: u32,
    /// Behind it.
    pub minor: u32,
}

/// What everybody understands who can be met: containerd 1.7's first releases.
const OLDEST: NriVersion = NriVersion::new(0, 3);

/// containerd's versions of NRI, from the newest: at least this containerd has at least this NRI.
const CONTAINERD: [((u32, u32), NriVersion); 4] = [
    ((2, 3), NriVersion::new(0, 12)),
    ((2, 2), NriVersion::new(0, 10)),
    ((2, 0), NriVersion::new(0, 8)),
    ((1, 7), OLDEST),
];

/// The same of CRI-O.
const CRI_O: [((u32, u32), NriVersion); 5] = [
    ((1, 35), NriVersion::new(0, 11)),
    ((1, 34), NriVersion::new(0, 10)),
    ((1, 32), NriVersion::new(0, 9)),
    ((1, 30), NriVersion::new(0, 6)),
    ((1, 26), NriVersion::new(0, 2)),
];

impl NriVersion {
    /// `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// The version that a runtime has told (since 0.12), or that goes with its own. A runtime that
    /// nobody knows is taken for the oldest: asking for too much fails the registration.
    pub fn of(request: &ConfigureRequest) -> Self {
        if let Some((major, minor)) = numbers(&request.nri_version) {
            return Self { major, minor };
        }
        let table: &[_] = match request.runtime_name.as_str() {
            "containerd" => &CONTAINERD,
            "cri-o" | "crio" => &CRI_O,
            _ => &[],
        };
        let own = numbers(&request.runtime_version).unwrap_or_default();
        table.iter().find(|(least, _)| own >= *least).map_or(OLDEST, |(_, nri)| *nri)
    }

    /// The events to subscribe to.
    pub fn events(self) -> i32 {
        let always = [
            Event::CreateContainer,
            Event::StartContainer,
            Event::UpdateContainer,
            Event::StopContainer,
            Event::RemoveContainer,
        ];
        let since_0_10 = [Event::UpdatePodSandbox, Event::ValidateContainerAdjustment];
        let late = since_0_10.into_iter().filter(|_| self.validates());
        always.into_iter().chain(late).map(bit).fold(0, |mask, bit| mask | bit)
    }

    /// Whether the runtime asks plugins to judge the result of all adjustments.
    pub fn validates(self) -> bool {
        self >= Self::new(0, 10)
    }

    /// Whether an adjustment may hold a seccomp policy.
    pub fn takes_seccomp(self) -> bool {
        self >= Self::new(0, 10)
    }

    /// Whether an adjustment may hold an `oom_score_adj`, and resources a limit of processes of
    /// their own.
    pub fn takes_oom_score(self) -> bool {
        self >= Self::new(0, 8)
    }
}

/// The bit of an event in the mask of subscriptions.
pub(crate) fn bit(event: Event) -> i32 {
    match event {
        Event::Unknown => 0,
        event => 1 << (event as i32 - 1),
    }
}

/// The first two numbers of `v2.1.9~ds1`, `1.7.24`, `0.12.1-dev`.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split(['.', '-', '+', '~']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str, own: &str, nri: &str) -> NriVersion {
        NriVersion::of(&ConfigureRequest {
            runtime_name: name.into(),
            runtime_version: own.into(),
            nri_version: nri.into(),
            ..Default::default()
        })
    }

    #[test]
    fn a_runtime_is_asked_for_no_more_than_it_has() {
        for (name, own, nri, expected) in [
            ("containerd", "1.7.24~ds1", "", (0, 3)),
            ("containerd", "2.1.9", "", (0, 8)),
            ("containerd", "v2.2.0", "", (0, 10)),
            ("containerd", "v2.3.4", "v0.12.1", (0, 12)),
            ("cri-o", "1.34.2", "", (0, 10)),
            ("cri-o", "1.29.0", "", (0, 2)),
            ("containerd", "", "", (0, 3)),
            ("something", "9.9", "", (0, 3)),
            ("something", "9.9", "0.11.0", (0, 11)),
            ("containerd", "garbage.1", "garbage", (0, 3)),
        ] {
            let (major, minor) = expected;
            assert_eq!(version(name, own, nri), NriVersion { major, minor }, "{name} {own} {nri}");
        }
    }

    #[test]
    fn bits_that_old_runtimes_do_not_know_are_not_set_for_them() {
        let known_to_0_9 = (1 << 11) - 1;
        for minor in 2..10 {
            assert_eq!(NriVersion::new(0, minor).events() & !known_to_0_9, 0);
        }
        let validate = bit(Event::ValidateContainerAdjustment);
        assert_ne!(NriVersion::new(0, 10).events() & validate, 0);
        assert_ne!(NriVersion::new(0, 12).events(), 0, "0 would mean all");
    }
}
