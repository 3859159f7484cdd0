//! The page of the documentation.

use bulkhead_policy::catalogue;

use crate::{Container, Effect, Level, PROGRAMS, Program, UNDER_PROFILES};

const HEAD: &str = "\
# Ordinary programs

What a guard is worth shows in what it leaves alone. These programs do what they do every day, in
containers of a guest node, at the two levels that refuse anything: `cargo xtask e2e benign`. The test
fails on any refusal and any record that this page does not name, and on any that it names and that
does not come. This page is made from the test's own table.

At `semi-trusted` nothing is refused, and nothing raises an alert above `info`. The same goes for
`trusted`, which refuses nothing and sees nothing that `semi-trusted` does not: a test holds the levels to
that, so the programs are not run there. An act that is seen is one that an intruder does too; it is
recorded, its event and the alert for it (BulkheadBreakoutObserved) have severity `info`. At `untrusted` the
acts below are refused; a tenant that needs one gets the rule relaxed by name, in `tenants[].rules` or by an
[exception](configuration.md#exceptions).

Each container has the runtime's default capabilities and neither a seccomp filter nor an AppArmor
profile, as Kubernetes starts one that asks for none: nothing refuses an act before Bulkhead sees it.
*hostPID* is one that sees the node's processes.

";

/// `docs/benign.md`.
fn page() -> String {
    let mut page = HEAD.to_owned();
    page += "| program | what it does | `semi-trusted` | `untrusted` | container |\n";
    page += "|---|---|---|---|---|\n";
    for program in PROGRAMS {
        let [semi, untrusted] = Level::ALL.map(|level| cell(program, level));
        let container = match program.container {
            Container::Ordinary => "",
            Container::HostPid => "hostPID",
        };
        page += &format!(
            "| {} | {} | {semi} | {untrusted} | {container} |\n",
            program.title, program.does
        );
    }
    page += "\n## What is seen, and why\n\n| program | rule | the act |\n|---|---|---|\n";
    for program in PROGRAMS {
        for seen in program.seen {
            let what = catalogue::by_id(seen.rule).map_or("", |row| row.title);
            page += &format!("| {} | `{}` {what} | {} |\n", program.title, seen.rule, seen.act);
        }
    }
    let limited = PROGRAMS.iter().filter_map(|program| Some((program, program.not_at_untrusted?)));
    page +=
        "\n## What does not work at `untrusted`\n\n| program | why, and what to do |\n|---|---|\n";
    for (program, why) in limited {
        page += &format!("| {} | {why} |\n", program.title);
    }
    page + PROFILES + &under_profiles()
}

const PROFILES: &str = "
## Under the levels' profiles

`cargo xtask e2e seccomp` runs these in containers that have the [seccomp profile](seccomp.md) and the
[AppArmor profile](apparmor.md) of a level, and nothing else of Bulkhead's. Under those of `semi-trusted` each
does all that it does above. The same file shows that Redis works under a profile that
`bulkhead profile record` made of it, and that what it never did is refused there.

| program | under `untrusted` |
|---|---|
";

fn under_profiles() -> String {
    let rows = UNDER_PROFILES.iter().filter_map(|row| {
        let title = PROGRAMS.iter().find(|program| program.name == row.name)?.title;
        let said = row
            .not_at_untrusted
            .map_or_else(|| "works".to_owned(), |why| format!("**does not work**: {why}"));
        Some(format!("| {title} | {said} |\n"))
    });
    rows.collect()
}

fn cell(program: &Program, level: Level) -> String {
    let of = |wanted: Effect| -> Vec<String> {
        let seen = program.seen_at(level).filter(|(_, effect)| *effect == wanted);
        seen.map(|(rule, _)| format!("`{rule}`")).collect()
    };
    let (denied, observed) = (of(Effect::Denied), of(Effect::Observed));
    let mut parts = Vec::new();
    if !program.works_at(level) {
        parts.push("**does not work**".to_owned());
    }
    if !denied.is_empty() {
        parts.push(format!("refused: {}", denied.join(", ")));
    }
    if !observed.is_empty() {
        parts.push(format!("seen: {}", observed.join(", ")));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_is_what_the_test_expects() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benign.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == page(), "docs/benign.md is out of date; run with BLESS=1");
    }

    #[test]
    fn no_program_is_refused_anything_below_untrusted() {
        for program in PROGRAMS {
            let mut seen = program.seen_at(Level::SemiTrusted);
            assert!(seen.all(|(_, effect)| effect == Effect::Observed), "{}", program.name);
        }
    }

    #[test]
    fn every_script_has_its_row_and_every_rule_is_known() {
        let mut scripts = Vec::new();
        for entry in
            std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")).unwrap()
        {
            let name = entry.unwrap().file_name().into_string().unwrap();
            scripts
                .extend(name.strip_suffix(".sh").filter(|name| *name != "lib").map(str::to_owned));
        }
        scripts.sort();
        let mut rows: Vec<_> = PROGRAMS.iter().map(|program| program.name.to_owned()).collect();
        rows.sort();
        assert_eq!(scripts, rows);
        for row in UNDER_PROFILES {
            assert!(rows.iter().any(|name| name == row.name), "{}", row.name);
        }
        for seen in PROGRAMS.iter().flat_map(|program| program.seen) {
            assert!(catalogue::by_id(seen.rule).is_some(), "{}", seen.rule);
        }
    }
}
