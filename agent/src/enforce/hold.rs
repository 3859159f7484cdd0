//! One file of one container: what it holds against what it should.

use bulkhead_policy::limits::{File, Setting};

use super::cgroup::{Cgroup, FileError};

/// What is known of a file from before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// What the pod asked for.
    pub(super) original: Setting,
    /// What the agent wanted it to hold.
    pub(super) wished: Setting,
    /// What it held after that: the kernel rounds.
    pub(super) last: Setting,
    /// Whether that was the agent's wish; not where somebody else had tightened it further.
    pub(super) ours: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It holds what it should, or less.
    Held,
    /// It held more, and was tightened for the first time.
    Tightened {
        /// What it held.
        from: Setting,
    },
    /// The agent had tightened it and allows more now, still within what was asked for.
    Loosened,
    /// Somebody has loosened it.
    Drifted {
        /// What it held.
        from: Setting,
        /// Whether it has been tightened again; not where that was forbidden.
        again: bool,
    },
    /// The kernel has no such file here.
    Missing,
}

/// A file that is to be held.
pub(super) struct Hold<'a> {
    pub(super) cgroup: &'a Cgroup,
    pub(super) file: &'a File,
    /// What the level and the tenant's part allow; `None` where they say nothing (any more).
    pub(super) bound: Option<&'a Setting>,
    /// What the pod asked for, where the runtime has told.
    pub(super) asked: Option<Setting>,
    /// Whether what has drifted may be written again now.
    pub(super) may_repeat: bool,
}

