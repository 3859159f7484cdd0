//! `bulkhead`: one privileged agent per node.

fn main() {}
