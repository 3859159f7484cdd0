//! The OCI runtime wrapper's parts. `main.rs` puts them together; the agent writes the file that
//! [`levels`] reads; the tests and the fuzz target drive them one by one.
//!
//! ```text
//! arguments   what the runtime is asked to do
//! settings    the wrapper's own few settings, which no call depends on to be passed through
//! prepare     reads what the call is about, has it tightened, writes it back
//! owner       whose container a configuration is
//! levels      what each tenant's level asks, as the agent wrote it
//! demands     what a level asks, with what this node has for it
//! patch       tightens a configuration
//! json        objects whose untouched parts stay as they were, byte for byte
//! refusal     says no in the words that container runtimes pass on
//! real        finds the runtime behind this one
//! ```

pub mod arguments;
pub mod demands;
pub mod json;
pub mod levels;
pub mod owner;
pub mod patch;
pub mod prepare;
pub mod real;
pub mod refusal;
pub mod settings;
