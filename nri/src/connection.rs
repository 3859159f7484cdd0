//! Sessions for ever.

use std::{convert::Infallible, error::Error, path::Path, time::Duration};

use tokio::{net::UnixStream, time::Instant};

use crate::{
    plugin::Plugin,
    session::{Session, SessionError},
};

/// A session that lasted so long was a good one: the pauses begin anew.
const GOOD: Duration = Duration::from_secs(10);

/// How long to wait before the next try.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses that double from `first` to `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = self.next.saturating_mul(2).min(self.most);
        pause
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Default for Backoff {
    /// A runtime that comes back is met within seconds: each second without the plugin is one in
    /// which containers are made without it.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }
}

/// Connects to the runtime's socket, registers as `index-name`, answers; and again whenever the
/// connection ends, until it is dropped. A change of what is wrong is told to the plugin, not each
/// of a thousand failures alike.
pub async fn run(
    plugin: &mut impl Plugin,
    socket: &Path,
    name: &str,
    index: &str,
    mut backoff: Backoff,
) -> Infallible {
    let mut told = String::new();
    loop {
        let begun = Instant::now();
        let why = match once(plugin, socket, name, index).await {
            Ok(never) => match never {},
            Err(error) => chain(&error),
        };
        let lasted = begun.elapsed();
        if lasted >= GOOD {
            backoff.reset();
            told.clear();
        }
        if told != why {
            plugin.disconnected(&why);
            told = why;
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

async fn once(
    plugin: &mut impl Plugin,
    socket: &Path,
    name: &str,
    index: &str,
) -> Result<Infallible, SessionError> {
    let stream = UnixStream::connect(socket).await.map_err(SessionError::Connect)?;
    Session::new(plugin, stream).run(name, index).await
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.pause().as_secs(), 1);
    }
}
