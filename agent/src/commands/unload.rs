//! `bulkhead unload`

use std::{io::Write, process::ExitCode};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::{
    cli::UnloadArguments,
    kernel::{self, Left, PinError, Removed},
    node::cgroupfs::CgroupTree,
    prove::Ground,
};

pub(super) fn run(arguments: &UnloadArguments) -> anyhow::Result<ExitCode> {
    let removed = match kernel::unload() {
        Err(error @ PinError::Running(_)) => {
            return Err(error).context("stop the agent first: it would go on without a guard");
        }
        removed => removed.context("not everything could be removed")?,
    };
    let ground = Ground::below(CgroupTree::find()?.mount());
    let cgroup = ground.remove().context("cannot remove the canary's cgroup")?;
    let gone = Gone { removed, cgroups: cgroup.then(|| ground.to_string()).into_iter().collect() };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &gone)?;
        writeln!(out)?;
    } else {
        print(&gone, &mut out)?;
    }
    match gone.removed.left {
        Left::Programs(ids) => bail!(
            "the kernel still has programs {ids:?}: another process holds them; `bpftool prog` and \
             `bpftool link` show which"
        ),
        Left::Nothing | Left::Unknown => Ok(ExitCode::SUCCESS),
    }
}

/// What is no longer there.
#[derive(Serialize)]
struct Gone {
    #[serde(flatten)]
    removed: Removed,
    cgroups: Vec<String>,
}

fn print(gone: &Gone, out: &mut impl Write) -> std::io::Result<()> {
    let Gone { removed, cgroups } = gone;
    if removed.programs.is_empty() && removed.maps.is_empty() && cgroups.is_empty() {
        return writeln!(out, "Nothing was there: no agent has left anything in this kernel.");
    }
    writeln!(out, "{:<10} NAME", "REMOVED")?;
    for name in &removed.programs {
        writeln!(out, "{:<10} {name}", "program")?;
    }
    for name in &removed.maps {
        writeln!(out, "{:<10} {name}", "map")?;
    }
    for name in cgroups {
        writeln!(out, "{:<10} {name}", "cgroup")?;
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

    fn said(removed: Removed, cgroups: &[&str]) -> String {
        let mut out = Vec::new();
        let cgroups = cgroups.iter().map(|&name| name.to_owned()).collect();
        print(&Gone { removed, cgroups }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn everything_that_was_removed_is_named() {
        let removed = Removed {
            programs: vec!["lsm_bpf".into()],
            maps: vec!["COUNTS".into()],
            left: Left::Nothing,
        };
        let said = said(removed, &["/sys/fs/cgroup/bulkhead-canary"]);
        assert!(said.contains("bulkhead-canary") && said.contains("lsm_bpf"), "{said}");
        assert!(said.contains("lsm_bpf") && said.contains("COUNTS"), "{said}");
        assert!(said.contains("1 programs and 1 maps"), "{said}");
    }

    #[test]
    fn an_empty_kernel_is_told_as_such() {
        assert!(said(Removed::default(), &[]).starts_with("Nothing was there"));
    }
}
