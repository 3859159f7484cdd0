//! Containers, and what their processes do that the agent tells one by one.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;

/// The tenants of `tests/bench/agent.yaml`.
const TENANTS: u64 = 16;
/// Containers of each.
const CONTAINERS: u64 = 16;
/// How long they act.
pub(crate) const SECONDS: u64 = 10;
/// So often each tenant acts: more would meet the budget of one tenant.
const ACTS_A_SECOND: u64 = 62;
/// All acts of all tenants.
pub(crate) const ACTS: u64 = TENANTS * ACTS_A_SECOND * SECONDS;

/// Families of sockets that an untrusted tenant may not make: each act is told at once, or with others.
pub(crate) const CRITICAL: &str = "38";
pub(crate) const OTHER: &str = "33";

/// The containers and a process in each.
pub(crate) struct Load(Vec<Child>);

impl Load {
    /// Makes the cgroups under the agent's eyes, with a process in each.
    pub(crate) fn prepare() -> Result<Self> {
        let mut idle = Vec::new();
        for tenant in 0..TENANTS {
            for container in 0..CONTAINERS {
                let cgroup = format!("/sys/fs/cgroup/bulkhead-load/{tenant}/{container}");
                fs::create_dir_all(&cgroup).context("cannot make a cgroup")?;
                idle.push(start(&cgroup, "busybox sleep 1000000")?);
            }
        }
        Ok(Self(idle))
    }

    pub(crate) fn containers(&self) -> usize {
        self.0.len()
    }

    /// One process of each tenant acts for [`SECONDS`].
    pub(crate) fn act(&self, family: &str) -> Result<()> {
        let acting = |tenant| {
            let cgroup = format!("/sys/fs/cgroup/bulkhead-load/{tenant}/0");
            start(&cgroup, &format!("bulkhead-bench --acts {family}"))
        };
        let children = (0..TENANTS).map(acting).collect::<Result<Vec<_>>>()?;
        for mut child in children {
            ensure!(child.wait()?.success(), "a tenant could not act");
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().and_then(|()| child.wait()).map(drop).unwrap_or_default();
        }
    }
}

/// Placed there by the node, then executed: a workload.
fn start(cgroup: &str, program: &str) -> Result<Child> {
    let line = format!("echo $$ > {cgroup}/cgroup.procs && exec {program}");
    let mut command = Command::new("busybox");
    command.args(["sh", "-c", &line]).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().context("cannot start a process")
}

/// What an acting process does: a socket of a family that is refused, of another protocol each time, so that
/// none is a repetition.
#[allow(unsafe_code)]
pub(crate) fn acts(family: &str) -> Result<()> {
    let family: libc::c_int = family.parse().context("the family is no number")?;
    for number in 0..ACTS_A_SECOND * SECONDS {
        let protocol = libc::c_int::try_from(number)?;
        // SAFETY: three numbers; a descriptor that were made would end with the process.
        let made = unsafe { libc::socket(family, libc::SOCK_SEQPACKET, protocol) };
        ensure!(made < 0 && Errno::last() == Errno::EPERM, "the act was not refused");
        sleep(Duration::from_micros(1_000_000 / ACTS_A_SECOND));
    }
    Ok(())
}
