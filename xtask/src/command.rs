//! Other programs, run with an error that names the program and shows what it said.

use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// How much of a failed program's output is worth showing.
const TAIL_LINES: usize = 30;

/// Runs a program to its end and returns its stdout; its output is shown only if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{name}` (is it installed?)"))?;
    if !done.status.success() {
        let said = [done.stdout.as_slice(), done.stderr.as_slice()].concat();
        bail!("`{}` failed, {}:\n{}", line(command), done.status, tail(&said, TAIL_LINES));
    }
    String::from_utf8(done.stdout).with_context(|| format!("`{name}` printed no UTF-8"))
}

/// Runs a program to its end for its effect; its output is shown only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a program whose output a person wants to see as it comes.
pub(crate) fn run_visibly(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` failed, {status}", line(command));
    }
    Ok(())
}

/// Runs a program that tells its findings itself; false if it had any.
pub(crate) fn succeeds_visibly(command: &mut Command) -> Result<bool> {
    Ok(status(command)?.success())
}

fn status(command: &mut Command) -> Result<ExitStatus> {
    command.status().with_context(|| format!("cannot start `{}`", line(command)))
}

/// The command as one line, for messages.
pub(crate) fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The last lines of some output.
pub(crate) fn tail(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_and_shows_its_last_words() {
        let error = run(Command::new("sh").args(["-c", "echo broken pipe-dream >&2; exit 3"]))
            .expect_err("exit 3 is a failure");
        let text = format!("{error:#}");
        assert!(text.contains("sh -c") && text.contains("broken pipe-dream"), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).expect_err("it does not exist");
        assert!(format!("{error:#}").contains("no-such-program-here"));
    }

    #[test]
    fn tail_keeps_the_end() {
        assert_eq!(tail(b"a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail(b"a", 2), "a");
    }
}
