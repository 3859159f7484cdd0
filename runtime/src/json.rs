//! JSON objects of which a few members are read and changed. The others are written back as they
//! came, byte for byte: unknown keys, their order, numbers of any precision.
//!
//! The runtimes do not agree on what an object means that has a key twice, and Go takes `Process`
//! for `process`. Whoever reads first must not see something else than who reads last, so an object
//! that could be read in two ways is refused.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::value::RawValue;

/// Why a part of a document cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not what it should be.
    #[error("`{path}` cannot be read: {source}")]
    Read {
        /// The place in the document.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Two keys that a runtime may take for one.
    #[error("`{path}` has the key `{key}`, which can be read in two ways")]
    Ambiguous {
        /// The place in the document.
        path: String,
        /// The key.
        key: String,
    },
    /// It is not there.
    #[error("`{path}` is missing")]
    Missing {
        /// The place in the document.
        path: String,
    },
    /// It could not be written.
    #[error("cannot write JSON: {0}")]
    Write(#[source] serde_json::Error),
}

/// An object in the order of its keys.
#[derive(Debug)]
pub struct Object<'a> {
    path: String,
    members: Vec<(Cow<'a, str>, Cow<'a, RawValue>)>,
    changed: bool,
}

impl<'a> Object<'a> {
    /// Reads a whole document.
    ///
    /// # Errors
    /// When it is no object.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let members: Members<'a> = serde_json::from_slice(text)
            .map_err(|source| JsonError::Read { path: ".".to_owned(), source })?;
        Ok(Self { path: String::new(), members: members.0, changed: false })
    }

    /// An object without members, to be put at `path`.
    pub fn empty(path: &str) -> Self {
        Self { path: path.to_owned(), members: Vec::new(), changed: false }
    }

    /// Whether a member was set.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Its place in the document with `key` behind it.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The member called `key`; `null` counts as none.
    ///
    /// # Errors
    /// When another key could be taken for it.
    pub fn get(&self, key: &str) -> Result<Option<&RawValue>, JsonError> {
        let folded = fold(key);
        let mut fitting = self.members.iter().filter(|(name, _)| fold(name) == folded);
        let found = match fitting.next() {
            None => return Ok(None),
            Some((name, value)) if name == key && fitting.next().is_none() => value,
            Some(_) => {
                return Err(JsonError::Ambiguous { path: self.path_of(key), key: key.to_owned() });
            }
        };
        Ok(Some(found.as_ref()).filter(|value| value.get() != "null"))
    }

    /// The text of the member called exactly so: for maps whose keys are no fields.
    ///
    /// # Errors
    /// When it is no text.
    pub fn entry(&self, key: &str) -> Result<Option<String>, JsonError> {
        let Some((_, raw)) = self.members.iter().find(|(name, _)| name == key) else {
            return Ok(None);
        };
        let wrong = |source| JsonError::Read { path: self.path_of(key), source };
        serde_json::from_str(raw.get()).map(Some).map_err(wrong)
    }

    /// The member called `key` as a value of Rust.
    ///
    /// # Errors
    /// When it is there and something else.
    pub fn read<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<Option<T>, JsonError> {
        let Some(raw) = self.get(key)? else { return Ok(None) };
        let wrong = |source| JsonError::Read { path: self.path_of(key), source };
        serde_json::from_str(raw.get()).map(Some).map_err(wrong)
    }

    /// The member called `key` as an object of its own.
    ///
    /// # Errors
    /// When it is there and no object.
    pub fn object<'b>(&'b self, key: &str) -> Result<Option<Object<'b>>, JsonError> {
        let Some(raw) = self.get(key)? else { return Ok(None) };
        let path = self.path_of(key);
        let members: Members<'b> = serde_json::from_str(raw.get())
            .map_err(|source| JsonError::Read { path: path.clone(), source })?;
        Ok(Some(Object { path, members: members.0, changed: false }))
    }

    /// The member called `key` as a list of objects; none where it is not there.
    ///
    /// # Errors
    /// When it is there and something else.
    pub fn objects<'b>(&'b self, key: &str) -> Result<Vec<Object<'b>>, JsonError> {
        let Some(raw) = self.get(key)? else { return Ok(Vec::new()) };
        let path = self.path_of(key);
        let all: Vec<Members<'b>> = serde_json::from_str(raw.get())
            .map_err(|source| JsonError::Read { path: path.clone(), source })?;
        let object = |(at, members): (usize, Members<'b>)| Object {
            path: format!("{path}[{at}]"),
            members: members.0,
            changed: false,
        };
        Ok(all.into_iter().enumerate().map(object).collect())
    }

    /// The member called `key`, which must be there.
    ///
    /// # Errors
    /// When it is missing or something else.
    pub fn needed<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<T, JsonError> {
        self.read(key)?.ok_or_else(|| JsonError::Missing { path: self.path_of(key) })
    }

    /// Sets a member, in its place or at the end.
    ///
    /// # Errors
    /// When the value cannot be JSON.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), JsonError> {
        let raw = serde_json::value::to_raw_value(value).map_err(JsonError::Write)?;
        let place = self.members.iter_mut().find(|(name, _)| name == key);
        match place {
            Some((_, old)) => *old = Cow::Owned(raw),
            None => self.members.push((Cow::Owned(key.to_owned()), Cow::Owned(raw))),
        }
        self.changed = true;
        Ok(())
    }

    /// The text of the whole.
    ///
    /// # Errors
    /// When it cannot be JSON.
    pub fn to_text(&self) -> Result<Vec<u8>, JsonError> {
        serde_json::to_vec(self).map_err(JsonError::Write)
    }
}

