//! An event in one line, for a person at a terminal.

use std::fmt;

use super::{
    Act, Attribution, Event, FileOwner, Kind, Loss, Party, RefusedCall, Repeats, Response, Target,
    Text,
};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ", self.meta.time)?;
        match &self.kind {
            Kind::Act(act) => write!(f, "{act}"),
            Kind::Repeats(repeats) => write!(f, "{repeats}"),
            Kind::Loss(loss) => write!(f, "{loss}"),
            Kind::Malformed(malformed) => write!(f, "malformed record: {}", malformed.message),
            Kind::Repair(repair) => write!(f, "repaired {}: {}", repair.file, repair.message),
            Kind::Control(change) => write!(f, "{change}"),
            Kind::RefusedCall(call) => write!(f, "{call}"),
            Kind::Response(response) => write!(f, "{response}"),
            Kind::Notice(notice) => {
                write!(f, "{} {}: {}", notice.subject, notice.severity, notice.message.as_str())
            }
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.effect.as_str(), self.rule.id, self.rule.title)?;
        for (name, argument) in self.operation.iter() {
            write!(f, " {name}={argument}")?;
        }
        write!(f, ": {}", self.actor)?;
        match &self.target {
            Some(Target::Process(party)) => write!(f, " -> {party}")?,
            Some(Target::File(file)) => {
                write!(f, " -> {}", file.path)?;
                if let Some(owner) = &file.owner {
                    write!(f, " of {owner}")?;
                }
            }
            None => {}
        }
        write!(f, " [{} {}]", self.relation.as_str(), self.rung.as_str())
    }
}

/// Tenant and container.
impl fmt::Display for FileOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.attribution, &self.tenant) {
            (Attribution::Host, _) => return f.write_str("host"),
            (_, Some(tenant)) => write!(f, "{tenant}")?,
            (_, None) => f.write_str("(unknown tenant)")?,
        }
        let pod = self.pod.as_ref().and_then(|pod| pod.name.as_ref());
        let container = self.container.as_ref();
        let container = container.and_then(|it| it.name.as_ref().or(it.id.as_ref()));
        pod.into_iter().chain(container).try_for_each(|part| write!(f, "/{part}"))
    }
}

/// Tenant, pod or container, and the process.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attribution == Attribution::Host {
            f.write_str("host")?;
        } else {
            match &self.tenant {
                Some(tenant) => write!(f, "{tenant}")?,
                None => f.write_str("(unknown tenant)")?,
            }
            let pod = self.pod.as_ref().and_then(|pod| pod.name.as_ref());
            let container = self.container.as_ref();
            let container = container.and_then(|it| it.name.as_ref().or(it.id.as_ref()));
            for part in [pod, container].into_iter().flatten() {
                write!(f, "/{part}")?;
            }
            if pod.is_none() && container.is_none() {
                write!(f, "/(cgroup {})", self.cgroup_id)?;
            }
        }
        if self.attribution == Attribution::Unconfirmed {
            f.write_str(" (unconfirmed)")?;
        }
        write!(f, " {}[{}]", self.process.comm, self.process.pid)
    }
}

impl fmt::Display for RefusedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seccomp refused {}: ", self.call)?;
        let pod = self.pod.as_ref().and_then(|pod| pod.name.as_ref());
        let container = self.container.as_ref().and_then(|it| it.name.as_ref().or(it.id.as_ref()));
        for part in [self.tenant.as_ref(), pod, container].into_iter().flatten() {
            write!(f, "{part}/")?;
        }
        write!(f, "{}[{}]", self.comm, self.pid)?;
        if self.untold > 0 {
            write!(f, " and {} before it", self.untold)?;
        }
        Ok(())
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.action.as_str())?;
        let pod = self.pod.as_ref().and_then(|pod| pod.name.as_ref());
        let container = self.container.as_ref();
        let container = container.and_then(|it| it.name.as_ref().or(it.id.as_ref()));
        let parts: Vec<String> = [self.tenant.as_ref(), pod, container]
            .into_iter()
            .flatten()
            .map(Text::to_string)
            .collect();
        write!(f, " {} (cgroup {})", parts.join("/"), self.cgroup_id)?;
        if let Some(capture) = &self.capture {
            write!(f, " {} sha256:{}", capture.file, capture.sha256)?;
        }
        match &self.message {
            Some(message) => write!(f, ": {}", message.as_str()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = self.effect.as_str();
        write!(f, "{effect} {} {} more times", self.rule.id, self.repeats)?;
        match &self.actor.tenant {
            Some(tenant) => write!(f, ": {tenant}")?,
            None => f.write_str(": (unknown tenant)")?,
        }
        let pod = self.actor.pod.as_ref().and_then(|pod| pod.name.as_ref());
        let container = self.actor.container.as_ref();
        let container = container.and_then(|it| it.name.as_ref().or(it.id.as_ref()));
        for part in [pod, container].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        if let Some(of) = self.of {
            write!(f, ", as event {of}")?;
        }
        write!(f, " [{}]", self.relation.as_str())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lost {} records", self.count)?;
        if let Some(rule) = self.rule {
            write!(f, " of {rule}")?;
        }
        if let Some(tenant) = &self.tenant {
            write!(f, " by {tenant}")?;
        }
        f.write_str(match self.place {
            super::LossPlace::KernelRing => ": the kernel's ring was full",
            super::LossPlace::TenantBudget => ": the tenant has used up its budget",
            super::LossPlace::EvidenceQueue => ": the evidence log could not be written",
            super::LossPlace::Agent => ": the agent was killed before the log could be written",
        })
    }
}
