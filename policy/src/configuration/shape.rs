//! Reads the tree of a file into the types of the configuration, and notes every value of the
//! wrong shape rather than the first.

use std::{convert::Infallible, fmt};

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{
    nearest::nearest,
    node::{Entry, Node, Place, Value},
    problem::{Fault, FieldPath, Problem, Step},
};

/// A file with more faults than this is the wrong file.
const MAX_PROBLEMS: usize = 100;

/// Reads `root` as a `T`. Values of the wrong shape are noted, rejected and passed by, so that
/// what is returned lacks them; with any problem noted it is good for finding more, not for use.
pub(crate) fn read<T>(root: &mut Node, problems: &mut Vec<(Place, Problem)>) -> T
where
    T: Default + for<'de> Deserialize<'de>,
{
    while problems.len() < MAX_PROBLEMS && !root.rejected {
        let error = match T::deserialize(Reader { node: root, path: FieldPath::default() }) {
            Ok(read) => return read,
            Err(error) => error,
        };
        let path = error.path.unwrap_or_default();
        // A key that is missing because its value was rejected has been reported already.
        let known = matches!(&error.fault, Fault::MissingKey(key)
            if root.rejected_below(path.steps(), key));
        if !known {
            let place = root.place_of(path.steps());
            problems.push((place, Problem::new(path.clone(), error.fault)));
        }
        root.reject(path.steps());
    }
    if problems.len() >= MAX_PROBLEMS {
        let fault = Fault::TooManyFaults { most: MAX_PROBLEMS };
        problems.push((Place::LAST, Problem::new(FieldPath::default(), fault)));
    }
    T::default()
}

/// A fault on its way up to the value that it is about.
#[derive(Debug)]
pub(crate) struct Error {
    path: Option<FieldPath>,
    fault: Fault,
}

impl Error {
    fn new(fault: Fault) -> Self {
        Self { path: None, fault }
    }

    fn at(self, path: impl FnOnce() -> FieldPath) -> Self {
        Self { path: self.path.or_else(|| Some(path())), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Fault::Unreadable(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit => "no value".to_owned(),
            Unexpected::Bool(value) => format!("the boolean {value}"),
            Unexpected::Unsigned(value) => format!("the number {value}"),
            Unexpected::Signed(value) => format!("the number {value}"),
            Unexpected::Float(value) => format!("the number {value}"),
            Unexpected::Str(text) => format!("the text {text:?}"),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        let expected = match expected.to_string().as_str() {
            "a string" => "a text (in quotes if it looks like a number)".to_owned(),
            "a sequence" => "a list".to_owned(),
            "a map" => "a mapping".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "u32" | "u64" | "u16" => "a whole number".to_owned(),
            other => match other.strip_prefix("struct ") {
                Some(_) => "a mapping".to_owned(),
                None => other.to_owned(),
            },
        };
        Self::new(Fault::WrongType { found, expected })
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::new(Fault::UnknownKey {
            found: field.to_owned(),
            instead: nearest(field, known.iter().copied()).map(str::to_owned),
            known: known.iter().map(|&known| known.to_owned()).collect(),
        })
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        Self::new(Fault::UnknownWord {
            found: variant.to_owned(),
            instead: nearest(variant, known.iter().copied()).map(str::to_owned),
            known: known.iter().map(|&known| known.to_owned()).collect(),
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Fault::MissingKey(field.to_owned()))
    }
}

/// One value, about to be read.
struct Reader<'a> {
    node: &'a Node,
    path: FieldPath,
}

impl<'a> Reader<'a> {
    fn map<'de, V: Visitor<'de>>(
        entries: &'a [Entry],
        path: &FieldPath,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Entries { left: entries.iter(), value: None, path })
    }

    fn list<'de, V: Visitor<'de>>(
        nodes: &'a [Node],
        path: &FieldPath,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements { left: nodes.iter().enumerate(), path })
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let path = self.path;
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(nodes) => Self::list(nodes, &path, visitor),
            Value::Map(entries) => Self::map(entries, &path, visitor),
        }
        .map_err(|error| error.at(|| path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    /// A key with nothing behind it is an empty list, as when every element is commented out.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            Value::Null => Self::list(&[], &self.path, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    /// A key with nothing behind it is an empty mapping.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            Value::Null => Self::map(&[], &self.path, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node.value {
            // A derived struct would take a list for its fields in order.
            Value::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            Value::Null => Self::map(&[], &self.path, visitor),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|error: Error| error.at(|| self.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Value::Text(text) = &self.node.value else {
            return self.deserialize_any(OneOf(variants)).map(|never| match never {});
        };
        let word: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
        word.deserialize_enum("", variants, visitor).map_err(|error| error.at(|| self.path))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct identifier
    }
}

/// Takes nothing, and so says of whatever it meets that one of these words was expected.
struct OneOf(&'static [&'static str]);

impl Visitor<'_> for OneOf {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", self.0.join(", "))
    }
}

/// The mapping's entries that are still to be read.
struct Entries<'a> {
    left: std::slice::Iter<'a, Entry>,
    value: Option<&'a Entry>,
    path: &'a FieldPath,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.left.find(|entry| !entry.node.rejected) else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Error> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.at(|| self.path.key(&entry.key)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let entry = self.value.take().ok_or_else(|| de::Error::custom("value before its key"))?;
        seed.deserialize(Reader { node: &entry.node, path: self.path.key(&entry.key) })
            .map_err(|error| error.at(|| self.path.key(&entry.key)))
    }
}

/// The list's elements that are still to be read.
struct Elements<'a> {
    left: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    path: &'a FieldPath,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.left.find(|(_, node)| !node.rejected) else {
            return Ok(None);
        };
        let path = self.path.and(Step::Index(index));
        seed.deserialize(Reader { node, path: path.clone() })
            .map(Some)
            .map_err(|error| error.at(|| path))
    }
}
