//! What the wrapper adds to the making of a container: the bare runtime and the wrapped one in
//! turns, in one run. Prints the medians, the difference and the ratio; asserts nothing.
//!
//! ```text
//! cargo bench -p bulkhead-runtime                    against a runtime that does nothing
//! BULKHEAD_BENCH_RUNTIME=runc cargo bench ...        against runc (root, cgroup v2)
//! BULKHEAD_BENCH_ROOTFS=DIR                          with this root file system in the bundle
//! ```

#![expect(clippy::indexing_slicing, reason = "serde_json makes what an index of a value lacks")]

use std::{
    env,
    error::Error,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const ROUNDS: usize = 41;
struct Stage {
    directory: tempfile::TempDir,
    bare: PathBuf,
    wrapped: PathBuf,
    /// The configuration as the container runtime writes it.
    config: String,
}

impl Stage {
    fn set(runtime: Option<&str>) -> Result<Self, Box<dyn Error>> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("bundle"))?;
        let rootfs = env::var_os("BULKHEAD_BENCH_ROOTFS");
        match rootfs {
            Some(rootfs) => symlink(rootfs, path("bundle/rootfs"))?,
            None => fs::create_dir(path("bundle/rootfs"))?,
        }
        let bare = match runtime {
            Some(name) => search(name).ok_or_else(|| format!("no {name} on the PATH"))?,
            None => search("true").ok_or("no true on the PATH")?,
        };
        let config = config(&bare, runtime.is_some(), &path("bundle"))?;
        let wrapped = path("bulkhead-runc");
        let built = env::var_os("BULKHEAD_BENCH_WRAPPER").map(PathBuf::from);
        symlink(built.unwrap_or_else(|| env!("CARGO_BIN_EXE_bulkhead-runtime").into()), &wrapped)?;
        let settings = json!({"levels": path("levels.json"), "runtimes": {"runc": bare}});
        fs::write(path("runtime.json"), settings.to_string())?;
        fs::write(path("levels.json"), levels().to_string())?;
        fs::set_permissions(path("levels.json"), fs::Permissions::from_mode(0o644))?;
        Ok(Self { directory, bare, wrapped, config })
    }

    /// The time of one `create`.
    fn create(&self, program: &Path) -> Result<Duration, Box<dyn Error>> {
        let bundle = self.directory.path().join("bundle");
        fs::write(bundle.join("config.json"), &self.config)?;
        let call = |words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).current_dir(&bundle).stdin(Stdio::null()).stdout(Stdio::null());
            command.env("BULKHEAD_RUNTIME_CONFIG", self.directory.path().join("runtime.json"));
            command.status()
        };
        let begun = Instant::now();
        let done = call(&["create", "--bundle", ".", "bulkhead-bench"])?;
        let took = begun.elapsed();
        call(&["delete", "--force", "bulkhead-bench"])?;
        if !done.success() {
            return Err(format!("{} create: {done}", program.display()).into());
        }
        Ok(took)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = env::var("BULKHEAD_BENCH_RUNTIME").ok();
    let stage = Stage::set(runtime.as_deref())?;
    let (mut bare, mut wrapped) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(stage.create(&stage.bare)?);
        wrapped.push(stage.create(&stage.wrapped)?);
    }
    let (bare, wrapped) = (median(bare), median(wrapped));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "create with {} ({ROUNDS} times each, median): bare {:.2} ms, wrapped {:.2} ms: \
         {:+.2} ms, x{:.3}",
        stage.bare.display(),
        milliseconds(bare),
        milliseconds(wrapped),
        milliseconds(wrapped) - milliseconds(bare),
        wrapped.as_secs_f64() / bare.as_secs_f64(),
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn search(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// The runtime's own example, or containerd's configuration, as a tenant's.
fn config(bare: &Path, real: bool, bundle: &Path) -> Result<String, Box<dyn Error>> {
    if !real {
        return Ok(include_str!("../../tests/fuzz/seeds/runtime_config/containerd.json").to_owned());
    }
    let done = Command::new(bare).arg("spec").current_dir(bundle).status()?;
    if !done.success() {
        return Err(format!("{} spec: {done}", bare.display()).into());
    }
    let mut value: Value = serde_json::from_slice(&fs::read(bundle.join("config.json"))?)?;
    value["process"]["terminal"] = json!(false);
    value["process"]["noNewPrivileges"] = json!(false);
    value["annotations"] = json!({"io.kubernetes.cri.sandbox-namespace": "shop"});
    Ok(value.to_string())
}

fn levels() -> Value {
    let names = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"];
    let names: Vec<String> = names.iter().map(|name| format!("CAP_{name}")).collect();
    let asked = json!({"level": "untrusted", "capabilities": names, "noNewPrivileges": true,
        "maskedPaths": ["/proc/kcore", "/proc/keys"], "readonlyPaths": ["/proc/sys"],
        "rlimits": {"RLIMIT_CORE": 0}, "seccomp": null, "apparmor": null});
    let tenants: Vec<Value> = (0..100)
        .map(|at| {
            json!({"name": format!("t{at}"), "namespaces": [format!("t{at}-*")],
            "cgroups": [], "asked": 0})
        })
        .chain([json!({"name": "shop", "namespaces": ["shop"], "cgroups": [], "asked": 0})])
        .collect();
    json!({"format": 1, "asked": [asked], "tenants": tenants, "default": 0})
}
