//! Reads what a call is about, has it tightened, and writes it back.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    arguments::{Call, Request},
    demands::{DemandError, Demands},
    json::{JsonError, Object},
    levels::{Asked, Levels},
    owner::Owner,
    patch::{self, Lacks},
    refusal::Refusal,
    settings::Settings,
};

/// Where runtimes keep their state when they are not told.
const STATE: [&str; 2] = ["/run/runc", "/run/crun"];

/// A document of a runtime has some tens of kilobytes; with a large seccomp profile some hundred.
const MAX_SIZE: u64 = 32 << 20;

/// Does what the call needs before the runtime sees it. What it returns is to be told.
///
/// # Errors
/// When a tenant's container cannot be confined.
pub fn prepare(request: &Request, settings: &Settings) -> Result<Vec<String>, Refusal> {
    match &request.call {
        Call::Other => Ok(Vec::new()),
        Call::Make(config) => make(config, settings).map(|()| Vec::new()),
        Call::Exec { process, container, root } => {
            exec(process, container, root.as_deref(), settings)
        }
    }
}

fn make(config: &Path, settings: &Settings) -> Result<(), Refusal> {
    // What is not there the runtime misses in its own words.
    let Some(text) = read(config)? else { return Ok(()) };
    let Some(owner) = tenant_of(config, &text, settings)? else { return Ok(()) };
    let asked = asked_of(&owner, settings)?;
    let lacks = Lacks::of_container(&text).map_err(not_understood(config))?;
    let demands = Demands::on_this_node(&asked, lacks)
        .map_err(|source| Refusal::Demand { owner: name_of(&owner), source })?;
    let tightened = patch::container(&text, &demands).map_err(not_understood(config))?;
    tightened.map_or(Ok(()), |text| replace(config, &text))
}

fn exec(
    process: &Path,
    container: &OsStr,
    root: Option<&Path>,
    settings: &Settings,
) -> Result<Vec<String>, Refusal> {
    let Some(text) = read(process)? else { return Ok(Vec::new()) };
    let Some(bundle) = bundle_of(container, root)? else { return Ok(Vec::new()) };
    let config = bundle.join("config.json");
    let of_container = read(&config)?.ok_or_else(|| Refusal::Container {
        container: container.to_string_lossy().into_owned(),
        why: format!("{} is gone", config.display()),
    })?;
    let Some(owner) = tenant_of(&config, &of_container, settings)? else { return Ok(Vec::new()) };
    let mut told = Vec::new();
    let failed = |source| Refusal::Demand { owner: name_of(&owner), source };
    let demands = match asked_of(&owner, settings) {
        Ok(asked) => {
            let lacks = Lacks::of_process(&text).map_err(not_understood(process))?;
            Demands::on_this_node(&asked, lacks).map_err(failed)?
        }
        // It must not get more than the container got when it was made; a probe that fails because
        // of a file on the node would end the container.
        Err(refused) => {
            told.push(format!("{refused}; the process gets what its container was given"));
            own_measure(&of_container).map_err(failed)?
        }
    };
    if let Some(text) = patch::process(&text, &demands).map_err(not_understood(process))? {
        replace(process, &text)?;
    }
    Ok(told)
}

fn own_measure(text: &[u8]) -> Result<Demands, DemandError> {
    Demands::of_container(&Object::parse(text)?)
}

/// The owner, unless it is the platform or the container is a pod's sandbox.
fn tenant_of(config: &Path, text: &[u8], settings: &Settings) -> Result<Option<Owner>, Refusal> {
    let parsed = Object::parse(text).map_err(not_understood(config))?;
    let owner =
        Owner::of(&parsed).map_err(|source| Refusal::Owner { path: config.to_owned(), source })?;
    let exempt = owner.sandbox || settings.is_system(owner.namespace.as_deref());
    Ok(Some(owner).filter(|_| !exempt))
}

fn asked_of(owner: &Owner, settings: &Settings) -> Result<Asked, Refusal> {
    if let Some(fault) = settings.fault.clone() {
        return Err(Refusal::Settings { owner: name_of(owner), fault });
    }
    let levels = Levels::load(&settings.levels)
        .map_err(|source| Refusal::Levels { owner: name_of(owner), source })?;
    let asked = levels.asked_of(owner.namespace.as_deref(), &owner.cgroup).cloned();
    asked.ok_or_else(|| Refusal::Settings {
        owner: name_of(owner),
        fault: format!("{} has no level for it", settings.levels.display()),
    })
}

fn name_of(owner: &Owner) -> String {
    match &owner.namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => "no namespace".to_owned(),
    }
}

/// The bundle of a container, from the runtime's state. `None`: the runtime does not know it
/// either.
fn bundle_of(container: &OsStr, root: Option<&Path>) -> Result<Option<PathBuf>, Refusal> {
    /// runc's `state.json`, and crun's `status`.
    #[derive(Deserialize)]
    struct State {
        config: Option<Config>,
        bundle: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(default)]
        labels: Vec<String>,
    }
    let untold = |why: String| Refusal::Container {
        container: container.to_string_lossy().into_owned(),
        why,
    };
    let roots: Vec<PathBuf> = match root {
        Some(root) => vec![root.to_owned()],
        None => STATE.map(PathBuf::from).into(),
    };
    for root in roots {
        for file in ["state.json", "status"] {
            let path = root.join(container).join(file);
            let Some(text) = read(&path)? else { continue };
            let wrong = |why: &dyn std::fmt::Display| untold(format!("{}: {why}", path.display()));
            let state: State = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
            let labels = state.config.map(|config| config.labels).unwrap_or_default();
            let label = labels.iter().find_map(|label| label.strip_prefix("bundle="));
            let bundle = state.bundle.or_else(|| label.map(PathBuf::from));
            return bundle.map(Some).ok_or_else(|| wrong(&"it names no bundle"));
        }
    }
    Ok(None)
}

fn not_understood(path: &Path) -> impl Fn(JsonError) -> Refusal {
    let path = path.to_owned();
    move |source| Refusal::Document { path: path.clone(), source }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Refusal> {
    use io::Read;
    let failed = |source| Refusal::File { path: path.to_owned(), what: "read", source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(failed(io::Error::other(format!("it is larger than {MAX_SIZE} bytes"))));
    }
    Ok(Some(text))
}

/// Puts a new file in the place of the old one, whole or not at all, with the old one's mode.
fn replace(path: &Path, text: &[u8]) -> Result<(), Refusal> {
    let failed = |source| Refusal::File { path: path.to_owned(), what: "written", source };
    let mut name = OsString::from(".bulkhead-");
    name.push(format!("{}-", std::process::id()));
    name.push(path.file_name().unwrap_or_default());
    let new = path.with_file_name(name);
    let written = write_as(&new, path, text).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| match fs::remove_file(&new) {
        Err(second) if second.kind() != io::ErrorKind::NotFound => {
            failed(io::Error::other(format!("{error}; and {} is left: {second}", new.display())))
        }
        _ => failed(error),
    })
}

fn write_as(new: &Path, like: &Path, text: &[u8]) -> io::Result<()> {
    use io::Write;
    let metadata = fs::metadata(like)?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text)?;
    std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
    file.set_permissions(metadata.permissions())
}
