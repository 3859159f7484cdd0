//! The agent's port, asked as Prometheus asks it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// An answer: status and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Asks for a path.
///
/// # Errors
/// When nobody answers, or not in HTTP.
pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).context("cannot connect")?;
    stream.set_read_timeout(Some(ANSWER))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("no answer")?;
    let (head, body) = text.split_once("\r\n\r\n").context("no end of the head")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok(Answer { status, body: body.to_owned() })
}

/// One scrape.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Scrapes.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn scrape(address: SocketAddr) -> Result<Self> {
        Ok(Self(get(address, "/metrics")?.body))
    }

    /// The sum of all series of this name that have all these labels; none is zero.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<_> =
            labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let lines = self.0.lines().filter(|line| is_of(line, name));
        lines
            .filter(|line| wanted.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            // Not `sum`, whose sum of nothing is minus zero.
            .fold(0.0, |sum, value| sum + value)
    }
}

fn is_of(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let text = "# HELP a x\na{x=\"1\",y=\"2\"} 3\na{x=\"1\"} 4\nab{x=\"1\"} 5\nb 6\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.sum("a", &[("x", "1")]).to_string(), "7");
        assert_eq!(metrics.sum("a", &[("x", "1"), ("y", "2")]).to_string(), "3");
        assert_eq!(metrics.sum("b", &[]).to_string(), "6");
        assert_eq!(metrics.sum("c", &[]).to_string(), "0");
    }
}
