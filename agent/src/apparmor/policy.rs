//! What a compiled policy says of itself: the profiles in it, and how each holds.
//!
//! The parser's output is a row of tagged values, and this walks over it as the kernel does. Names
//! and modes are known so before anything is loaded: a policy that would replace somebody else's
//! profile, or stop refusing for a running container, is refused here.

use bulkhead_policy::verify::Confinement;

/// How deep values lie in each other; the parser makes four.
const MAX_DEPTH: usize = 16;

/// Set in the version where the parser was told to let everything complain.
const FORCE_COMPLAIN: u32 = 0x800;

/// How a profile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// What is not allowed is refused.
    Enforce,
    /// What is not allowed is logged.
    Complain,
    /// Who does what is not allowed is killed.
    Kill,
    /// Nothing is held.
    Unconfined,
    /// Somebody is asked, and meanwhile it is refused.
    Prompt,
}

impl Mode {
    /// As the kernel writes it.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Enforce, Self::Complain, Self::Kill, Self::Unconfined, Self::Prompt]
            .into_iter()
            .find(|mode| mode.as_str() == word)
            .or((word == "user").then_some(Self::Prompt))
    }

    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Complain => "complain",
            Self::Kill => "kill",
            Self::Unconfined => "unconfined",
            Self::Prompt => "prompt",
        }
    }

    /// Whether anything is refused.
    pub(crate) fn refuses(self) -> bool {
        self.confinement() == Confinement::Enforce
    }

    fn confinement(self) -> Confinement {
        match self {
            Self::Enforce | Self::Kill | Self::Prompt => Confinement::Enforce,
            Self::Complain => Confinement::Complain,
            Self::Unconfined => Confinement::Unconfined,
        }
    }

    fn of(number: u32) -> Option<Self> {
        [Self::Enforce, Self::Complain, Self::Kill, Self::Unconfined, Self::Prompt]
            .get(usize::try_from(number).ok()?)
            .copied()
    }
}

/// A profile of a compiled policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name; a child's has its parent's and `//` in front.
    pub(crate) name: String,
    /// How it would hold.
    pub(crate) mode: Mode,
}

/// Why a compiled policy is not loaded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    /// It is not what the parser makes.
    #[error("the compiled policy is not understood at byte {0}; is the parser newer than this?")]
    Malformed(usize),
    /// There is none in it.
    #[error("there is no profile in it")]
    Empty,
    /// A profile of a policy namespace of its own.
    #[error("the profile belongs to the policy namespace {0}; only the node's own is handled here")]
    Namespace(String),
}

/// The profiles in a compiled policy.
pub(crate) fn profiles(bytes: &[u8]) -> Result<Vec<Named>, PolicyError> {
    let mut reader = Reader { bytes, at: 0 };
    let malformed = |at| PolicyError::Malformed(at);
    let mut found = Vec::new();
    let mut complain = false;
    while reader.at < bytes.len() {
        let at = reader.at;
        let value = reader.value(0).ok_or(malformed(at))?;
        match (value.name.as_deref(), value.content) {
            (Some("version"), Content::Number(number)) => complain = number & FORCE_COMPLAIN != 0,
            (Some("namespace"), Content::Text(name)) => return Err(PolicyError::Namespace(name)),
            (Some("profile"), Content::Struct(fields)) => {
                let mut named = named(&fields).ok_or(malformed(at))?;
                if named.name.starts_with(':') {
                    return Err(PolicyError::Namespace(named.name));
                }
                if complain {
                    named.mode = Mode::Complain;
                }
                found.push(named);
            }
            _ => return Err(malformed(at)),
        }
    }
    if found.is_empty() { Err(PolicyError::Empty) } else { Ok(found) }
}

/// The first text of a profile is its name; the second number of `flags` its mode.
fn named(fields: &[Value]) -> Option<Named> {
    let name = fields.iter().find_map(|field| match &field.content {
        Content::Text(text) if field.name.is_none() => Some(text.clone()),
        _ => None,
    })?;
    let flags = fields.iter().find(|field| field.name.as_deref() == Some("flags"))?;
    let Content::Struct(flags) = &flags.content else { return None };
    match flags.get(1)?.content {
        Content::Number(number) => Some(Named { name, mode: Mode::of(number)? }),
        _ => None,
    }
}

/// A tagged value, with its name where it has one.
struct Value {
    name: Option<String>,
    content: Content,
}

