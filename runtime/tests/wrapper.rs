//! The program as a container runtime calls it, with a shell script in the runtime's place.

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::{Path, PathBuf},
        process::{Command, Output, Stdio},
    };

    use serde_json::{Value, json};

    /// What stands in the runtime's place: tells how it was called, then what it reads.
    const RUNTIME: &str = "#!/bin/sh\necho \"$$ $#\"; for word; do printf '<%s>' \"$word\"; done\n\
        echo; echo \"env $MARK\"; cat\nexit 7\n";

    struct Node {
        directory: tempfile::TempDir,
    }

    impl Node {
        fn new() -> Self {
            let node = Self { directory: tempfile::tempdir().unwrap() };
            fs::create_dir_all(node.path("bin")).unwrap();
            fs::create_dir_all(node.path("bundle")).unwrap();
            fs::write(node.path("bin/runc"), RUNTIME).unwrap();
            fs::set_permissions(node.path("bin/runc"), fs::Permissions::from_mode(0o755)).unwrap();
            symlink(env!("CARGO_BIN_EXE_bulkhead-runtime"), node.path("bulkhead-runc")).unwrap();
            node.write("runtime.json", &json!({"levels": node.path("levels.json")}));
            node.write_levels();
            node
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, name: &str, value: &Value) {
            fs::write(self.path(name), value.to_string()).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o640)).unwrap();
        }

        fn write_levels(&self) {
            let asked = |level: &str, ceiling: Value| {
                json!({"level": level, "capabilities": ceiling, "noNewPrivileges": true,
                    "maskedPaths": ["/proc/kcore"], "readonlyPaths": [], "rlimits": {},
                    "seccomp": null, "apparmor": null})
            };
            let nothing = json!({"level": "trusted", "capabilities": null,
                "noNewPrivileges": false, "maskedPaths": [], "readonlyPaths": [], "rlimits": {},
                "seccomp": null, "apparmor": null});
            let tenant = json!({"name": "shop", "namespaces": ["shop"], "cgroups": [], "asked": 1});
            let asked = [nothing, asked("untrusted", json!(["CAP_KILL"]))];
            let levels = json!({"format": 1, "asked": asked, "tenants": [tenant], "default": 0});
            self.write("levels.json", &levels);
        }

        fn write_config(&self, namespace: &str, kind: &str) {
            self.write(
                "bundle/config.json",
                &json!({
                    "annotations": {
                        "io.kubernetes.cri.sandbox-namespace": namespace,
                        "io.kubernetes.cri.container-type": kind,
                    },
                    "process": {"capabilities": {"bounding": ["CAP_KILL", "CAP_SYS_ADMIN"]}},
                }),
            );
        }

        fn config(&self) -> Value {
            serde_json::from_slice(&fs::read(self.path("bundle/config.json")).unwrap()).unwrap()
        }

        fn call(&self, words: &[&str]) -> Output {
            let mut command = Command::new(self.path("bulkhead-runc"));
            command.args(words).current_dir(self.path("bundle")).stdin(Stdio::null());
            command.env("BULKHEAD_RUNTIME_CONFIG", self.path("runtime.json"));
            command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
            command.env("MARK", "kept").output().unwrap()
        }

        fn log(&self) -> String {
            fs::read_to_string(self.path("log")).unwrap_or_default()
        }

        fn create(&self) -> Output {
            let log = self.path("log").display().to_string();
            self.call(&["--log", &log, "--log-format", "json", "create", "--bundle", ".", "id"])
        }
    }

    fn passed(output: &Output) -> bool {
        output.status.code() == Some(7)
    }

    #[test]
    fn a_call_reaches_the_runtime_with_its_words_environment_and_status() {
        let node = Node::new();
        let output = node.call(&["--root", "/r", "kill", "a b", "--all", ""]);
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(passed(&output), "{output:?}");
        assert!(said.contains("</r><kill><a b><--all><>\nenv kept\n"), "{said}");
    }

    #[test]
    fn the_runtime_is_the_same_process() {
        let node = Node::new();
        let mut command = Command::new(node.path("bulkhead-runc"));
        command.env("PATH", node.path("bin")).arg("state").stdin(Stdio::null());
        let child = command.env("PATH", format!("{}:/bin", node.path("bin").display()));
        let child = child.stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(said.starts_with(&format!("{pid} 1\n")), "{said}");
    }

    #[test]
    fn a_tenant_s_container_is_tightened_and_the_file_keeps_its_mode() {
        let node = Node::new();
        node.write_config("shop", "container");
        assert!(passed(&node.create()));
        let config = node.config();
        assert_eq!(config["process"]["capabilities"]["bounding"], json!(["CAP_KILL"]));
        assert_eq!(config["process"]["noNewPrivileges"], true);
        let mode = fs::metadata(node.path("bundle/config.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(node.path("bundle")).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn an_unclaimed_namespace_a_sandbox_and_the_platform_are_left_as_they_are() {
        let node = Node::new();
        for (namespace, kind) in
            [("nobody", "container"), ("shop", "sandbox"), ("kube-system", "container")]
        {
            node.write_config(namespace, kind);
            let before = node.config();
            assert!(passed(&node.create()), "{namespace} {kind}");
            assert_eq!(node.config(), before, "{namespace} {kind}");
        }
    }

    #[test]
    fn without_its_levels_a_tenant_s_container_is_refused_with_a_reason_and_nothing_else_is() {
        let node = Node::new();
        type Breaks = fn(&Node);
        let broken: [(&str, Breaks); 4] = [
            ("cannot be read", |node| fs::remove_file(node.path("levels.json")).unwrap()),
            ("is broken", |node| fs::write(node.path("levels.json"), "{\"format\":1,").unwrap()),
            ("writable by nobody else", |node| {
                let others = fs::Permissions::from_mode(0o666);
                fs::set_permissions(node.path("levels.json"), others).unwrap();
            }),
            ("runtime.json is broken", |node| fs::write(node.path("runtime.json"), "{").unwrap()),
        ];
        for (reason, break_it) in broken {
            break_it(&node);
            node.write_config("shop", "container");
            let output = node.create();
            assert_eq!(output.status.code(), Some(1), "{reason}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("namespace shop") && said.contains(reason), "{said}");
            let log = node.log();
            let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
            assert_eq!(line["level"], "error");
            assert!(line["msg"].as_str().unwrap().contains(reason), "{line}");
            line["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            for call in [
                &["delete", "--force", "id"][..],
                &["kill", "id", "KILL"],
                &["state", "id"],
                &["features"],
                &["--version"],
                &["start", "id"],
            ] {
                assert!(passed(&node.call(call)), "{call:?}");
            }
            for (namespace, kind) in [("shop", "sandbox"), ("kube-system", "container")] {
                node.write_config(namespace, kind);
                assert!(passed(&node.create()), "{namespace} {kind} with: {reason}");
            }
            node.write_levels();
        }
    }

    #[test]
    fn an_exec_is_held_to_the_level_and_without_levels_to_its_container() {
        for (state, text) in [
            ("state.json", r#"{"config":{"labels":["a","bundle=@"]}}"#),
            ("status", r#"{"bundle":"@"}"#),
        ] {
            let node = Node::new();
            node.write_config("shop", "container");
            fs::create_dir_all(node.path("root/id")).unwrap();
            let text = text.replace('@', &node.path("bundle").display().to_string());
            fs::write(node.path("root/id").join(state), text).unwrap();
            let process = node.path("process.json").display().to_string();
            let root = node.path("root").display().to_string();
            let exec = |caps: Value| {
                node.write("process.json", &json!({"args": ["sh"], "capabilities": caps}));
                assert!(passed(&node.call(&[
                    "--root",
                    &root,
                    "exec",
                    "--process",
                    &process,
                    "id"
                ])));
                let text = fs::read(node.path("process.json")).unwrap();
                serde_json::from_slice::<Value>(&text).unwrap()
            };
            let all = json!({"effective": ["CAP_KILL", "CAP_SYS_ADMIN", "CAP_BPF"]});
            let done = exec(all.clone());
            assert_eq!(done["capabilities"]["effective"], json!(["CAP_KILL"]));
            assert_eq!(done["noNewPrivileges"], true);
            fs::remove_file(node.path("levels.json")).unwrap();
            let done = exec(all);
            assert_eq!(done["capabilities"]["effective"], json!(["CAP_KILL", "CAP_SYS_ADMIN"]));
        }
    }

    #[test]
    fn a_missing_bundle_or_container_is_the_runtime_s_to_tell() {
        let node = Node::new();
        assert!(passed(&node.call(&["create", "--bundle", "/no/such/bundle", "id"])));
        node.write("process.json", &json!({}));
        let process = node.path("process.json").display().to_string();
        assert!(passed(&node.call(&["--root", "/no", "exec", "--process", &process, "id"])));
    }

    #[test]
    fn without_a_runtime_behind_it_the_call_fails_and_says_so() {
        let node = Node::new();
        let named = node.path("bulkhead-nosuchruntime");
        symlink(env!("CARGO_BIN_EXE_bulkhead-runtime"), &named).unwrap();
        let output = Command::new(Path::new(&named)).arg("state").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("no `nosuchruntime`"));
    }
}
