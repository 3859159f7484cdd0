//! `bulkhead apparmor`: AppArmor profiles of this node.

mod list;

use std::{io::Write, path::Path, process::ExitCode};

use anyhow::Context;

use super::shown;
use crate::{
    apparmor::{self, Compiler, Kernel, Loaded, May, Named, Outcome, Source, levels},
    cli::apparmor::{
        AppArmorArguments, AppArmorVerb, CheckAppArmor, LoadAppArmor, ShowAppArmor, UnloadAppArmor,
    },
};

pub(super) fn run(arguments: &AppArmorArguments) -> anyhow::Result<ExitCode> {
    match &arguments.verb {
        AppArmorVerb::List(arguments) => list::run(arguments),
        AppArmorVerb::Check(arguments) => check(arguments),
        AppArmorVerb::Load(arguments) => load(arguments),
        AppArmorVerb::Unload(arguments) => unload(arguments),
        AppArmorVerb::Show(arguments) => show(arguments),
    }
}

fn check(arguments: &CheckAppArmor) -> anyhow::Result<ExitCode> {
    let compiler = Compiler::find(arguments.parser.as_deref())?;
    let compiled = compile(&compiler, &arguments.file)?;
    let profiles = profiles_of(&compiled, &arguments.file)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let profiles: Vec<_> = profiles
            .iter()
            .map(|it| serde_json::json!({ "name": it.name, "mode": it.mode }))
            .collect();
        let document = serde_json::json!({
            "file": arguments.file, "bytes": compiled.len(), "profiles": profiles,
        });
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
    } else {
        for profile in profiles {
            writeln!(out, "{:<11} {}", profile.mode.as_str(), shown(&profile.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn load(arguments: &LoadAppArmor) -> anyhow::Result<ExitCode> {
    let kernel = Kernel::open()?;
    let compiler = Compiler::find(arguments.parser.as_deref())?;
    let loaded = match &arguments.file {
        Some(file) => {
            let compiled = compile(&compiler, file)?;
            profiles_of(&compiled, file)?;
            let may = May { replace: arguments.replace, loosen: arguments.loosen };
            apparmor::load(&kernel, &compiled, may, apparmor::users)?
        }
        None => levels_own(&kernel, &compiler)?,
    };
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &loaded)?;
        writeln!(out)?;
    } else {
        for one in &loaded {
            print(one, &mut out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All of them are compiled before one is loaded.
fn levels_own(kernel: &Kernel, compiler: &Compiler) -> anyhow::Result<Vec<Loaded>> {
    let compiled: Vec<Vec<u8>> = levels::all()
        .map(|(level, text)| {
            compiler
                .compile(Source::Own(text))
                .with_context(|| format!("cannot compile the profile of level {level}"))
        })
        .collect::<anyhow::Result<_>>()?;
    // The names are Bulkhead's own.
    let may = May { replace: true, loosen: false };
    let mut loaded = Vec::new();
    for policy in &compiled {
        loaded.extend(apparmor::load(kernel, policy, may, apparmor::users)?);
    }
    Ok(loaded)
}

fn compile(compiler: &Compiler, file: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(compiler.compile(Source::File(file))?)
}

/// What is in a compiled file: at least one.
fn profiles_of(compiled: &[u8], file: &Path) -> anyhow::Result<Vec<Named>> {
    apparmor::profiles(compiled).with_context(|| file.display().to_string())
}

fn print(loaded: &Loaded, out: &mut impl Write) -> std::io::Result<()> {
    let outcome = match loaded.outcome {
        Outcome::Loaded => "loaded",
        Outcome::Replaced => "replaced",
        Outcome::Unchanged => "unchanged",
    };
    writeln!(out, "{outcome:<10} {:<11} {}", loaded.mode.as_str(), shown(&loaded.name))
}

fn unload(arguments: &UnloadAppArmor) -> anyhow::Result<ExitCode> {
    apparmor::unload(&Kernel::open()?, &arguments.name, apparmor::users)?;
    writeln!(std::io::stdout().lock(), "removed    {}", shown(&arguments.name))?;
    Ok(ExitCode::SUCCESS)
}

fn show(arguments: &ShowAppArmor) -> anyhow::Result<ExitCode> {
    let text = levels::text(&arguments.level).with_context(|| {
        let all: Vec<&str> = levels::all().map(|(level, _)| level).collect();
        format!("no level {:?} has a profile; one of {}", arguments.level, all.join(", "))
    })?;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
