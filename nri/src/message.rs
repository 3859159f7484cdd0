//! ttrpc: a header of ten bytes, then a request or a response.

use prost::Message as _;

use crate::wire;

/// Length, stream, type, flags.
pub(crate) const HEADER: usize = 10;
/// The most that may follow the header.
pub(crate) const MAX_LENGTH: usize = 4 << 20;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;

/// The code of gRPC for a method that does not exist.
const UNIMPLEMENTED: i32 = 12;
/// The code of gRPC for everything else: what a runtime takes for a plugin's refusal.
const UNKNOWN: i32 = 2;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than ttrpc allows.
    #[error("a message of {0} bytes was announced; {MAX_LENGTH} are the most")]
    TooLong(usize),
    /// Neither a request nor a response.
    #[error("a message of type {0}, which NRI does not use")]
    Type(u8),
    /// Not protobuf, or not what was expected.
    #[error("a message that cannot be read")]
    Content(#[from] prost::DecodeError),
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) stream: u32,
    pub(crate) body: Body,
}

/// What it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Request(wire::Request),
    Response(wire::Response),
}

impl Message {
    /// As it travels.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, MessageError> {
        let (kind, length) = match &self.body {
            Body::Request(request) => (REQUEST, request.encoded_len()),
            Body::Response(response) => (RESPONSE, response.encoded_len()),
        };
        let told = u32::try_from(length).ok().filter(|_| length <= MAX_LENGTH);
        let told = told.ok_or(MessageError::TooLong(length))?;
        let mut bytes = Vec::with_capacity(HEADER + length);
        bytes.extend(told.to_be_bytes());
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend([kind, 0]);
        match &self.body {
            Body::Request(request) => request.encode_raw(&mut bytes),
            Body::Response(response) => response.encode_raw(&mut bytes),
        }
        Ok(bytes)
    }
}

/// The response that carries `payload`.
pub(crate) fn good(payload: &impl prost::Message) -> wire::Response {
    wire::Response { status: None, payload: payload.encode_to_vec() }
}

/// The response that refuses.
pub(crate) fn refusal(message: String) -> wire::Response {
    let status = wire::Status { code: UNKNOWN, message };
    wire::Response { status: Some(status), payload: Vec::new() }
}

/// The response to a call that nobody here answers.
pub(crate) fn unknown_method(service: &str, method: &str) -> wire::Response {
    let message = format!("{service}/{method} is not implemented");
    let status = wire::Status { code: UNIMPLEMENTED, message };
    wire::Response { status: Some(status), payload: Vec::new() }
}

/// Puts messages together from the payloads of one connection's frames.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    /// Takes a payload in. What is kept never exceeds one message and one frame.
    pub(crate) fn add(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
    }

    /// The next whole message.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, MessageError> {
        let Some((header, rest)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, s0, s1, s2, s3, kind, _flags] = *header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > MAX_LENGTH {
            return Err(MessageError::TooLong(length));
        }
        if !matches!(kind, REQUEST | RESPONSE) {
            return Err(MessageError::Type(kind));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        let body = if kind == REQUEST {
            Body::Request(wire::Request::decode(body)?)
        } else {
            Body::Response(wire::Response::decode(body)?)
        };
        self.bytes.drain(..HEADER + length);
        if self.bytes.is_empty() {
            // A large message must not keep its room for ever.
            self.bytes.shrink_to(super::trunk::FIRST_FRAME);
        }
        Ok(Some(Message { stream, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: usize) -> Message {
        let payload = vec![7; size];
        let request = wire::Request { method: "M".into(), payload, ..Default::default() };
        Message { stream: 5, body: Body::Request(request) }
    }

    #[test]
    fn messages_come_whole_out_of_any_division() {
        let messages = [request(0), request(5_000), request(3)];
        let bytes: Vec<u8> =
            messages.iter().flat_map(|message| message.encode().unwrap()).collect();
        for division in [1, 7, 4_096, 100_000] {
            let mut assembly = Assembly::default();
            let mut got = Vec::new();
            for part in bytes.chunks(division) {
                assembly.add(part);
                while let Some(message) = assembly.next().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, messages);
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_by_its_header() {
        let mut assembly = Assembly::default();
        assembly.add(&[0xff; HEADER]);
        assert!(matches!(assembly.next(), Err(MessageError::TooLong(_))));
        assert!(matches!(request(MAX_LENGTH).encode(), Err(MessageError::TooLong(_))));
    }

    #[test]
    fn a_stream_of_data_is_refused() {
        let mut assembly = Assembly::default();
        assembly.add(&[0, 0, 0, 0, 0, 0, 0, 1, 3, 0]);
        assert!(matches!(assembly.next(), Err(MessageError::Type(3))));
    }
}
