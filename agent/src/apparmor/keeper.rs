//! The levels' profiles, and the operator's own, while the agent runs.
//!
//! What a name means comes from a text: the level's own, or a file called by the name in the
//! operator's directory. A text that changes is compiled and takes the old one's place at once, under
//! the containers that it holds. A text that is wrong changes nothing. What somebody else puts in the
//! place of ours is told, and ours is put back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use bulkhead_policy::catalogue::Severity;

use super::{
    change::{self, ChangeError, Loaded, May, Outcome},
    compiler::{CompileError, Compiler, Source},
    kernel::{Kernel, KernelError},
    levels,
    policy::{self, Mode, PolicyError},
    users::{User, UsersError},
};

/// A profile has some kilobytes.
const MAX_TEXT: u64 = 1 << 20;

/// Replaces, and never makes one that holds somebody refuse nothing.
const MAY: May = May { replace: true, loosen: false };

/// Something to be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What.
    pub(crate) message: String,
}

/// What a look brought.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// To be told.
    pub(crate) told: Vec<Told>,
    /// Names whose content somebody else had changed.
    pub(crate) drifted: Vec<String>,
}

/// Why a text is not in force.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("the file must hold one profile, called {wanted} as the file is; it holds {found}")]
    Name { wanted: String, found: String },
}

/// Where a name's text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    text: String,
    file: Option<PathBuf>,
}

/// A profile of ours in the kernel.
#[derive(Debug)]
struct Kept {
    compiled: Vec<u8>,
    mode: Mode,
    sha: Option<String>,
    in_force: bool,
}

/// Keeps the profiles in the kernel.
pub(crate) struct Keeper {
    kernel: Kernel,
    compiler: Compiler,
    directory: Option<PathBuf>,
    users: fn() -> Result<Vec<User>, UsersError>,
    /// The texts as of the last look, in force or not.
    texts: BTreeMap<String, Text>,
    kept: BTreeMap<String, Kept>,
    /// What was told, so that it is told once.
    troubles: BTreeSet<String>,
}

impl Keeper {
    /// Nothing is loaded yet: the first look does that.
    pub(crate) fn new(kernel: Kernel, compiler: Compiler, directory: Option<PathBuf>) -> Self {
        Self {
            kernel,
            compiler,
            directory,
            users: super::users,
            texts: BTreeMap::new(),
            kept: BTreeMap::new(),
            troubles: BTreeSet::new(),
        }
    }

    /// Names, and whether the kernel holds them as they should be.
    pub(crate) fn standing(&self) -> impl Iterator<Item = (&str, bool)> {
        self.texts
            .keys()
            .map(|name| (name.as_str(), self.kept.get(name).is_some_and(|kept| kept.in_force)))
    }

    /// Loads what is new, and puts back what is not as it should be.
    pub(crate) fn look(&mut self) -> News {
        let mut news = News::default();
        let before = std::mem::take(&mut self.troubles);
        let texts = self.wanted(&mut news);
        let mut loaded = Vec::new();
        for (name, text) in &texts {
            if self.texts.get(name) == Some(text) {
                self.hold(name, &mut news);
                continue;
            }
            match self.put(name, text) {
                Ok(done) => loaded.push(done),
                Err(error) => {
                    let stays = match self.kept.contains_key(name) {
                        true => "; what was in force stays in force",
                        false => "",
                    };
                    let message =
                        format!("the AppArmor profile {name} is not loaded: {error}{stays}");
                    news.told.push(Told { severity: Severity::High, message });
                }
            }
        }
        self.texts = texts;
        self.kept.retain(|name, _| self.texts.contains_key(name));
        news.told.extend(summary(&loaded));
        // What was told at the last look and goes on is not told again.
        self.troubles = news.told.iter().map(|told| told.message.clone()).collect();
        news.told.retain(|told| !before.contains(&told.message));
        news
    }

    /// Compiles and loads.
    fn put(&mut self, name: &str, text: &Text) -> Result<Loaded, KeepError> {
        let source = match &text.file {
            Some(path) => Source::File(path),
            None => Source::Own(&text.text),
        };
        let compiled = self.compiler.compile(source)?;
        let named = policy::profiles(&compiled)?;
        let below = format!("{name}//");
        if !named.iter().any(|it| it.name == name)
            || named.iter().any(|it| it.name != name && !it.name.starts_with(&below))
        {
            let found: Vec<_> = named.into_iter().map(|it| it.name).collect();
            return Err(KeepError::Name { wanted: name.to_owned(), found: found.join(", ") });
        }
        let loaded = change::load(&self.kernel, &compiled, MAY, self.users)?;
        let own = loaded.into_iter().find(|it| it.name == name);
        let own = own.ok_or(PolicyError::Empty)?;
        let (mode, sha) = (own.mode, own.sha.clone());
        let kept = Kept { compiled, mode, sha, in_force: true };
        drop(self.kept.insert(name.to_owned(), kept));
        Ok(own)
    }

