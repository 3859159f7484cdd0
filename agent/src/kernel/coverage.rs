//! `docs/coverage.md`: which behaviour meets which rule, by which hook, on which kernel, and what
//! each level says to it. Written from the catalogue, the hooks and the levels, so that it cannot say
//! anything else than they do: `BLESS=1 cargo test -p bulkhead-agent coverage` writes it.

use std::fmt::Write;

use bulkhead_abi::{Relation, Verdict};
use bulkhead_policy::{
    Level, breakouts,
    breakouts::Breakout,
    catalogue::{self, RuleInfo, Target},
    configuration,
};

use super::hooks::{By, HOOKS, Hook, SUBSTITUTES};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/coverage.md");

const HEAD: &str = "# Coverage

Written from the rules (`BLESS=1 cargo test -p bulkhead-agent coverage`); a test fails where it is
out of date.

A behaviour may meet several rules. Hooks are LSM hooks; each has an fentry twin on the kernel function
that calls it, for nodes without BPF LSM. Where a hook is not on all of 6.1, 6.12, 6.18 and 7.x the
kernels are named. Verdicts are those of the levels `trusted`, `semi-trusted` and `untrusted`; for a rule
that asks whose the target is they are those towards another tenant, and towards the node behind the
stroke where that differs. *Other controls* stop the behaviour besides, or instead.

";

/// The whole page.
fn page() -> String {
    let known = configuration::defaults().unwrap().policy.levels().to_vec();
    let named = |name| known.iter().find(|level| level.name() == name).unwrap().clone();
    let levels = ["trusted", "semi-trusted", "untrusted"].map(named);
    let mut text = HEAD.to_owned();
    let ruled = |row: &&Breakout| rules_of(row).next().is_some();
    let count = breakouts::ALL.iter().filter(ruled).count();
    let all = breakouts::ALL.len();
    let rules = catalogue::ALL.len();
    writeln!(text, "{count} of {all} behaviours meet one of {rules} rules.\n").unwrap();
    text.push_str("| behaviour | severity | rule | hooks | trusted | semi-trusted | untrusted | other controls | not covered |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for row in breakouts::ALL {
        write_row(&mut text, row, &levels);
    }
    text
}

fn rules_of(row: &Breakout) -> impl Iterator<Item = &'static RuleInfo> {
    let id = row.id;
    catalogue::ALL.iter().filter(move |rule| rule.rows.contains(&id))
}

fn write_row(text: &mut String, row: &Breakout, levels: &[Level]) {
    let head = format!("| {} {} | {} |", row.id, row.title, row.severity);
    let tail = format!("| {} | {} |", row.other, if row.gap.is_empty() { "-" } else { row.gap });
    let mut rules = rules_of(row).peekable();
    if rules.peek().is_none() {
        writeln!(text, "{head} - | - | - | - | - {tail}").unwrap();
        return;
    }
    for (index, rule) in rules.enumerate() {
        let verdicts = levels.iter().map(|level| verdict(level, rule)).collect::<Vec<_>>();
        let middle = format!("{} | {} | {}", rule.id, hooks_of(rule), verdicts.join(" | "));
        match index {
            0 => writeln!(text, "{head} {middle} {tail}").unwrap(),
            _ => writeln!(text, "| {} | | {middle} | | |", row.id).unwrap(),
        }
    }
}

fn verdict(level: &Level, rule: &RuleInfo) -> String {
    let word = |relation| level.verdict(rule.rule, relation).as_str();
    match rule.target {
        Target::Nothing => word(Relation::None).to_owned(),
        Target::Process => match (word(Relation::CrossTenant), word(Relation::Host)) {
            (tenant, host) if tenant == host => tenant.to_owned(),
            (tenant, host) => format!("{tenant} / {host}"),
        },
    }
}

fn hooks_of(rule: &RuleInfo) -> String {
    let hooks = HOOKS.iter().filter(|hook| hook.rules.contains(&rule.rule)).map(hook_name);
    let instead = SUBSTITUTES.iter().filter(|part| part.rule == rule.rule).map(|part| {
        let by = match part.by {
            By::Tracepoint(name) => format!("tracepoint {name}"),
            By::Device => "the cgroup device program".to_owned(),
            By::Sysctl => "the cgroup sysctl program".to_owned(),
            By::Grants => return format!("the cgroup program of what is granted: {}", part.meets),
        };
        format!("else {by}: {}", part.meets)
    });
    hooks.chain(instead).collect::<Vec<_>>().join(", ")
}

fn hook_name(hook: &Hook) -> String {
    if hook.covered { format!("{} (not on 6.1)", hook.name) } else { hook.name.to_owned() }
}

#[test]
fn the_page_says_what_the_rules_say() {
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    assert!(written == page, "docs/coverage.md is out of date: run with BLESS=1");
}

/// What the levels promise about the list, whatever rule a behaviour meets.
#[test]
fn untrusted_refuses_what_is_critical_or_high_wherever_a_hook_can() {
    let levels = configuration::defaults().unwrap().policy.levels().to_vec();
    let untrusted = levels.iter().find(|level| level.name() == "untrusted").unwrap();
    for row in breakouts::ALL {
        if row.severity < catalogue::Severity::High {
            continue;
        }
        for rule in rules_of(row) {
            let relation = rule.target.relations().last().copied().unwrap();
            let verdict = untrusted.verdict(rule.rule, relation);
            // A row may also meet a rule whose own worst is medium.
            let graver = rule.severity >= catalogue::Severity::High;
            assert!(!graver || verdict == Verdict::Deny, "{} by {}", row.id, rule.id);
        }
    }
}