/// Go's `encoding/json` compares keys by Unicode's simple folding: two letters beside the ASCII
/// ones fold to ASCII.
fn fold(key: &str) -> String {
    let plain = |letter| match letter {
        '\u{017F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(plain).collect()
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (key, value) in &self.members {
            map.serialize_entry(key, value.as_ref())?;
        }
        map.end()
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, Cow<'de, RawValue>)> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value: &'de RawValue = map.next_value()?;
                    members.push((Cow::Owned(key), Cow::Borrowed(value)));
                }
                if let Some(twice) = first_twice(&members) {
                    return Err(de::Error::custom(format_args!(
                        "the key `{twice}` is there twice"
                    )));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn first_twice<'m>(members: &'m [(Cow<'_, str>, Cow<'_, RawValue>)]) -> Option<&'m str> {
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_ref()).collect();
    keys.sort_unstable();
    keys.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_stays_byte_for_byte() {
        let text = r#"{"z":1.00000000000000000000001,"a":{ "b" : [1e400,-0] },"m":null}"#;
        let mut object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(object.to_text().unwrap(), text.as_bytes());
        object.set("n", &true).unwrap();
        let expected = text.replace("null}", "null,\"n\":true}");
        assert_eq!(String::from_utf8(object.to_text().unwrap()).unwrap(), expected);
        object.set("a", "x").unwrap();
        let expected = expected.replace(r#"{ "b" : [1e400,-0] }"#, r#""x""#);
        assert_eq!(String::from_utf8(object.to_text().unwrap()).unwrap(), expected);
    }

    #[test]
    fn an_object_that_reads_in_two_ways_is_refused() {
        assert!(Object::parse(br#"{"a":1,"a":2}"#).is_err());
        assert!(Object::parse(br#"{"a":1,"\u0061":2}"#).is_err());
        for text in [r#"{"Process":1}"#, r#"{"process":1,"PROCESS":2}"#, r#"{"proceſs":1}"#] {
            let object = Object::parse(text.as_bytes()).unwrap();
            assert!(matches!(object.get("process"), Err(JsonError::Ambiguous { .. })), "{text}");
        }
    }

    #[test]
    fn null_is_no_member_and_a_wrong_kind_names_its_place() {
        let object = Object::parse(br#"{"a":null,"b":{"c":3}}"#).unwrap();
        assert!(object.get("a").unwrap().is_none());
        let inner = object.object("b").unwrap().unwrap();
        let error = inner.read::<String>("c").unwrap_err().to_string();
        assert!(error.starts_with("`b.c` cannot be read"), "{error}");
        assert!(Object::parse(b"[]").is_err());
        assert!(Object::parse(b"{\"a\":1} x").is_err());
    }
}
