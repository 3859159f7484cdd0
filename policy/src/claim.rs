//! How a tenant says which containers are its own.

use std::fmt;

/// A namespace, or all namespaces that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceClaim {
    text: String,
    open_ended: bool,
}

impl NamespaceClaim {
    /// Reads `name` or `beginning*`; `None` where no namespace could match.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (text, open_ended) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let whole = open_ended || (!text.is_empty() && !text.ends_with('-'));
        let valid = whole && text.len() <= 63 && !text.starts_with('-') && text.bytes().all(fits);
        valid.then(|| Self { text: text.to_owned(), open_ended })
    }

    /// How closely the claim fits `namespace`, the greater the closer; `None` where it does not.
    pub(crate) fn fit(&self, namespace: &str) -> Option<usize> {
        if self.open_ended {
            namespace.starts_with(&self.text).then_some(self.text.len())
        } else {
            (namespace == self.text).then_some(usize::MAX)
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for NamespaceClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str(if self.open_ended { "*" } else { "" })
    }
}

/// A name, or all names that begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern {
    text: String,
    open_ended: bool,
}

impl NamePattern {
    /// Reads `name` or `beginning*`; `None` where no pod could match, or any.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (text, open_ended) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        };
        let valid = (1..=253).contains(&text.len()) && text.bytes().all(fits);
        valid.then(|| Self { text: text.to_owned(), open_ended })
    }

    /// Whether `name` is one of them.
    pub(crate) fn fits(&self, name: &str) -> bool {
        if self.open_ended { name.starts_with(&self.text) } else { name == self.text }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.text, if self.open_ended { "*" } else { "" })
    }
}

/// A cgroup that is a container, or one whose children are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupClaim {
    path: String,
    children: bool,
}

impl CgroupClaim {
    /// Reads `/a/b` or `/a/b/*`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (path, children) = match text.strip_suffix("/*") {
            Some(parent) => (parent, true),
            None => (text, false),
        };
        let Some(relative) = path.strip_prefix('/') else {
            return Err(if text == "/*" {
                "it holds every process of the node"
            } else {
                "it does not begin with `/`"
            });
        };
        if relative.is_empty() {
            return Err("it holds every process of the node");
        }
        for component in relative.split('/') {
            match component {
                "" => return Err("it has an empty component"),
                "." | ".." => return Err("it has a `.` or `..` component"),
                _ if component.len() > 255 => return Err("a component is longer than 255 bytes"),
                _ if component.contains('*') => return Err("`*` may only be its last component"),
                _ if component.chars().any(char::is_control) => {
                    return Err("it has a control character");
                }
                _ => {}
            }
        }
        Ok(Self { path: path.to_owned(), children })
    }

    /// The cgroup that the claim names.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether its children are the containers, rather than it.
    pub fn children(&self) -> bool {
        self.children
    }

    /// The container's own cgroup, as a beginning of `cgroup_path`, which is in it; `None` where
    /// the path lies outside the claim.
    pub(crate) fn container_in<'a>(&self, cgroup_path: &'a str) -> Option<&'a str> {
        let below = cgroup_path.strip_prefix(self.path.as_str())?;
        if !self.children {
            return (below.is_empty() || below.starts_with('/'))
                .then(|| cgroup_path.get(..self.path.len()))
                .flatten();
        }
        let below = below.strip_prefix('/')?;
        let name = below.split('/').next().filter(|name| !name.is_empty())?;
        cgroup_path.get(..self.path.len() + 1 + name.len())
    }
}

/// As it is written in the configuration.
impl fmt::Display for CgroupClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        f.write_str(if self.children { "/*" } else { "" })
    }
}
