//! systemd's own record of a unit's limits.
//!
//! What a cgroup's file holds and what systemd has on record are two things: at each `daemon-reload`
//! systemd writes its record over the file. So a limit is told to systemd as well, where it made the
//! cgroup. It asks for no capability: the system bus tells systemd that root calls, and that is enough.

use std::{future::Future, path::Path, time::Duration};

use zbus::{Connection, connection::Builder, zvariant::Value};

/// systemd writes some files and answers at once; a node under pressure may take longer, and limits
/// of other containers wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// No limit, as systemd writes it.
pub(crate) const INFINITY: u64 = u64::MAX;

/// A property of a unit and its value.
pub(crate) type Property = (&'static str, u64);

/// Why systemd could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemdError {
    /// The event loop of the bus could not be made.
    #[error("no event loop for the system bus: {0}")]
    Loop(#[from] std::io::Error),
    /// The bus is not there, or refused.
    #[error("the system bus: {0}")]
    Bus(#[source] zbus::Error),
    /// systemd did not do it.
    #[error("systemd: {0}")]
    Refused(#[source] zbus::Error),
    /// No answer came.
    #[error("systemd did not answer within {} s", PATIENCE.as_secs())]
    Late,
}

/// systemd, as it is reached over the system bus. Connected for as long as there is something to tell:
/// a connection that is kept would have to be listened to.
pub(crate) struct Systemd {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
}

impl Systemd {
    /// Connects.
    pub(crate) fn connect() -> Result<Self, SystemdError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bus = async { Builder::system()?.build().await };
        let connection = runtime.block_on(in_time(bus))?.map_err(SystemdError::Bus)?;
        Ok(Self { runtime, connection })
    }

    /// Sets properties of a unit until the next boot.
    pub(crate) fn set(&self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
        let properties: Vec<(&str, Value<'_>)> =
            properties.iter().map(|(name, value)| (*name, Value::U64(*value))).collect();
        let until_next_boot = true;
        let arguments = (unit, until_next_boot, properties);
        let call = self.connection.call_method(
            Some("org.freedesktop.systemd1"),
            "/org/freedesktop/systemd1",
            Some("org.freedesktop.systemd1.Manager"),
            "SetUnitProperties",
            &arguments,
        );
        self.runtime.block_on(in_time(call))?.map(drop).map_err(SystemdError::Refused)
    }
}

async fn in_time<T>(
    what: impl Future<Output = zbus::Result<T>>,
) -> Result<zbus::Result<T>, SystemdError> {
    tokio::time::timeout(PATIENCE, what).await.map_err(|_late| SystemdError::Late)
}

/// The unit of the node's systemd that this cgroup is, if its path says so: below slices alone. A
/// unit below a service is another systemd's.
pub(crate) fn unit_of(cgroup: &str) -> Option<&str> {
    let (parents, name) = cgroup.rsplit_once('/')?;
    let is = |name: &str, kinds: &[&str]| {
        let kind = Path::new(name).extension().and_then(|kind| kind.to_str());
        kind.is_some_and(|kind| kinds.contains(&kind))
    };
    let below_slices = parents.split('/').skip(1).all(|parent| is(parent, &["slice"]));
    (below_slices && is(name, &["scope", "service"])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_told_from_what_only_looks_like_one() {
        let pod = "/kubepods.slice/kubepods-pod1.slice/cri-containerd-ab.scope";
        assert_eq!(unit_of(pod), Some("cri-containerd-ab.scope"));
        assert_eq!(unit_of("/system.slice/web.service"), Some("web.service"));
        assert_eq!(unit_of("/init.scope"), Some("init.scope"));
        for path in [
            "/kubepods/burstable/pod1/ab",
            "/kubepods.slice/kubepods-pod1.slice",
            "/kubepods.slice/x.scope/container",
            "/user.slice/user-1.slice/user@1.service/app.slice/x.scope",
            "/",
            "",
        ] {
            assert_eq!(unit_of(path), None, "{path}");
        }
    }
}
