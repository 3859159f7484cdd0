//! One running agent.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    evidence::Evidence,
    metrics::{self, Metrics},
    node, wait_for, wait_long,
};

/// The agent's program, on the guest's PATH.
pub const PROGRAM: &str = "bulkhead";

/// How long to wait for a new agent: the kernel verifies some hundred programs first, instruction by
/// emulated instruction.
const TO_START: Duration = Duration::from_secs(240);

/// Lines of the agent's log that a failed test shows.
const SHOWN: usize = 40;

/// Where an agent keeps what is its own.
#[derive(Clone, Debug)]
pub struct Home {
    directory: PathBuf,
    config: PathBuf,
    address: SocketAddr,
    build: String,
}

impl Home {
    /// A new, empty one.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let directory = Path::new("/var/lib/e2e").join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self {
            config: directory.join("config.yaml"),
            directory,
            address: SocketAddr::from(([127, 0, 0, 1], 9631)),
            build: String::new(),
        })
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The same home with its configuration elsewhere.
    #[must_use]
    pub fn with_config(mut self, config: PathBuf) -> Self {
        self.config = config;
        self
    }

    /// The same home for an agent of another build.
    #[must_use]
    pub fn with_build(mut self, mark: &str) -> Self {
        mark.clone_into(&mut self.build);
        self
    }

    /// Where the agent answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A configuration of this home with these tenants.
    #[must_use]
    pub fn configuration(&self, tenants: &str) -> String {
        format!("stateDirectory: {}/state\n{tenants}", self.directory.display())
    }

    /// Writes the configuration as an editor does: a whole new file under the old name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, text: &str) -> Result<()> {
        let new = self.config.with_extension("new");
        fs::write(&new, text).context("cannot write the configuration")?;
        fs::rename(&new, &self.config).context("cannot put the configuration in place")
    }

    /// The evidence log.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence::in_directory(self.directory.join("state/evidence"))
    }

    /// A scrape.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::scrape(self.address)
    }

    /// `bulkhead run` with this home's configuration, not started yet.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--config").arg(&self.config);
        if !self.build.is_empty() {
            command.arg("--build-mark").arg(&self.build);
        }
        command
    }
}

/// An agent. It is killed when this is dropped.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
    home: Home,
}

impl Agent {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready: with its log.
    pub fn start(home: &Home) -> Result<Self> {
        let log = home.directory.join("agent.log");
        let file = File::options().create(true).append(true).open(&log);
        let file = file.context("cannot open the agent's log")?;
        let mut command = home.command();
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("cannot start the agent")?;
        let mut agent = Self { child, log, home: home.clone() };
        wait_long("the agent to be ready", TO_START, || agent.readiness())?;
        Ok(agent)
    }

    fn readiness(&mut self) -> Result<Option<()>> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the agent ended with {status}:\n{}", self.log());
        }
        // Nobody listens yet: ask again.
        let answer = metrics::get(self.home.address, "/readyz").ok();
        Ok(answer.filter(|answer| answer.status == 200).map(drop))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// All that it has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Stops it where it stands: it sees and says nothing until it goes on.
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it cannot.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to the agent"))
    }

    /// Kills it as the kernel's memory killer would.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the agent")?;
        self.child.wait().context("cannot wait for the agent's end").map(drop)
    }

    /// Asks it to end, and says how it ended and how long that took.
    ///
    /// # Errors
    /// When it cannot be asked, or does not end.
    pub fn terminate(mut self) -> Result<(ExitStatus, Duration)> {
        let begun = Instant::now();
        self.signal(Signal::SIGTERM)?;
        let status = wait_for("the agent's end", || Ok(self.child.try_wait()?))?;
        Ok((status, begun.elapsed()))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let shown = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default();
            node::tell(&format!("the agent's log:\n{}", shown.join("\n")));
        }
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            node::tell(&format!("cannot end the agent: {error}"));
        }
    }
}
