//! A small CRI client: pods and containers through a real runtime.

fn main() {}
