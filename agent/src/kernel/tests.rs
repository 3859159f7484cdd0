//! On the host kernel: what needs no BPF LSM. Signals are seen on every rung down to tracepoints.
//!
//! Each test makes its own cgroups and processes and names nobody else's.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use bulkhead_abi::{
    ActKey, CountKey, Fate, Identity, LevelTable, Relation, Rule, Verdict, identity_flag,
};
use bulkhead_policy::decode::{self, Record};

use super::{Guard, NO_CONTAINER};
use crate::node::cgroupfs::CgroupTree;

const SLOT: u16 = 200;

/// A cgroup of this test's own, removed at the end.
struct Cgroup {
    path: PathBuf,
    id: u64,
}

impl Cgroup {
    fn make(path: PathBuf) -> Self {
        std::fs::create_dir(&path).unwrap();
        let id = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
        Self { path, id }
    }

    fn child(&self, name: &str) -> Self {
        Self::make(self.path.join(name))
    }

    fn put(&self, pid: u32) {
        std::fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// A child that is ended with its test.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Scene {
    guard: Guard,
    actor: Cgroup,
    target: Cgroup,
    root: Cgroup,
}

/// A guard with two tenants' cgroups; `None`, with the reason, where this kernel takes no BPF.
fn scene(name: &str) -> Option<Scene> {
    let tree = CgroupTree::find().map_err(|error| eprintln!("skipped: {error}")).ok()?;
    let mut guard = Guard::load().map_err(|error| eprintln!("skipped: {error}")).ok()?;
    let top = tree.mount().join(format!("bulkhead-test-{name}-{}", std::process::id()));
    let root = Cgroup::make(top);
    let (actor, target) = (root.child("actor"), root.child("target"));
    let mut table = LevelTable::OFF;
    table.set(Rule::Signal, Relation::CrossTenant, Verdict::Audit);
    table.set(Rule::CgroupControl, Relation::None, Verdict::Audit);
    guard.set_level(SLOT, &table).unwrap();
    guard.set_identity(actor.id, identity(actor.id, 60_001)).unwrap();
    guard.set_identity(target.id, identity(target.id, 60_002)).unwrap();
    Some(Scene { guard, actor, target, root })
}

fn identity(container: u64, tenant: u32) -> Identity {
    Identity { container, pod: 0, tenant, slot: SLOT, flags: 0 }
}

fn victim(cgroup: &Cgroup) -> Held {
    let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    cgroup.put(child.id());
    Held(child)
}

/// A shell that this process places into the cgroup; it waits for a line before it goes on.
fn shell(cgroup: &Cgroup, script: &str) -> Held {
    let script = format!("read go; {script}");
    let child = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    cgroup.put(child.id());
    Held(child)
}

fn finish(mut child: Held) {
    use std::io::Write;
    child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.0.wait().unwrap();
}

/// Signals by what became of their records.
fn fates(scene: &Scene, fate: Fate) -> u64 {
    let counts = scene.guard.counts().unwrap();
    let these =
        counts.iter().filter(|(key, _)| key.rule == Rule::Signal as u16 && key.fate == fate as u8);
    these.map(|(_, count)| count).sum()
}

/// Signals that were told, by themselves or with one that was the same, and those that were not.
fn signals(scene: &Scene) -> (u64, u64) {
    let of = |fate| fates(scene, fate);
    (of(Fate::Delivered) + of(Fate::Repeated), of(Fate::NoRoom) + of(Fate::OverBudget))
}

fn flood(scene: &Scene, commands: &str) {
    let script =
        format!("exec sh -c 'i=0; while [ $i -lt 3000 ]; do {commands}; i=$((i+1)); done'");
    finish(shell(&scene.actor, &script));
}

/// Every record in the rings, and how many are acts that met `rule`.
fn drained(scene: &mut Scene, rule: Rule) -> u64 {
    let mut acts = 0;
    let mut events = scene.guard.take_events().unwrap();
    events.drain(|bytes| match decode::decode(bytes).unwrap() {
        Record::Act(act) => acts += u64::from(act.decision.rule == rule),
        other => panic!("{other:?}"),
    });
    acts
}

#[test]
fn the_same_act_again_is_counted_with_the_one_that_was_told() {
    let Some(mut scene) = scene("repeats") else { return };
    let target = victim(&scene.target);
    let pid = target.0.id();
    flood(&scene, &format!("kill -URG {pid}; kill -CONT {pid}"));
    assert_eq!(fates(&scene, Fate::Delivered) + fates(&scene, Fate::Repeated), 6_000);
    assert!(fates(&scene, Fate::Delivered) >= 2, "a signal of each kind is told");
    let mut acts = scene.guard.acts().unwrap();
    acts.retain(|(key, _)| key.process != 0);
    let repeats: u64 = acts.iter().map(|(_, repeats)| repeats.count).sum();
    assert_eq!((acts.len(), repeats), (2, fates(&scene, Fate::Repeated)));
    let told: Vec<ActKey> = acts.iter().map(|(key, _)| *key).collect();
    let mut events = scene.guard.take_events().unwrap();
    events.drain(|bytes| match decode::decode(bytes).unwrap() {
        Record::Act(act) => assert!(told.contains(&act.key()), "{:?} in {told:?}", act.key()),
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_tenant_over_its_budget_loses_no_count() {
    let Some(mut scene) = scene("budget") else { return };
    let cgroups: Vec<Cgroup> = (0..100).map(|n| scene.target.child(&n.to_string())).collect();
    for cgroup in &cgroups {
        scene.guard.set_identity(cgroup.id, identity(cgroup.id, 60_002)).unwrap();
    }
    let victims: Vec<Held> = cgroups.iter().map(victim).collect();
    let pids: Vec<String> = victims.iter().map(|held| held.0.id().to_string()).collect();
    // Signals that end nobody: SIGCHLD, SIGCONT, SIGURG, SIGWINCH. Each to each is another act.
    let pids = pids.join(" ");
    let all = format!("for s in 17 18 23 28; do for p in {pids}; do kill -$s $p; done; done");
    finish(shell(&scene.actor, &format!("exec sh -c '{all}; {all}'")));
    let (told, lost) = signals(&scene);
    assert_eq!(told + lost, 800);
    let (delivered, over) = (fates(&scene, Fate::Delivered), fates(&scene, Fate::OverBudget));
    assert!(delivered >= 256 && over > 0, "{delivered} told, {over} over the budget");
    assert_eq!(drained(&mut scene, Rule::Signal), delivered);
}

#[test]
fn set_up_is_not_judged_and_what_it_executes_is() {
    let Some(scene) = scene("setup") else { return };
    let target = victim(&scene.target);
    let pid = target.0.id();
    finish(shell(&scene.actor, &format!("kill -URG {pid}; (kill -URG {pid})")));
    assert_eq!(signals(&scene), (0, 0), "placed by the host, and nothing executed since");
    finish(shell(&scene.actor, &format!("exec sh -c 'kill -URG {pid}'")));
    assert_eq!(signals(&scene), (1, 0));
}

#[test]
fn a_workload_that_is_moved_stays_workload() {
    let Some(scene) = scene("moved") else { return };
    let target = victim(&scene.target);
    let inner = scene.actor.child("inner");
    let pid = target.0.id();
    let child = shell(&scene.actor, &format!("exec sh -c 'read go; kill -URG {pid}'"));
    let mut child = child;
    {
        use std::io::Write;
        child.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
    wait_for_exec(child.0.id());
    // The host moves it: that must not make set-up of it again.
    inner.put(child.0.id());
    finish(child);
    assert_eq!(signals(&scene), (1, 0));
    drop(inner);
}

fn wait_for_exec(pid: u32) {
    let read = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    for _ in 0..200 {
        if read().starts_with("sh\0-c\0read go; kill") {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the shell did not go on: {:?}", read());
}

#[test]
fn a_cgroup_below_a_workload_is_the_workload_s_from_its_first_moment() {
    let Some(scene) = scene("inherit") else { return };
    let below = scene.actor.child("below");
    assert_eq!(scene.guard.identity(below.id), scene.guard.identity(scene.actor.id));
    let deeper = below.child("deeper");
    assert_eq!(scene.guard.identity(deeper.id), scene.guard.identity(scene.actor.id));
    let id = deeper.id;
    drop(deeper);
    assert_eq!(scene.guard.identity(id), None, "and its entry goes with it");
}

#[test]
fn a_name_that_a_runtime_gives_makes_a_pending_container() {
    let Some(mut scene) = scene("scope") else { return };
    let template = Identity { container: 0, pod: 0, tenant: 0, slot: 1, flags: 0 };
    scene.guard.set_scope("bhtest-", template).unwrap();
    let container = scene.root.child("bhtest-0123.scope");
    let entry = scene.guard.identity(container.id).unwrap();
    assert_eq!((entry.container, entry.tenant, entry.slot), (container.id, 0, 1));
    assert_ne!(entry.flags & identity_flag::UNCONFIRMED, 0);
    let service = scene.root.child("bhtest-registry.service");
    assert_eq!(scene.guard.identity(service.id), None);
    let other = scene.root.child("other");
    assert_eq!(scene.guard.identity(other.id), None);
}

#[test]
fn a_workload_that_leaves_its_cgroup_stays_what_it_was() {
    let Some(scene) = scene("leave") else { return };
    let target = victim(&scene.target);
    let outside = scene.root.child("outside");
    let pid = target.0.id();
    let procs = outside.path.join("cgroup.procs");
    let leave = format!("echo $$ > {}", procs.display());
    let acts = format!("{leave}; kill -URG {pid}; sh -c \"kill -URG {pid}\"");
    finish(shell(&scene.actor, &format!("exec sh -c '{acts}'")));
    assert_eq!(signals(&scene), (2, 0), "by itself and by its child");
    let counts = scene.guard.counts().unwrap();
    let moves = counts.iter().filter(|(key, _)| key.rule == Rule::CgroupControl as u16);
    assert!(moves.map(|(_, count)| count).sum::<u64>() > 0, "the move itself is told");
    drop(outside);
}

#[test]
fn own_processes_are_never_reported() {
    let Some(scene) = scene("own") else { return };
    let own = victim(&scene.actor);
    let pid = own.0.id();
    finish(shell(&scene.actor, &format!("exec sh -c 'kill -URG {pid}; sleep 5 & kill $!'")));
    assert_eq!(signals(&scene), (0, 0));
}

#[test]
fn the_ladder_names_every_rule_once() {
    let Some(scene) = scene("ladder") else { return };
    let ladder = scene.guard.ladder();
    assert_eq!(ladder.rules.len(), Rule::ALL.len());
    for rule in &ladder.rules {
        let weak = !rule.state.enforces();
        assert!(!weak || !rule.why.is_empty(), "{} does not say why", rule.rule);
    }
    assert!(ladder.fully_enforcing() || !ladder.advice.is_empty());
}

#[test]
fn all_entries_of_a_map_are_read_however_few_the_kernel_is_asked_for_at_a_time() {
    const COUNTS: u32 = 3_000;
    let Some(mut scene) = scene("entries") else { return };
    let key = |tenant| CountKey {
        container: NO_CONTAINER,
        tenant,
        rule: Rule::Signal as u16,
        relation: Relation::None as u8,
        verdict: Verdict::Audit as u8,
        effect: 0,
        fate: Fate::Delivered as u8,
        padding: [0; 6],
    };
    for tenant in 0..COUNTS {
        scene.guard.add_to_total(&key(tenant), u64::from(tenant)).unwrap();
    }
    for room in [1, 7, 1_024, 100_000] {
        let mut counts = scene.guard.all_counts.read_by(room).unwrap();
        counts.sort_by_key(|(key, _)| key.tenant);
        let tenants: Vec<u32> = counts.iter().map(|(key, _)| key.tenant).collect();
        assert!(tenants.into_iter().eq(0..COUNTS), "{room} at a time");
        assert!(counts.iter().all(|(key, count)| *count == u64::from(key.tenant)));
    }
}
