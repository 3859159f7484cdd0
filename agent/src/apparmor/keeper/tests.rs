use std::os::unix::fs::PermissionsExt;

use super::{
    super::{
        kernel::tests::{double, put},
        policy::tests::compiled,
    },
    *,
};

/// What a parser does that knows one answer for each name: the text comes from a file, the last
/// argument, or from standard input.
const PARSER: &str = r#"#!/bin/sh
here=${0%/*}
for last; do :; done
case $last in */own/*) exec < "$last" ;; esac
text=$(cat)
case $text in *wrong*) echo "AppArmor parser error at line 1: wrong" >&2; exit 1 ;; esac
for name in $(echo "$text" | sed -n 's/^profile \([a-z-]*\).*/\1/p'); do cat "$here/$name.bin"; done
"#;

struct Stage {
    directory: tempfile::TempDir,
    keeper: Keeper,
}

impl Stage {
    fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for name in ["bulkhead-trusted", "bulkhead-semi-trusted", "bulkhead-untrusted", "web"] {
            fs::write(path.join(format!("{name}.bin")), compiled(name, 0)).unwrap();
        }
        let parser = path.join("parser");
        fs::write(&parser, PARSER).unwrap();
        fs::set_permissions(&parser, fs::Permissions::from_mode(0o755)).unwrap();
        let own = path.join("own");
        fs::create_dir(&own).unwrap();
        let kernel = double(&path.join("kernel"));
        let compiler = Compiler::find(Some(&parser)).unwrap();
        let mut keeper = Keeper::new(kernel, compiler, Some(own));
        keeper.users = || Ok(Vec::new());
        let stage = Self { directory, keeper };
        for level in ["trusted", "semi-trusted", "untrusted"] {
            stage.loaded(&format!("bulkhead-{level}"), "enforce", "1");
        }
        stage
    }

    /// The kernel has a profile.
    fn loaded(&self, name: &str, mode: &str, sha: &str) {
        let kernel = self.directory.path().join("kernel");
        put(&kernel, &format!("policy/profiles/{name}.1"), name, mode, sha);
    }

    fn written(&self) -> Vec<u8> {
        let path = self.directory.path().join("kernel/.replace");
        let written = fs::read(&path).unwrap();
        fs::write(path, "").unwrap();
        written
    }

    fn own(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join("own").join(name), text).unwrap();
    }

    /// The messages of a look.
    fn look(&mut self) -> Vec<String> {
        self.keeper.look().told.into_iter().map(|told| told.message).collect()
    }
}

#[test]
fn what_somebody_changes_is_told_and_put_back() {
    let mut stage = Stage::set();
    assert_eq!(stage.look().len(), 1);
    assert!(stage.look().is_empty(), "nothing is new");
    assert!(stage.keeper.standing().all(|(_, in_force)| in_force));
    stage.written();
    for (mode, sha, words) in
        [("enforce", "2", "was replaced"), ("complain", "1", "to complain, from enforce")]
    {
        stage.loaded("bulkhead-untrusted", mode, sha);
        let news = stage.keeper.look();
        assert_eq!(news.drifted, ["bulkhead-untrusted"]);
        assert!(news.told[0].message.contains(words), "{:?}", news.told);
        assert_eq!(stage.written(), compiled("bulkhead-untrusted", 0));
        stage.loaded("bulkhead-untrusted", "enforce", "1");
        assert!(stage.look().is_empty());
    }
    let profile = "kernel/policy/profiles/bulkhead-trusted.1";
    fs::remove_dir_all(stage.directory.path().join(profile)).unwrap();
    assert!(stage.look()[0].contains("was removed by somebody"));
    assert!(stage.keeper.standing().any(|it| it == ("bulkhead-trusted", false)));
}

#[test]
fn what_cannot_be_put_back_is_told_once() {
    let mut stage = Stage::set();
    stage.look();
    fs::remove_file(stage.directory.path().join("kernel/.replace")).unwrap();
    stage.loaded("bulkhead-untrusted", "complain", "1");
    let news = stage.keeper.look();
    assert_eq!(news.told[0].severity, Severity::Critical);
    assert!(news.told[0].message.contains("cannot be put back"), "{:?}", news.told);
    assert!(stage.look().is_empty());
}

#[test]
fn a_directory_that_is_away_changes_nothing_and_is_told_once() {
    let mut stage = Stage::set();
    stage.own("web", "profile web { }");
    stage.loaded("web", "enforce", "9");
    stage.look();
    stage.written();
    let own = stage.directory.path().join("own");
    fs::rename(&own, stage.directory.path().join("away")).unwrap();
    assert!(stage.look()[0].starts_with("cannot read"));
    assert!(stage.look().is_empty());
    assert!(stage.keeper.standing().any(|it| it == ("web", true)));
    assert_eq!(stage.written(), b"");
    fs::rename(stage.directory.path().join("away"), own).unwrap();
    assert!(stage.look().is_empty());
}

#[test]
fn an_own_text_takes_a_level_s_place_and_a_wrong_one_changes_nothing() {
    let mut stage = Stage::set();
    stage.look();
    stage.written();
    stage.own("bulkhead-untrusted", "profile bulkhead-untrusted { }");
    assert!(stage.look()[0].contains("bulkhead-untrusted"));
    assert_eq!(stage.written(), compiled("bulkhead-untrusted", 0));
    for (text, words) in [
        ("wrong", "at line 1: wrong; what was in force stays"),
        ("profile web { }", "it holds web; what was in force stays"),
    ] {
        stage.own("bulkhead-untrusted", text);
        let told = stage.look();
        assert!(told[0].contains(words), "{told:?}");
        assert!(stage.look().is_empty(), "told once");
    }
    assert_eq!(stage.written(), b"");
    stage.own("web", "profile web { }");
    stage.own(".hidden", "wrong");
    stage.loaded("web", "enforce", "9");
    assert!(stage.look()[0].contains("web"));
    assert!(stage.keeper.standing().any(|it| it == ("web", true)));
}
