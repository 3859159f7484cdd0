//! What leaves the agent: the evidence log, the metrics, and the address that serves them.

pub(crate) mod evidence;
pub(crate) mod http;
pub(crate) mod metrics;
