//! End-to-end tests that run inside the guest node.
