//! Load and unload, with what must be true before.

use super::{
    kernel::{Kernel, KernelError},
    policy::{self, Mode, PolicyError},
    users::{User, UsersError},
};

/// Users that an error names.
const NAMED: usize = 3;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The kernel says no.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The policy is not one that is loaded here.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// It cannot be told who uses it.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The name is taken.
    #[error("a profile {0} is loaded already: give --replace to put this one in its place")]
    Taken(String),
    /// A running container would be held no longer.
    #[error(
        "{name} would refuse nothing any more ({mode}), and it holds {users}. Nothing was changed; \
         give --loosen if that is what you want"
    )]
    Loosens {
        /// The profile.
        name: String,
        /// What it would be.
        mode: &'static str,
        /// Whom it holds.
        users: String,
    },
    /// Nobody loaded it.
    #[error("no profile {0} is loaded; `bulkhead apparmor list` lists those that are")]
    Unknown(String),
    /// It holds somebody.
    #[error(
        "{name} holds {users}: without it they would be unconfined, for good. It stays loaded; end \
         them first"
    )]
    InUse {
        /// The profile.
        name: String,
        /// Whom it holds.
        users: String,
    },
}

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It was not there.
    Loaded,
    /// It means something else now.
    Replaced,
    /// It means what it meant.
    Unchanged,
}

/// A profile that is in force now.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Loaded {
    /// Its name.
    pub(crate) name: String,
    /// How it holds.
    pub(crate) mode: Mode,
    /// The kernel's hash of it, where it makes one.
    pub(crate) sha: Option<String>,
    /// What became of the name.
    pub(crate) outcome: Outcome,
}

/// What a load may do to names that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct May {
    /// Replace them.
    pub(crate) replace: bool,
    /// Make one that refuses into one that does not, under those whom it holds.
    pub(crate) loosen: bool,
}

/// Loads a compiled policy: all of its profiles or, with an error, none. What is compared afterwards
/// is what the kernel says, not what was asked of it.
pub(crate) fn load(
    kernel: &Kernel,
    compiled: &[u8],
    may: May,
    users: impl FnOnce() -> Result<Vec<User>, UsersError>,
) -> Result<Vec<Loaded>, ChangeError> {
    let new = policy::profiles(compiled)?;
    let before = kernel.profiles()?;
    let taken = |name: &str| before.iter().find(|profile| profile.name == name);
    if !may.replace
        && let Some(named) = new.iter().find(|named| taken(&named.name).is_some())
    {
        return Err(ChangeError::Taken(named.name.clone()));
    }
    let loosened = new.iter().filter(|named| {
        let refuses = |mode: Option<Mode>| mode.is_none_or(Mode::refuses);
        !named.mode.refuses() && taken(&named.name).is_some_and(|it| refuses(it.mode))
    });
    let loosened: Vec<_> = loosened.collect();
    if !may.loosen && !loosened.is_empty() {
        let users = users()?;
        for named in loosened {
            if let Some(users) = told(&users, &named.name) {
                let (name, mode) = (named.name.clone(), named.mode.as_str());
                return Err(ChangeError::Loosens { name, mode, users });
            }
        }
    }
    // Another may have taken a name since: the kernel looks again.
    if may.replace {
        kernel.replace(compiled)?
    } else {
        kernel.load(compiled)?
    }
    let after = kernel.profiles()?;
    let loaded = new.into_iter().map(|named| {
        let (was, is) = (taken(&named.name), after.iter().find(|it| it.name == named.name));
        let sha = is.and_then(|it| it.sha.clone());
        let outcome = match was {
            None => Outcome::Loaded,
            Some(was) if sha.is_some() && was.sha == sha => Outcome::Unchanged,
            Some(_) => Outcome::Replaced,
        };
        Loaded {
            mode: is.and_then(|it| it.mode).unwrap_or(named.mode),
            name: named.name,
            sha,
            outcome,
        }
    });
    Ok(loaded.collect())
}

