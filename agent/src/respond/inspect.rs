//! The child that reads processes for a capture: a question a line, an answer a line.
//!
//! What it reads of a process is as its tenant likes it, so each part has a size, each string is
//! escaped, and no file is opened by a path that the tenant controls.

mod binary;
mod bounded;
mod descriptors;
mod image;
mod process;
mod sockets;

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
};

pub(crate) use self::image::RunningImage;
use self::{binary::Binaries, sockets::Sockets};

/// The command that starts it.
pub(crate) const HIDDEN_COMMAND: &str = "capture-processes";

/// How much of a process is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// All.
    Full,
    /// Nothing that touches its memory or its program, which somebody else may have to bring.
    WithoutMemory,
    /// Its program and its command line.
    Image,
    /// Its program alone.
    ImageWithoutMemory,
}

impl Depth {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::WithoutMemory => "without-memory",
            Self::Image => "image",
            Self::ImageWithoutMemory => "image-without-memory",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Full, Self::WithoutMemory, Self::Image, Self::ImageWithoutMemory]
            .into_iter()
            .find(|depth| depth.as_str() == word)
    }
}

/// What is kept from one process to the next.
#[derive(Default)]
struct Known {
    binaries: Binaries,
    sockets: Sockets,
}

/// Answers until there are no more questions.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let mut known = Known::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (pid, depth) = line.split_once(' ').unwrap_or((&line, ""));
        let question = pid.parse().ok().zip(Depth::parse(depth));
        let (pid, depth) = question.ok_or_else(|| anyhow::anyhow!("no question: {line:?}"))?;
        match depth {
            Depth::Image | Depth::ImageWithoutMemory => {
                serde_json::to_writer(&mut out, &image::read(pid, depth == Depth::Image))?;
            }
            Depth::Full | Depth::WithoutMemory => {
                serde_json::to_writer(&mut out, &process::read(pid, depth, &mut known))?;
            }
        }
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
