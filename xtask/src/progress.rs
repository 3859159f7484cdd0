//! Lines that tell a waiting person what is going on. They go to stderr: stdout belongs to results.

use std::time::{Duration, Instant};

/// Anything shorter than this needs no closing line.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// One step of a task; tells how long it took when it is finished.
#[derive(Debug)]
pub(crate) struct Step {
    area: &'static str,
    what: String,
    begun: Instant,
}

impl Step {
    /// Tells that a step begins. `area` is the task's name, the first word of every line.
    pub(crate) fn begin(area: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        eprintln!("{area}: {what} ...");
        Self { area, what, begun: Instant::now() }
    }

    /// Tells that the step has ended well; silent if it took no time worth a line.
    pub(crate) fn done(self) {
        let took = self.begun.elapsed();
        if took >= WORTH_A_LINE {
            eprintln!("{}: {} took {:.1} s", self.area, self.what, took.as_secs_f64());
        }
    }
}