impl Hold<'_> {
    /// Reads, compares, and writes where it must.
    pub(super) fn apply(&self, known: &mut Option<Known>) -> Result<Outcome, FileError> {
        let Some(current) = self.cgroup.read(self.file)? else { return Ok(Outcome::Missing) };
        let ours = known.as_ref().is_some_and(|known| known.ours && known.last == current);
        let original = self.original(known.as_ref(), &current, ours);
        let wished = match self.bound {
            Some(bound) => original.tighter(bound),
            None => original.clone(),
        };
        let unchanged = ours && known.as_ref().is_some_and(|known| known.wished == wished);
        if unchanged || current == wished {
            // What holds no less than was asked for is nobody's tightening.
            let ours = unchanged || wished != original;
            *known = Some(Known { original, wished, last: current, ours });
            return Ok(Outcome::Held);
        }
        if current.exceeds(&wished) {
            let drifted = known.as_ref().is_some_and(|known| known.last != current);
            let before = known.is_some();
            if drifted && !self.may_repeat {
                return Ok(Outcome::Drifted { from: current, again: false });
            }
            self.write(original, wished, &current, known)?;
            return Ok(match (drifted, before) {
                (true, _) => Outcome::Drifted { from: current, again: true },
                // The bound has become tighter.
                (false, true) => Outcome::Held,
                (false, false) => Outcome::Tightened { from: current },
            });
        }
        if ours {
            self.write(original, wished, &current, known)?;
            return Ok(Outcome::Loosened);
        }
        // Tighter than anybody here asked for: whoever did that is right.
        let wished = current.clone();
        *known = Some(Known { original, wished, last: current, ours: false });
        Ok(Outcome::Held)
    }

    /// What the pod asked for: as the runtime told, as it was found at first, or as somebody has
    /// changed it within what the level allows.
    fn original(&self, known: Option<&Known>, current: &Setting, ours: bool) -> Setting {
        if let Some(asked) = &self.asked {
            return asked.clone();
        }
        match known {
            Some(known) if ours || self.bound.is_some_and(|bound| current.exceeds(bound)) => {
                known.original.clone()
            }
            _ => current.clone(),
        }
    }

    fn write(
        &self,
        original: Setting,
        wished: Setting,
        before: &Setting,
        known: &mut Option<Known>,
    ) -> Result<(), FileError> {
        self.cgroup.write(self.file, &wished, before)?;
        let last = self.cgroup.read(self.file)?.unwrap_or_else(|| wished.clone());
        *known = Some(Known { original, wished, last, ours: true });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Stage {
        directory: tempfile::TempDir,
        known: Option<Known>,
    }

    impl Stage {
        fn new(content: &str) -> Self {
            let stage = Self { directory: tempfile::tempdir().unwrap(), known: None };
            stage.set(content);
            stage
        }

        fn set(&self, content: &str) {
            fs::write(self.directory.path().join("pids.max"), content).unwrap();
        }

        fn content(&self) -> String {
            fs::read_to_string(self.directory.path().join("pids.max")).unwrap()
        }

        fn hold(&mut self, bound: Option<u64>, asked: Option<u64>) -> Outcome {
            let bound = bound.map(|bound| Setting::Amount(Some(bound)));
            Hold {
                cgroup: &Cgroup::new(self.directory.path().to_owned()),
                file: &File::PidsMax,
                bound: bound.as_ref(),
                asked: asked.map(|asked| Setting::Amount(Some(asked))),
                may_repeat: true,
            }
            .apply(&mut self.known)
            .unwrap()
        }
    }

    #[test]
    fn a_running_container_is_tightened_once_and_then_left_alone() {
        let mut stage = Stage::new("max\n");
        assert_eq!(stage.hold(Some(100), None), Outcome::Tightened { from: Setting::Amount(None) });
        assert_eq!(stage.content(), "100");
        assert_eq!(stage.hold(Some(100), None), Outcome::Held);
    }

    #[test]
    fn what_a_pod_has_already_is_never_loosened() {
        let mut stage = Stage::new("7\n");
        assert_eq!(stage.hold(Some(100), None), Outcome::Held);
        assert_eq!(stage.content(), "7\n");
        assert_eq!(stage.hold(Some(100), Some(50)), Outcome::Held);
        assert_eq!(stage.content(), "7\n", "somebody has tightened it further");
    }

    #[test]
    fn a_limit_that_is_relaxed_or_lifted_gives_back_what_was_asked_for_and_no_more() {
        let mut stage = Stage::new("500\n");
        stage.hold(Some(100), None);
        assert_eq!(stage.hold(Some(300), None), Outcome::Loosened);
        assert_eq!(stage.content(), "300");
        assert_eq!(stage.hold(Some(9_999), None), Outcome::Loosened);
        assert_eq!(stage.content(), "500");
        stage.hold(Some(100), None);
        assert_eq!(stage.hold(None, None), Outcome::Loosened);
        assert_eq!(stage.content(), "500");
    }

    #[test]
    fn what_somebody_loosens_is_drift_and_tightened_again() {
        let mut stage = Stage::new("50\n");
        stage.hold(Some(100), None);
        stage.set("max\n");
        let drifted = Outcome::Drifted { from: Setting::Amount(None), again: true };
        assert_eq!(stage.hold(Some(100), None), drifted);
        assert_eq!(stage.content(), "50", "the pod asked for 50");
    }

    #[test]
    fn a_resize_within_the_level_is_the_pod_s_right() {
        let mut stage = Stage::new("50\n");
        stage.hold(Some(100), None);
        stage.set("80\n");
        assert_eq!(stage.hold(Some(100), None), Outcome::Held);
        assert_eq!(stage.content(), "80\n");
    }

    #[test]
    fn a_file_that_is_not_there_is_missing_and_garbage_is_named() {
        let mut stage = Stage::new("garbage");
        let cgroup = Cgroup::new(stage.directory.path().to_owned());
        let error = cgroup.read(&File::PidsMax).unwrap_err().to_string();
        assert!(error.contains("pids.max") && error.contains("garbage"), "{error}");
        fs::remove_file(stage.directory.path().join("pids.max")).unwrap();
        assert_eq!(stage.hold(Some(1), None), Outcome::Missing);
    }
}
