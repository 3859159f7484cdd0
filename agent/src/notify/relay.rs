//! What the supervisor says, to those who want to know: standard output, and the agent's log.

use std::{
    io::Write,
    path::PathBuf,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
};

use super::{Line, RefusedCall};
use crate::control::{self, Request};

/// Refusals that wait for the agent.
const QUEUE: usize = 256;

/// Tells.
pub(crate) struct Relay {
    /// To the thread that asks the agent, which may be slow or absent.
    agent: SyncSender<RefusedCall>,
    lost: u64,
}

impl Relay {
    /// Tells the agent behind `socket`.
    pub(crate) fn new(socket: PathBuf) -> std::io::Result<Self> {
        let (agent, calls) = sync_channel::<RefusedCall>(QUEUE);
        let hand_on = move || {
            let mut silent = false;
            for call in calls {
                let answer: Result<serde_json::Value, _> =
                    control::ask(&socket, &Request::Refused(Box::new(call)));
                match answer {
                    Ok(_) => silent = false,
                    Err(error) if !silent => {
                        tracing::warn!("refused calls do not reach the evidence log: {error:#}");
                        silent = true;
                    }
                    Err(_) => {}
                }
            }
        };
        std::thread::Builder::new().name("evidence".to_owned()).spawn(hand_on)?;
        Ok(Self { agent, lost: 0 })
    }

    /// One line of the supervisor's.
    pub(super) fn tell(&mut self, line: Line) {
        match line {
            Line::Alive => {}
            Line::Took { container } => tracing::info!(container, "answers for a container"),
            Line::Bad { why } => tracing::error!("a listener cannot be used: {why}"),
            Line::Refused(call) => {
                self.print(&call);
                if let Err(TrySendError::Full(_)) = self.agent.try_send(call) {
                    self.lost += 1;
                    tracing::warn!(
                        lost = self.lost,
                        "the agent is slow: a refused call is not in its log"
                    );
                }
            }
        }
    }

    /// The supervisor has ended.
    pub(super) fn ended(&self, why: &str) {
        tracing::error!(
            "the supervisor is started anew: {why}. Containers that run keep their filter, and their calls return ENOSYS until they are started again"
        );
    }

    fn print(&self, call: &RefusedCall) {
        let text = serde_json::to_string(call).unwrap_or_default();
        if let Err(error) = writeln!(std::io::stdout().lock(), "{text}") {
            tracing::debug!(%error, "nobody reads the refused calls");
        }
    }
}
