//! One socket, cut into frames that each belong to a connection.
//!
//! A frame is the connection's number and the payload's length, four bytes each, most significant
//! first, then the payload. The runtime's reader takes a frame as a whole and fails if its buffer is
//! smaller; the buffer in which it looks for the beginning of a message has 4,096 bytes. Hence the
//! rule of [`frames_of`].

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::message;

/// The runtime calls the plugin.
pub(crate) const PLUGIN: u32 = 1;
/// The plugin calls the runtime.
pub(crate) const RUNTIME: u32 = 2;

/// The runtime's buffer for the beginning of a message.
pub(crate) const FIRST_FRAME: usize = 4_096;

/// The most that one frame may hold.
pub(crate) const MAX_PAYLOAD: usize = message::HEADER + message::MAX_LENGTH;

const HEADER: usize = 8;

/// Why the trunk cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum TrunkError {
    /// The socket failed, or ended.
    #[error("the connection to the runtime ended")]
    Ended(#[source] io::Error),
    /// A frame of a connection that does not exist.
    #[error("the runtime sent a frame of connection {0}: connections are 1 and 2")]
    Connection(u32),
    /// A frame that is larger than any message.
    #[error("the runtime announced a frame of {0} bytes; {MAX_PAYLOAD} are the most")]
    TooLong(usize),
}

/// Reads one frame: its connection and its payload. The length is checked before room is made.
pub(crate) async fn read_frame(
    trunk: &mut (impl AsyncRead + Unpin),
) -> Result<(u32, Vec<u8>), TrunkError> {
    let connection = trunk.read_u32().await.map_err(TrunkError::Ended)?;
    let length = trunk.read_u32().await.map_err(TrunkError::Ended)? as usize;
    if !matches!(connection, PLUGIN | RUNTIME) {
        return Err(TrunkError::Connection(connection));
    }
    if length > MAX_PAYLOAD {
        return Err(TrunkError::TooLong(length));
    }
    // Room grows with what arrives, not with what was announced.
    let mut payload = Vec::with_capacity(length.min(64 << 10));
    let read = trunk.take(length as u64).read_to_end(&mut payload).await;
    let read = read.map_err(TrunkError::Ended)?;
    if read < length {
        return Err(TrunkError::Ended(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok((connection, payload))
}

/// Writes one ttrpc message.
pub(crate) async fn write_message(
    trunk: &mut (impl AsyncWrite + Unpin),
    connection: u32,
    message: &[u8],
) -> Result<(), TrunkError> {
    let written = trunk.write_all(&frames_of(connection, message)).await;
    written.map_err(TrunkError::Ended)?;
    trunk.flush().await.map_err(TrunkError::Ended)
}

/// A message as frames: the first of at most 4,096 bytes, one more for the rest.
pub(crate) fn frames_of(connection: u32, message: &[u8]) -> Vec<u8> {
    let (first, rest) = message.split_at(message.len().min(FIRST_FRAME));
    let mut frames = Vec::with_capacity(message.len() + 2 * HEADER);
    for payload in [first, rest] {
        if !payload.is_empty() {
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            frames.extend(connection.to_be_bytes());
            frames.extend(length.to_be_bytes());
            frames.extend(payload);
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<(u32, Vec<u8>), TrunkError> {
        read_frame(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn what_is_written_is_read_again_in_at_most_two_frames() {
        for size in [1, 10, FIRST_FRAME, FIRST_FRAME + 1, 100_000] {
            let message: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let bytes = frames_of(PLUGIN, &message);
            let mut left = &bytes[..];
            let mut got = Vec::new();
            let mut frames = 0;
            while !left.is_empty() {
                let (connection, payload) = read_frame(&mut left).await.unwrap();
                assert_eq!(connection, PLUGIN);
                assert!(frames > 0 || payload.len() <= FIRST_FRAME);
                got.extend(payload);
                frames += 1;
            }
            assert_eq!(got, message);
            assert_eq!(frames, if size > FIRST_FRAME { 2 } else { 1 });
        }
    }

    #[tokio::test]
    async fn a_frame_of_no_connection_is_refused() {
        for connection in [0_u32, 3, u32::MAX] {
            let mut bytes = connection.to_be_bytes().to_vec();
            bytes.extend([0, 0, 0, 1, 7]);
            let error = read(&bytes).await.unwrap_err();
            assert!(matches!(error, TrunkError::Connection(found) if found == connection));
        }
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_refused_before_room_is_made() {
        let error = read(&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]).await.unwrap_err();
        assert!(matches!(error, TrunkError::TooLong(0xffff_ffff)), "{error}");
    }

    #[tokio::test]
    async fn a_frame_that_breaks_off_is_the_end() {
        for bytes in [&[0_u8, 0][..], &[0, 0, 0, 1, 0, 0, 0, 9, 1, 2]] {
            assert!(matches!(read(bytes).await, Err(TrunkError::Ended(_))));
        }
    }
}
