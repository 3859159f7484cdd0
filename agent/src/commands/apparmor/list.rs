//! `bulkhead apparmor list`

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::ExitCode,
};

use serde::Serialize;

use super::shown;
use crate::{
    apparmor::{self, Kernel, Mode, Profile, User},
    cli::apparmor::ListProfiles,
    workloads::Bundles,
};

/// What the names of the levels' profiles begin with.
const OURS: &str = "bulkhead-";

/// A profile and whom it holds.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    profile: Profile,
    /// Processes under it.
    processes: usize,
    /// Containers under it, or about to be.
    containers: Vec<Held>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Held {
    id: String,
    /// Namespace, pod and container, as far as its runtime tells.
    name: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    profiles: Vec<Line>,
    /// Why it is not known whom they hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    blind: Option<String>,
}

pub(super) fn run(arguments: &ListProfiles) -> anyhow::Result<ExitCode> {
    let profiles = Kernel::open()?.profiles()?;
    let (users, blind) = match apparmor::users() {
        Ok(users) => (users, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let mut lines = lines(profiles, &users, &names(&users));
    let all = lines.len();
    if !arguments.all {
        lines.retain(|line| {
            line.profile.name.starts_with(OURS) || line.processes > 0 || !line.containers.is_empty()
        });
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &Listed { profiles: lines, blind })?;
        writeln!(out)?;
    } else {
        print(&lines, &mut out)?;
        if lines.len() < all && blind.is_none() {
            writeln!(out, "{}", of_no_concern(all - lines.len()))?;
        }
        if let Some(blind) = blind {
            eprintln!("bulkhead: whom they hold is not known: {blind}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(
    profiles: Vec<Profile>,
    users: &[User],
    names: &BTreeMap<String, Option<String>>,
) -> Vec<Line> {
    profiles
        .into_iter()
        .map(|profile| {
            let held: Vec<&User> =
                users.iter().filter(|user| user.is_held_by(&profile.name)).collect();
            let processes: BTreeSet<u32> = held.iter().filter_map(|user| user.pid).collect();
            let containers: BTreeSet<Held> = held
                .iter()
                .filter_map(|user| user.container.clone())
                .map(|id| Held { name: names.get(&id).cloned().flatten(), id })
                .collect();
            let containers = containers.into_iter().collect();
            Line { profile, processes: processes.len(), containers }
        })
        .collect()
}

/// The containers' names, from their runtimes' bundles.
fn names(users: &[User]) -> BTreeMap<String, Option<String>> {
    let bundles = Bundles::below("/");
    let ids: BTreeSet<&String> = users.iter().filter_map(|user| user.container.as_ref()).collect();
    ids.into_iter()
        .map(|id| {
            // One that is gone or cannot be read has its id.
            let name = bundles.find(id).ok().flatten().and_then(|bundle| {
                let container = bundle.container.as_deref().unwrap_or("(sandbox)");
                Some(format!("{}/{}/{container}", bundle.namespace?, bundle.pod?))
            });
            (id.clone(), name)
        })
        .collect()
}

fn print(lines: &[Line], out: &mut impl Write) -> std::io::Result<()> {
    if lines.is_empty() {
        return writeln!(
            out,
            "No profile of Bulkhead's is loaded, and none holds anybody; `bulkhead apparmor load` \
             loads the levels'."
        );
    }
    writeln!(out, "{:<28} {:<11} {:<12} HOLDS", "PROFILE", "MODE", "SHA")?;
    for line in lines {
        let mode = line.profile.mode.map_or("?", Mode::as_str);
        let sha: String = line.profile.sha.as_deref().unwrap_or("-").chars().take(12).collect();
        let name = shown(&line.profile.name);
        writeln!(out, "{name:<28} {mode:<11} {sha:<12} {}", holds(line))?;
    }
    Ok(())
}

/// Whoever has just loaded one of their own looks for it here.
fn of_no_concern(others: usize) -> String {
    let hold = if others == 1 { "holds" } else { "hold" };
    format!("{others} more {hold} nobody: `--all` lists them")
}

fn holds(line: &Line) -> String {
    if line.processes == 0 && line.containers.is_empty() {
        return "nobody".to_owned();
    }
    let short = |id: &str| id.chars().take(12).collect::<String>();
    let containers: Vec<String> = line
        .containers
        .iter()
        .map(|held| shown(held.name.as_deref().unwrap_or(&short(&held.id))))
        .collect();
    let processes = match line.processes {
        1 => "1 process".to_owned(),
        number => format!("{number} processes"),
    };
    if containers.is_empty() {
        processes
    } else {
        format!("{processes}: {}", containers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str) -> Profile {
        Profile {
            name: name.to_owned(),
            mode: Some(Mode::Enforce),
            sha: Some("0123456789abcdef".into()),
        }
    }

    fn user(label: &str, container: Option<&str>, pid: Option<u32>) -> User {
        let container = container.map(str::to_owned);
        User { label: label.to_owned(), container, pid, comm: "sh".to_owned() }
    }

    #[test]
    fn a_profile_is_shown_with_the_containers_that_it_holds() {
        let users = [
            user("a", Some("c1"), Some(7)),
            user("a//hat", Some("c1"), Some(8)),
            user("a", Some("c2"), None),
            user("b", None, Some(9)),
        ];
        let names = BTreeMap::from([("c1".to_owned(), Some("n/p/c".to_owned()))]);
        let lines = lines(vec![profile("a"), profile("b"), profile("c")], &users, &names);
        let mut out = Vec::new();
        print(&lines, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<Vec<&str>> =
            text.lines().map(|line| line.splitn(4, ' ').map(str::trim).collect()).collect();
        assert_eq!(rows.len(), 4);
        assert!(text.contains("0123456789ab 2 processes: n/p/c, c2\n"), "{text}");
        assert!(text.contains("0123456789ab 1 process\n"), "{text}");
        assert!(text.ends_with("nobody\n"), "{text}");
        assert_eq!(of_no_concern(1), "1 more holds nobody: `--all` lists them");
    }
}
