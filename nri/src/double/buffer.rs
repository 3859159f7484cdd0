//! How the runtimes read: Go's buffered reader above NRI's connections, in which a frame must fit
//! into the room that the reader has at that moment.

use std::collections::VecDeque;

use super::{Connected, DoubleError, closed};
use crate::{
    message::{Assembly, HEADER, Message},
    trunk::{self, FIRST_FRAME, PLUGIN},
};

/// Frames that may wait on one connection.
const MOST_WAITING: usize = 256;

/// Frames of one connection that have arrived, and what the reader above has in its buffer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    frames: VecDeque<Vec<u8>>,
    buffer: VecDeque<u8>,
}

pub(super) struct Buffered<'a> {
    pub(super) connected: &'a mut Connected,
    pub(super) connection: u32,
}

impl Buffered<'_> {
    pub(super) async fn message(&mut self) -> Result<Message, DoubleError> {
        let header = self.read_full(HEADER).await?;
        let length = header.first_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length));
        let body = self.read_full(length as usize).await?;
        let mut assembly = Assembly::default();
        assembly.add(&header);
        assembly.add(&body);
        assembly.next().map_err(closed)?.ok_or_else(|| closed("half a message"))
    }

    /// `io.ReadFull` on a `bufio.Reader`: what is buffered first; a large rest goes straight into
    /// the caller's room, a small one through the buffer.
    async fn read_full(&mut self, wanted: usize) -> Result<Vec<u8>, DoubleError> {
        let mut got = Vec::with_capacity(wanted);
        while got.len() < wanted {
            let left = wanted - got.len();
            let queue = self.queue();
            if !queue.buffer.is_empty() {
                let take = left.min(queue.buffer.len());
                got.extend(queue.buffer.drain(..take));
            } else if left >= FIRST_FRAME {
                got.extend(self.frame(left).await?);
            } else {
                let frame = self.frame(FIRST_FRAME).await?;
                self.queue().buffer.extend(frame);
            }
        }
        Ok(got)
    }

    /// The next frame, which must fit into `room`.
    async fn frame(&mut self, room: usize) -> Result<Vec<u8>, DoubleError> {
        loop {
            if let Some(frame) = self.queue().frames.pop_front() {
                if frame.len() > room {
                    let length = frame.len();
                    return Err(closed(format!("cannot allocate memory: {length} into {room}")));
                }
                return Ok(frame);
            }
            let read = trunk::read_frame(&mut self.connected.trunk).await;
            let (connection, payload) = read.map_err(closed)?;
            let queue = self.queue_of(connection);
            queue.frames.push_back(payload);
            if queue.frames.len() > MOST_WAITING {
                return Err(closed("failed to queue payload for reading"));
            }
        }
    }

    fn queue(&mut self) -> &mut Queue {
        self.queue_of(self.connection)
    }

    fn queue_of(&mut self, connection: u32) -> &mut Queue {
        if connection == PLUGIN { &mut self.connected.answers } else { &mut self.connected.calls }
    }
}
