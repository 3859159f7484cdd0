//! The agent itself: how soon it is ready, what it keeps in memory, and what telling an event costs it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde_json::json;

use crate::clock::{nanoseconds, now};
use crate::load::{ACTS, CRITICAL, Load, OTHER, SECONDS};

const LOG: &str = "/tmp/agent.log";
const EVIDENCE: &str = "/var/lib/bulkhead/evidence";
const METRICS: &str = "127.0.0.1:9631";
/// The agent looks at every container in this time, and forgets what it needed to start.
const SETTLE: Duration = Duration::from_secs(20);

/// Prints one figure a line.
fn print(figure: &str, value: f64, unit: &str) {
    println!("{}", json!({"figure": figure, "value": value, "unit": unit}));
}

/// Starts the agent with this configuration and measures it.
pub(crate) fn measure(configuration: &str) -> Result<()> {
    let agent = Agent::started(configuration, "until it is ready and enforces")?;
    sleep(SETTLE);
    print("in memory, no container", agent.resident()?, "KiB");

    let load = Load::prepare()?;
    sleep(SETTLE);
    print(&format!("in memory, {} containers", load.containers()), agent.resident()?, "KiB");
    let idle = agent.spent_in(|| {
        sleep(Duration::from_secs(SECONDS));
        Ok(())
    })?;
    print("a second with nothing to tell", idle / SECONDS as f64, "instructions");

    for (kind, family) in [("other", OTHER), ("critical", CRITICAL)] {
        let before = events()?;
        let busy = agent.spent_in(|| load.act(family))?;
        // What is still on its way.
        sleep(Duration::from_secs(2));
        let told = events()? - before;
        ensure!(told * 10 >= ACTS * 9, "{told} events of {ACTS} {kind} acts: see {LOG}");
        let a_second = told as f64 / SECONDS as f64;
        print(
            &format!("a second with {a_second:.0} {kind} events"),
            busy / SECONDS as f64,
            "instructions",
        );
        print("to tell one of them", (busy - idle) / told as f64, "instructions");
    }
    print("in memory after them", agent.resident()?, "KiB");

    // Killed, with all its containers there: what it has pinned decides until it is back.
    drop(agent);
    Agent::started(configuration, "until one that comes back is ready").map(drop)
}

struct Agent(Child);

impl Agent {
    /// One that is ready; prints what that took.
    fn started(configuration: &str, figure: &str) -> Result<Self> {
        let begun = now()?;
        let agent = Self::start(configuration)?;
        agent.await_ready()?;
        print(figure, (now()? - begun) / 1e6, "ms of the guest");
        print("until then", agent.spent()?, "instructions");
        Ok(agent)
    }

    fn start(configuration: &str) -> Result<Self> {
        let log = File::create(LOG).context("cannot make the agent's log")?;
        let mut command = Command::new("bulkhead");
        command.args(["run", "--config", configuration]).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn().context("cannot start the agent")?))
    }

    fn await_ready(&self) -> Result<()> {
        let process = format!("/proc/{}/exe", self.0.id());
        while !is_ready() {
            // An agent that has ended has no program.
            if fs::read_link(&process).is_err() {
                bail!("the agent has ended: {}", fs::read_to_string(LOG)?);
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What it holds in memory, in KiB.
    fn resident(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.context("no VmRSS")?.parse().context("VmRSS is no number")
    }

    /// Instructions that its threads executed meanwhile, in the kernel too.
    fn spent_in(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let before = self.spent()?;
        work()?;
        Ok(self.spent()? - before)
    }

    /// By the clock of the process, which counts threads that have ended, too.
    fn spent(&self) -> Result<f64> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        let clock = clock_getcpuclockid(pid).context("the agent has no clock")?;
        let time = clock_gettime(clock).context("cannot read the agent's clock")?;
        Ok(nanoseconds(time))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The guest is thrown away.
        self.0.kill().and_then(|()| self.0.wait()).map(drop).unwrap_or_default();
    }
}

fn is_ready() -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(METRICS)?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// Acts in the evidence log.
fn events() -> Result<u64> {
    let mut count = 0;
    for file in fs::read_dir(EVIDENCE).context("there is no evidence")? {
        let path = file?.path();
        if path.extension().is_some_and(|kind| kind == "jsonl") {
            count += acts(&path)?;
        }
    }
    Ok(count)
}

fn acts(log: &Path) -> Result<u64> {
    let text = fs::read_to_string(log)?;
    Ok(text.lines().filter(|line| line.contains("\"kind\":\"act\"")).count() as u64)
}
