//! System calls that profiles refused, as evidence.

use std::path::Path;

use bulkhead_policy::event::{self, Event, Kind, Text};
use jiff::Timestamp;

use super::Service;
use crate::notify::RefusedCall;

impl Service {
    /// Writes a refused call into the log, with whose it was.
    pub(super) fn tell_refused_call(&mut self, call: RefusedCall) {
        let listed = call.cgroup.as_deref().and_then(|path| self.workloads.around(Path::new(path)));
        let refused = event::RefusedCall {
            call: Text::new(&call.call),
            compat: call.compat,
            arguments: call.arguments,
            tenant: listed.map(|listed| Text::new(&listed.workload.assignment.tenant)),
            pod: listed.and_then(|listed| listed.pod.cloned()),
            container: listed.map(|listed| listed.container.clone()),
            profile_of: Text::new(&call.container),
            pid: call.pid,
            comm: Text::new(&call.comm),
            untold: call.untold,
        };
        let kind = Kind::RefusedCall(Box::new(refused));
        self.evidence.append(Event::new(Timestamp::now(), self.watch.node(), kind));
    }
}
