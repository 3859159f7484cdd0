//! `bulkhead unload`

use std::{io::Write, process::ExitCode};

use anyhow::{Context, bail};

use crate::{
    cli::UnloadArguments,
    kernel::{self, Left, PinError, Removed},
};

pub(super) fn run(arguments: &UnloadArguments) -> anyhow::Result<ExitCode> {
    let removed = match kernel::unload() {
        Err(error @ PinError::Running(_)) => {
            return Err(error).context("stop the agent first: it would go on without a guard");
        }
        removed => removed.context("not everything could be removed")?,
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &removed)?;
        writeln!(out)?;
    } else {
        print(&removed, &mut out)?;
    }
    match removed.left {
        Left::Programs(ids) => bail!(
            "the kernel still has programs {ids:?}: another process holds them; `bpftool prog` and \
             `bpftool link` show which"
        ),
        Left::Nothing | Left::Unknown => Ok(ExitCode::SUCCESS),
    }
}

fn print(removed: &Removed, out: &mut impl Write) -> std::io::Result<()> {
    if removed.programs.is_empty() && removed.maps.is_empty() {
        return writeln!(out, "Nothing was there: no agent has left anything in this kernel.");
    }
    writeln!(out, "{:<10} NAME", "REMOVED")?;
    for name in &removed.programs {
        writeln!(out, "{:<10} {name}", "program")?;
    }
    for name in &removed.maps {
        writeln!(out, "{:<10} {name}", "map")?;
    }
    let (programs, maps) = (removed.programs.len(), removed.maps.len());
    writeln!(out, "\n{programs} programs and {maps} maps removed: nothing is enforced any more.")?;
    if removed.left == Left::Unknown {
        writeln!(
            out,
            "Whether the kernel has let go of them only root with CAP_SYS_ADMIN can see."
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(removed: &Removed) -> String {
        let mut out = Vec::new();
        print(removed, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn everything_that_was_removed_is_named() {
        let removed = Removed {
            programs: vec!["lsm_bpf".into()],
            maps: vec!["COUNTS".into()],
            left: Left::Nothing,
        };
        let said = said(&removed);
        assert!(said.contains("lsm_bpf") && said.contains("COUNTS"), "{said}");
        assert!(said.contains("1 programs and 1 maps"), "{said}");
    }

    #[test]
    fn an_empty_kernel_is_told_as_such() {
        assert!(said(&Removed::default()).starts_with("Nothing was there"));
    }
}