enum Content {
    Number(u32),
    Text(String),
    Struct(Vec<Value>),
    /// What is passed by.
    Other,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        let taken = self.take(N)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length, then so many bytes, the last of which is 0.
    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number::<2>()?).ok()?;
        let (end, text) = self.take(length)?.split_last()?;
        (*end == 0).then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let mut tag = self.number::<1>()?;
        let mut name = None;
        if tag == 4 {
            name = Some(self.text()?);
            tag = self.number::<1>()?;
        }
        let content = match tag {
            0 => self.number::<1>().map(|_| Content::Other),
            1 => self.number::<2>().map(|_| Content::Other),
            2 => Some(Content::Number(u32::try_from(self.number::<4>()?).ok()?)),
            3 => self.number::<8>().map(|_| Content::Other),
            5 => self.text().map(Content::Text),
            6 => {
                let length = usize::try_from(self.number::<4>()?).ok()?;
                self.take(length).map(|_| Content::Other)
            }
            7 => self.until(8, depth).map(Content::Struct),
            9 => self.until(10, depth).map(|_| Content::Other),
            11 => {
                self.number::<2>()?;
                self.until(12, depth).map(|_| Content::Other)
            }
            _ => None,
        }?;
        Some(Value { name, content })
    }

    /// Values up to the tag that ends them.
    fn until(&mut self, end: u8, depth: usize) -> Option<Vec<Value>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let mut values = Vec::new();
        while *self.bytes.get(self.at)? != end {
            values.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Some(values)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A compiled policy of one profile, as short as can be.
    pub(crate) fn compiled(name: &str, mode: u32) -> Vec<u8> {
        let mut bytes = header(5);
        bytes.extend(b"\x04\x08\0profile\0\x07");
        bytes.extend(text(5, name));
        bytes.extend(b"\x04\x06\0flags\0\x07\x02\0\0\0\0");
        bytes.push(2);
        bytes.extend(mode.to_le_bytes());
        bytes.extend(b"\x02\0\0\0\0\x08");
        bytes.extend(b"\x04\x05\0list\0\x0b\x01\0\x05\x02\0x\0\x0c\x06\x03\0\0\0abc\x08");
        bytes
    }

    fn header(version: u32) -> Vec<u8> {
        let mut bytes = b"\x04\x08\0version\0\x02".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes
    }

    fn text(tag: u8, text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len() + 1).unwrap();
        let mut bytes = vec![tag];
        bytes.extend(length.to_le_bytes());
        bytes.extend(text.bytes());
        bytes.push(0);
        bytes
    }

    fn named(name: &str, mode: Mode) -> Named {
        Named { name: name.to_owned(), mode }
    }

    #[test]
    fn names_and_modes_are_those_that_the_kernel_would_take() {
        let mut two = compiled("a", 0);
        two.extend(compiled("a//child", 3));
        let expected = vec![named("a", Mode::Enforce), named("a//child", Mode::Unconfined)];
        assert_eq!(profiles(&two), Ok(expected));
        let mut complaining = header(FORCE_COMPLAIN | 5);
        complaining.extend(&compiled("a", 0)[header(5).len()..]);
        assert_eq!(profiles(&complaining), Ok(vec![named("a", Mode::Complain)]));
    }

    #[test]
    fn what_the_parser_does_not_make_is_refused_wherever_it_ends() {
        let whole = compiled("a", 0);
        for end in 1..whole.len() {
            let cut = profiles(&whole[..end]);
            let only_header = end == header(5).len();
            let expected = if only_header { cut == Err(PolicyError::Empty) } else { cut.is_err() };
            assert!(expected, "cut at {end}: {cut:?}");
        }
        assert_eq!(profiles(b""), Err(PolicyError::Empty));
        assert!(matches!(profiles(&compiled("a", 9)), Err(PolicyError::Malformed(_))));
        let deep = [b"\x04\x08\0profile\0".as_slice(), &[7; 1 << 16]].concat();
        assert!(matches!(profiles(&deep), Err(PolicyError::Malformed(_))));
    }

    #[test]
    fn a_policy_namespace_is_not_entered() {
        let mut bytes = header(5);
        bytes.extend(b"\x04\x0a\0namespace\0");
        bytes.extend(text(5, "other"));
        assert_eq!(profiles(&bytes), Err(PolicyError::Namespace("other".to_owned())));
        let prefixed = profiles(&compiled(":other:a", 0));
        assert_eq!(prefixed, Err(PolicyError::Namespace(":other:a".to_owned())));
    }

    #[test]
    fn modes_are_read_as_the_kernel_writes_them() {
        assert_eq!(Mode::parse("enforce"), Some(Mode::Enforce));
        assert_eq!(Mode::parse("user"), Some(Mode::Prompt));
        assert_eq!(Mode::parse("mixed"), None);
        assert!(Mode::Kill.refuses() && !Mode::Complain.refuses() && !Mode::Unconfined.refuses());
    }
}
