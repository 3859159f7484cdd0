//! Compiles the messages, without the protobuf compiler.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["nri.proto", "ttrpc.proto"], ["proto"])?;
    let mut config = prost_build::Config::new();
    // Ordered, so that the same answer has the same bytes.
    config.btree_map(["."]);
    config.compile_fds(descriptors)?;
    Ok(())
}