/// Removes a profile that holds nobody and that no container is about to start under.
pub(crate) fn unload(
    kernel: &Kernel,
    name: &str,
    users: impl FnOnce() -> Result<Vec<User>, UsersError>,
) -> Result<(), ChangeError> {
    if kernel.profile(name)?.is_none() {
        return Err(ChangeError::Unknown(name.to_owned()));
    }
    match told(&users()?, name) {
        Some(users) => Err(ChangeError::InUse { name: name.to_owned(), users }),
        None => Ok(kernel.remove(name)?),
    }
}

/// Those whom a profile holds, in words; nothing where it holds nobody.
fn told(users: &[User], name: &str) -> Option<String> {
    let held: Vec<String> =
        users.iter().filter(|user| user.is_held_by(name)).map(ToString::to_string).collect();
    let (first, more) = held.split_at(held.len().min(NAMED));
    match (first.is_empty(), more.len()) {
        (true, _) => None,
        (false, 0) => Some(first.join(", ")),
        (false, more) => Some(format!("{} and {more} more", first.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        super::{
            kernel::tests::{double, put},
            policy::tests::compiled,
        },
        *,
    };

    const ADD: May = May { replace: false, loosen: false };
    const REPLACE: May = May { replace: true, loosen: false };

    fn nobody() -> Result<Vec<User>, UsersError> {
        Ok(Vec::new())
    }

    fn somebody(label: &str) -> Result<Vec<User>, UsersError> {
        let label = label.to_owned();
        Ok(vec![User { label, container: Some("c1".into()), pid: Some(7), comm: "sh".into() }])
    }

    #[test]
    fn a_name_that_is_taken_is_replaced_only_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = double(directory.path());
        put(directory.path(), "policy/profiles/a.1", "a", "enforce", "11");
        let error = load(&kernel, &compiled("a", 0), ADD, nobody).unwrap_err().to_string();
        assert!(error.contains("--replace"), "{error}");
        assert_eq!(fs::read(directory.path().join(".load")).unwrap(), b"");
        load(&kernel, &compiled("a", 0), REPLACE, nobody).unwrap();
        assert_eq!(fs::read(directory.path().join(".replace")).unwrap(), compiled("a", 0));
        load(&kernel, &compiled("b", 0), ADD, nobody).unwrap();
        assert_eq!(fs::read(directory.path().join(".load")).unwrap(), compiled("b", 0));
    }

    #[test]
    fn a_profile_that_holds_somebody_is_not_made_to_refuse_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = double(directory.path());
        put(directory.path(), "policy/profiles/a.1", "a", "enforce", "11");
        for mode in [1, 3] {
            let error = load(&kernel, &compiled("a", mode), REPLACE, || somebody("a//hat"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("--loosen") && error.contains("c1"), "{error}");
        }
        assert_eq!(fs::read(directory.path().join(".replace")).unwrap(), b"");
        load(&kernel, &compiled("a", 1), REPLACE, || somebody("b")).unwrap();
        let loosen = May { loosen: true, ..REPLACE };
        load(&kernel, &compiled("a", 3), loosen, || somebody("a")).unwrap();
        assert_eq!(
            fs::read(directory.path().join(".replace")).unwrap().len(),
            compiled("a", 3).len()
        );
    }

    #[test]
    fn a_profile_that_holds_somebody_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let kernel = double(directory.path());
        put(directory.path(), "policy/profiles/a.1", "a", "enforce", "11");
        let error = unload(&kernel, "a", || somebody("b//&a")).unwrap_err().to_string();
        assert!(error.contains("sh (7) of container c1"), "{error}");
        assert!(matches!(unload(&kernel, "b", nobody), Err(ChangeError::Unknown(_))));
        let blind = || Err(UsersError::NotTheNode);
        assert!(matches!(unload(&kernel, "a", blind), Err(ChangeError::Users(_))));
        assert_eq!(fs::read(directory.path().join(".remove")).unwrap(), b"");
        unload(&kernel, "a", || somebody("b")).unwrap();
        assert_eq!(fs::read(directory.path().join(".remove")).unwrap(), b"a");
    }

    #[test]
    fn of_many_users_a_few_are_named_and_the_rest_counted() {
        let all: Vec<User> = (0..5).flat_map(|_| somebody("a").unwrap()).collect();
        assert!(told(&all, "a").unwrap().ends_with("and 2 more"));
        assert_eq!(told(&all, "b"), None);
    }
}
