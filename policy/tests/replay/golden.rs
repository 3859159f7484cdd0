//! What the log shall say, line by line.

use std::{fs, path::PathBuf};

use bulkhead_abi as abi;

use crate::records::{
    ACME, GLOBEX, Node, core_pattern, end, header, kubelet, lone, on_file, on_task, shell, start,
};

/// Compares the events of `records` with `tests/replay/NAME.jsonl` and `NAME.txt`.
pub(crate) fn golden(name: &str, records: &[Vec<u8>]) {
    let node = Node::with_two_tenants();
    let events: Vec<_> = records.iter().map(|bytes| crate::event(bytes, &node)).collect();
    let json = |it| serde_json::to_string(it).unwrap() + "\n";
    compare(&format!("{name}.jsonl"), &events.iter().map(json).collect::<String>());
    compare(&format!("{name}.txt"), &events.iter().map(|it| format!("{it}\n")).collect::<String>());
}

fn compare(file: &str, found: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/replay").join(file);
    if std::env::var_os("BULKHEAD_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), found, "{file}");
}

#[test]
fn both_ends_of_a_crossing_are_named() {
    let mut head = header(abi::Kind::OnTask, abi::Rule::ProcessAttach);
    head.relation = abi::Relation::CrossTenant as u8;
    head.syscall = 101;
    head.arguments = [18, 0, 0];
    let mut signal = header(abi::Kind::OnTask, abi::Rule::Signal);
    signal.relation = abi::Relation::Host as u8;
    signal.syscall = 37;
    signal.flags = abi::record_flag::COMPAT;
    signal.arguments = [9, 0, 0];
    golden(
        "crossings",
        &[
            on_task(head, shell(GLOBEX, 2_002), shell(ACME, 2_001)),
            on_task(signal, kubelet(), shell(ACME, 2_001)),
        ],
    );
}

#[test]
fn files_and_mounts_are_told_with_their_file_system() {
    let mut write = header(abi::Kind::OnFile, abi::Rule::CorePattern);
    write.arguments = [0o101_001, 0xe_801e, 0];
    write.syscall = 257;
    let mut mount = header(abi::Kind::OnFile, abi::Rule::MountCgroup);
    mount.arguments = [6, 0, 0];
    mount.syscall = 165;
    let mut source = core_pattern();
    source = abi::File { inode: 0, magic: 0, mode: 0, device: 0, ..source };
    source.path_start = end(&mut source.path, b"cgroup");
    start(&mut source.fstype, b"cgroup");
    let mut open = header(abi::Kind::OnFile, abi::Rule::BlockDevice);
    open.arguments = [0o2_100_002, 0xe_801f, 0];
    let mut disk = core_pattern();
    disk = abi::File { magic: 0x0102_1994, mode: 0o060_660, special_device: 259 << 20, ..disk };
    disk.path_start = end(&mut disk.path, b"/nvme0n1");
    golden(
        "files",
        &[
            on_file(write, core_pattern(), shell(ACME, 2_001)),
            on_file(mount, source, shell(ACME, 2_001)),
            on_file(open, disk, shell(GLOBEX, 2_002)),
        ],
    );
}

#[test]
fn what_was_only_seen_says_by_what_and_that_it_was_not_denied() {
    let mut head = header(abi::Kind::Lone, abi::Rule::SocketAlg);
    head.arguments = [38, 5 | 0o2_000_000, 0];
    head.effect = abi::Effect::NotDenied as u8;
    head.rung = abi::Rung::Cgroup as u8;
    head.syscall = 41;
    let mut ceiling = header(abi::Kind::Lone, abi::Rule::CapabilityCeiling);
    ceiling.arguments = [21, 0, 0];
    ceiling.verdict = abi::Verdict::Audit as u8;
    ceiling.effect = abi::Effect::Observed as u8;
    golden("seen", &[lone(head, shell(ACME, 1)), lone(ceiling, shell(ACME, 1))]);
}

#[test]
fn an_end_that_cannot_be_named_says_so() {
    let head = header(abi::Kind::Lone, abi::Rule::UserNamespace);
    let unconfirmed =
        abi::Identity { container: 0, flags: abi::identity_flag::UNCONFIRMED, ..ACME };
    let stranger = abi::Identity { container: 9_999, pod: 9_998, ..GLOBEX };
    let nobody = abi::Identity { container: 0, pod: 0, tenant: 0, slot: 1, flags: 0 };
    golden(
        "unnamed",
        &[unconfirmed, stranger, nobody].map(|identity| {
            let mut actor = shell(identity, 3_000);
            actor.cgroup = 5_000;
            lone(head, actor)
        }),
    );
}

#[test]
fn an_act_before_its_container_had_a_name_is_told_with_the_name() {
    let node = Node::with_two_tenants();
    let head = header(abi::Kind::Lone, abi::Rule::UserNamespace);
    let early = abi::Identity {
        container: 0,
        pod: 0,
        tenant: abi::UNIDENTIFIED_TENANT,
        slot: abi::PENDING_SLOT,
        flags: abi::identity_flag::UNCONFIRMED,
    };
    let mut actor = shell(early, 3_000);
    actor.cgroup = ACME.container;
    let line = serde_json::to_value(crate::event(&lone(head, actor), &node)).unwrap();
    assert_eq!(line["actor"]["attribution"], "named");
    assert_eq!(line["actor"]["tenant"], "acme");
    assert_eq!(line["actor"]["pod"]["name"], "web-0");
    assert_eq!(line["actor"]["container"]["name"], "main");
}

#[test]
fn names_that_tenants_choose_cannot_break_a_line_or_pass_for_another() {
    let mut actor = shell(ACME, 3_000);
    actor.comm = [0; 16];
    start(&mut actor.comm, b"x\n{\"a\":1}\x1b[2J");
    actor.path_start = end(&mut actor.path, b"/tmp/\xff\\ \"b\"\xe2\x80\xae");
    actor.flags |= abi::party_flag::PATH_TRUNCATED | abi::party_flag::SETUP;
    golden("hostile", &[lone(header(abi::Kind::Lone, abi::Rule::Chroot), actor)]);
}

#[test]
fn the_documentation_tells_every_field_and_shows_a_line_as_it_is() {
    let documentation = include_str!("../../../docs/events.md");
    let lines = [
        include_str!("crossings.jsonl"),
        include_str!("files.jsonl"),
        include_str!("seen.jsonl"),
        include_str!("unnamed.jsonl"),
        include_str!("hostile.jsonl"),
    ];
    for line in lines.iter().flat_map(|text| text.lines()) {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        for name in field_names(&event) {
            let told = documentation.contains(&format!("`{name}`"))
                || documentation.contains(&format!(".{name}`"));
            assert!(told, "docs/events.md does not tell what `{name}` is");
        }
    }
    assert!(documentation.contains(lines[0].lines().next().unwrap()), "the example is out of date");
    assert!(documentation.contains(include_str!("crossings.txt").lines().next().unwrap()));
}

fn field_names(value: &serde_json::Value) -> Vec<String> {
    let Some(map) = value.as_object() else { return Vec::new() };
    map.iter().flat_map(|(name, value)| [vec![name.clone()], field_names(value)].concat()).collect()
}
