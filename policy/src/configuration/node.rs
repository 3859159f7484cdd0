//! A YAML document as a tree in which every value knows its line and column.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use super::problem::{Fault, FieldPath, Problem, Step};

/// A line and column, counted from 1; 0 where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl Place {
    /// After everything else, and not shown.
    pub(crate) const LAST: Self = Self { line: u64::MAX, column: 0 };

    /// Whether it is a place in the file.
    pub(crate) fn is_known(self) -> bool {
        !matches!(self.line, 0 | u64::MAX)
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A problem and where it is.
pub(crate) type Located = (Place, Problem);

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    /// Something is wrong with it and has been noted; readers pass it by.
    pub(crate) rejected: bool,
}

#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

/// Nesting that a configuration never needs, far below what the stack bears.
const MAX_DEPTH: usize = 32;

impl Node {
    /// Reads `text`, and notes keys that are given twice.
    pub(crate) fn parse(text: &str) -> Result<(Self, Vec<Located>), Located> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
            },
            // Noted below, all of them rather than the first.
            duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
            // Else `off` is read as false.
            strict_booleans: true,
            with_snippet: false,
        };
        let read: Option<Spanned<Value>> = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| {
                let place = error.location().map(Place::from).unwrap_or_default();
                let message = UserMessageFormatter.format_message(error.without_snippet());
                let fault = Fault::Syntax(printable(&message));
                (place, Problem::new(FieldPath::default(), fault))
            })?;
        let mut root = read.map_or_else(Self::empty, Self::from);
        let mut twice = Vec::new();
        root.reject_duplicates(&FieldPath::default(), &mut twice);
        Ok((root, twice))
    }

    /// An empty document, which says nothing and so leaves every default.
    fn empty() -> Self {
        Self { place: Place::default(), value: Value::Null, rejected: false }
    }

    fn reject_duplicates(&mut self, path: &FieldPath, found: &mut Vec<Located>) {
        match &mut self.value {
            Value::Map(entries) => {
                let mut seen: HashMap<String, ()> = HashMap::new();
                for entry in entries {
                    let path = path.key(entry.key.clone());
                    if seen.insert(entry.key.clone(), ()).is_some() {
                        entry.node.rejected = true;
                        found.push((entry.key_place, Problem::new(path, Fault::DuplicateKey)));
                    } else {
                        entry.node.reject_duplicates(&path, found);
                    }
                }
            }
            Value::List(nodes) => {
                for (index, node) in nodes.iter_mut().enumerate() {
                    node.reject_duplicates(&path.index(index), found);
                }
            }
            _ => {}
        }
    }

    /// Marks the value at `path`, so that readers pass it by.
    pub(crate) fn reject(&mut self, path: &[Step]) {
        let Some((step, rest)) = path.split_first() else {
            self.rejected = true;
            return;
        };
        let child = match (&mut self.value, step) {
            (Value::Map(entries), Step::Key(key)) => entries
                .iter_mut()
                .find(|entry| entry.key == *key && !entry.node.rejected)
                .map(|entry| &mut entry.node),
            (Value::List(nodes), Step::Index(index)) => nodes.get_mut(*index),
            _ => None,
        };
        match child {
            Some(child) => child.reject(rest),
            // A missing value has nothing of its own to mark: its holder is what is wrong.
            None => self.rejected = true,
        }
    }

    /// Whether the mapping at `path` holds a rejected value under `key`.
    pub(crate) fn rejected_below(&self, path: &[Step], key: &str) -> bool {
        match path.split_first() {
            None => self.entries().any(|entry| entry.key == key && entry.node.rejected),
            Some((step, rest)) => {
                self.child(step).is_some_and(|child| child.rejected_below(rest, key))
            }
        }
    }

    /// The place of the value at `path`, or of the nearest one around it: for a key, where the
    /// key stands.
    pub(crate) fn place_of(&self, path: &[Step]) -> Place {
        let Some((step, rest)) = path.split_first() else { return self.place };
        let Some(child) = self.child(step) else { return self.place };
        let key_place = match step {
            Step::Key(key) if rest.is_empty() => {
                self.entries().find(|entry| entry.key == *key).map(|entry| entry.key_place)
            }
            _ => None,
        };
        key_place.unwrap_or_else(|| child.place_of(rest))
    }

    /// `path` counted among the values that readers saw, as a path in the file, where rejected
    /// list elements count too.
    pub(crate) fn path_in_file(&self, path: &FieldPath) -> FieldPath {
        let mut node = Some(self);
        let mut in_file = FieldPath::default();
        for step in path.steps() {
            let step = match (node.map(|node| &node.value), step) {
                (Some(Value::List(nodes)), Step::Index(index)) => {
                    let mut seen = nodes.iter().enumerate().filter(|(_, node)| !node.rejected);
                    Step::Index(seen.nth(*index).map_or(*index, |(at, _)| at))
                }
                _ => step.clone(),
            };
            node = node.and_then(|node| node.child(&step));
            in_file = in_file.and(step);
        }
        in_file
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        match &self.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        }
        .iter()
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.value, step) {
            (Value::Map(entries), Step::Key(key)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
            }
            (Value::List(nodes), Step::Index(index)) => nodes.get(*index),
            _ => None,
        }
    }
}

/// `text` without characters that could move the reader's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { place: spanned.referenced.into(), value: spanned.value, rejected: false }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element::<Spanned<Value>>()? {
            nodes.push(node.into());
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let node = access.next_value::<Spanned<Value>>()?.into();
            entries.push(Entry { key: key.value, key_place: key.referenced.into(), node });
        }
        Ok(Value::Map(entries))
    }
}
