//! What the agent's loop does about containers that must stand still.

use bulkhead_abi::CountKey;
use bulkhead_policy::event::{Cause, Event, Kind, Response, Text};
use jiff::Timestamp;

use super::Service;
use crate::{
    control::Peer,
    respond::{self, FreezeError, Offence, Outcome},
    workloads::NoSuch,
};

/// Why a container was not frozen or thawed for somebody who asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskedError {
    /// There is no such container.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    /// It cannot or must not be.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
}

impl Service {
    /// Freezes the containers of these offences, each with its number in the log.
    pub(super) fn respond(&mut self, offences: &[(u64, Offence)]) {
        for (sequence, offence) in offences {
            let told = self.responder.answer(offence, *sequence, &self.workloads);
            told.into_iter().for_each(|response| self.tell_response(response));
        }
    }

    /// What the counts and the cgroups say by themselves.
    pub(super) fn look_at_frozen(&mut self, counts: &[(CountKey, u64)]) {
        let mut told = self.responder.answer_lost(counts, &self.workloads);
        told.extend(self.responder.look(&self.workloads));
        told.into_iter().for_each(|response| self.tell_response(response));
        self.metrics.set_frozen(&self.responder.frozen_by_tenant(&self.workloads));
    }

    /// Something that was begun has come to an end.
    pub(super) fn responded(&mut self, outcome: Outcome) {
        let told = self.responder.tell(outcome);
        told.into_iter().for_each(|response| self.tell_response(response));
        self.flush();
    }

    /// Freezes a container for somebody.
    pub(super) fn freeze(
        &mut self,
        id: &str,
        reason: Option<&str>,
        peer: &Peer,
    ) -> Result<u64, AskedError> {
        let listed = self.workloads.find(id)?;
        let cause = cause_of(peer, reason);
        let result = self.responder.freeze(&listed, cause.clone(), &self.workloads);
        let cgroup = listed.cgroup;
        if let Err(error) = &result {
            let told = respond::failed(&listed, cause, error);
            self.tell_response(told);
        }
        Ok(result.map(|()| cgroup)?)
    }

    /// Lets a container go on for somebody.
    pub(super) fn thaw(&mut self, id: &str, peer: &Peer) -> Result<u64, AskedError> {
        let listed = self.workloads.find(id)?;
        let cause = cause_of(peer, None);
        let result = self.responder.thaw(&listed, cause.clone(), &self.workloads);
        let cgroup = listed.cgroup;
        let told = match &result {
            Ok(told) => told.clone(),
            Err(error) => respond::failed(&listed, cause, error),
        };
        self.tell_response(told);
        Ok(result.map(|_| cgroup)?)
    }

    fn tell_response(&mut self, response: Response) {
        tracing::warn!(
            action = response.action.as_str(),
            cgroup = response.cgroup_id,
            tenant = response.tenant.as_ref().map(Text::as_str),
            message = response.message.as_ref().map(Text::as_str),
            "a container was answered"
        );
        let tenant = response.tenant.as_ref().map(Text::as_str);
        self.metrics.responded(response.action.as_str(), tenant);
        let kind = Kind::Response(Box::new(response));
        self.evidence.append(Event::new(Timestamp::now(), self.watch.node(), kind));
        self.flush();
    }
}

fn cause_of(peer: &Peer, reason: Option<&str>) -> Cause {
    Cause::Operator {
        pid: peer.pid.unsigned_abs(),
        comm: Text::new(&peer.comm),
        login_uid: peer.login_uid,
        reason: reason.map(Text::new),
    }
}
