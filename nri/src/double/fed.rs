//! A runtime that only talks, whatever it is answered: for bytes that no runtime would send.

use tokio::io;

use super::{Message, RUNTIME, trunk};
use crate::{
    message::{Assembly, Body},
    plugin::Plugin,
    session::{Session, SessionError},
};

/// What became of a session.
#[derive(Debug)]
pub struct Fed {
    /// Calls that were answered.
    pub answers: usize,
    /// Why it ended.
    pub why: SessionError,
}

/// Has a plugin listen to `bytes` until they end or it does not want to.
///
/// # Panics
/// When what the plugin said is not its registration and then answers.
pub async fn feed(plugin: &mut impl Plugin, bytes: &[u8]) -> Fed {
    let mut said = Vec::new();
    let session = Session::new(plugin, io::join(bytes, &mut said));
    let why = match session.run("fed", "00").await {
        Ok(never) => match never {},
        Err(why) => why,
    };
    let (mut registration, mut answers) = (Vec::new(), Vec::new());
    let (mut calls, mut responses) = (Assembly::default(), Assembly::default());
    let mut left = said.as_slice();
    while let Ok((connection, payload)) = trunk::read_frame(&mut left).await {
        let (assembly, messages) = match connection {
            RUNTIME => (&mut calls, &mut registration),
            _ => (&mut responses, &mut answers),
        };
        assembly.add(&payload);
        while let Ok(Some(message)) = assembly.next() {
            messages.push(message);
        }
    }
    let response = |message: &Message| matches!(message.body, Body::Response(_));
    assert!(left.is_empty(), "a frame that no runtime would take: {left:?}");
    assert!(registration.len() == 1 && !registration.iter().any(response), "{registration:?}");
    assert!(answers.iter().all(response), "{answers:?}");
    Fed { answers: answers.len(), why }
}