    /// Sees to it that the kernel still holds what was loaded.
    fn hold(&mut self, name: &str, news: &mut News) {
        let Some(kept) = self.kept.get_mut(name) else { return };
        let changed = match self.kernel.profile(name) {
            Ok(found) => changed(kept, found.as_ref()),
            Err(error) => {
                let message = format!("the AppArmor profile {name} cannot be verified: {error}");
                return news.told.push(Told { severity: Severity::High, message });
            }
        };
        kept.in_force = changed.is_none();
        let Some(changed) = changed else { return };
        news.drifted.push(name.to_owned());
        let back = self.kernel.replace(&kept.compiled).and_then(|()| self.kernel.profile(name));
        let (severity, what) = match back {
            // Loaded again it has the hash that it had: if not, that is found at the next look.
            Ok(found) => {
                kept.in_force = self::changed(kept, found.as_ref()).is_none();
                (Severity::High, "it was put back".to_owned())
            }
            Err(error) => (Severity::Critical, format!("it cannot be put back: {error}")),
        };
        let message = format!("the AppArmor profile {name} {changed}; {what}");
        news.told.push(Told { severity, message });
    }

    /// What each name should mean. Where the directory cannot be read, what it meant before.
    fn wanted(&self, news: &mut News) -> BTreeMap<String, Text> {
        let mut texts: BTreeMap<String, Text> = levels::all()
            .map(|(level, text)| (levels::name(level), Text { text: text.to_owned(), file: None }))
            .collect();
        match self.directory.as_deref().map(|directory| (directory, files(directory))) {
            None => {}
            Some((_, Ok(own))) => texts.extend(own),
            Some((directory, Err(error))) => {
                texts.extend(self.texts.clone());
                let message = format!("cannot read {}: {error}", directory.display());
                news.told.push(Told { severity: Severity::High, message });
            }
        }
        texts
    }
}

/// How a profile in the kernel is not what it should be.
fn changed(kept: &Kept, found: Option<&super::Profile>) -> Option<String> {
    let Some(found) = found else {
        return Some(
            "was removed by somebody: whom it held is unconfined until it is started again".into(),
        );
    };
    if found.mode != Some(kept.mode) {
        let mode = found.mode.map_or("in a mode that is not known here", Mode::as_str);
        return Some(format!("was changed by somebody to {mode}, from {}", kept.mode.as_str()));
    }
    (found.sha != kept.sha).then(|| "was replaced by somebody".to_owned())
}

/// The files of a directory by name; what begins with a dot is an editor's or a ConfigMap's own.
fn files(directory: &Path) -> io::Result<BTreeMap<String, Text>> {
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
        if name.starts_with('.') || name.ends_with('~') || !path.is_file() {
            continue;
        }
        let mut text = String::new();
        fs::File::open(&path)?.take(MAX_TEXT).read_to_string(&mut text)?;
        texts.insert(name.to_owned(), Text { text, file: Some(path.clone()) });
    }
    Ok(texts)
}

fn summary(loaded: &[Loaded]) -> Option<Told> {
    let parts: Vec<String> = [
        (Outcome::Loaded, "loaded"),
        (Outcome::Replaced, "replaced"),
        (Outcome::Unchanged, "in force already"),
    ]
    .into_iter()
    .filter_map(|(outcome, word)| {
        let names = loaded.iter().filter(|it| it.outcome == outcome);
        let names: Vec<&str> = names.map(|it| it.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{} {word}", names.join(", ")))
    })
    .collect();
    let message = format!("AppArmor profiles: {}", parts.join("; "));
    (!parts.is_empty()).then_some(Told { severity: Severity::Low, message })
}

/// Why there is no keeper, for whoever starts one.
pub(crate) fn open(
    parser: Option<&Path>,
    directory: Option<PathBuf>,
) -> Result<Keeper, (Severity, String)> {
    let kernel = Kernel::open().map_err(|error| {
        let severity = match error {
            // The ladder and the containers' own drift tell it where a level asks for it.
            KernelError::Inactive => Severity::Low,
            _ => Severity::High,
        };
        (severity, error.to_string())
    })?;
    let compiler = Compiler::find(parser).map_err(|error| (Severity::Medium, error.to_string()))?;
    Ok(Keeper::new(kernel, compiler, directory))
}

#[cfg(test)]
mod tests;
