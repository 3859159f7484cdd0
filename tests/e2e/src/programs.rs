//! The image of ordinary programs, and their scripts where containers find them.

use std::fs;

use anyhow::{Context, Result};
use bulkhead_benign::{IMAGE, LIBRARY, PROGRAMS, Program};

/// Where a container finds the scripts.
const SCRIPTS: &str = "/opt/benign";

/// A test for each program by its name, which hands the name to `check`; `TESTED` lists them.
#[macro_export]
macro_rules! programs {
    ($($name:ident)+) => {
        const TESTED: &[&str] = &[$(stringify!($name)),+];
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )+
    };
}

/// Options of `bulkhead-cri run` for a container of the image, with the scripts in it.
///
/// # Errors
/// When the scripts cannot be written.
pub fn options() -> Result<[String; 4]> {
    let directory = "/run/benign-scripts";
    fs::create_dir_all(directory).context("cannot make the directory of scripts")?;
    let scripts = PROGRAMS.iter().map(|row| (format!("{}.sh", row.name), row.script));
    for (name, text) in scripts.chain([(LIBRARY.0.to_owned(), LIBRARY.1)]) {
        fs::write(format!("{directory}/{name}"), text).context("cannot write a script")?;
    }
    let mount = format!("{directory}:{SCRIPTS}:ro");
    Ok(["--image".into(), IMAGE.into(), "--mount".into(), mount])
}

/// The line of shell that runs a program. Its output goes into a file first: what a program that failed has
/// left running would hold the line open.
#[must_use]
pub fn line(program: &Program) -> String {
    let name = program.name;
    format!("sh {SCRIPTS}/{name}.sh > /tmp/{name}.said 2>&1; e=$?; cat /tmp/{name}.said; exit $e")
}
