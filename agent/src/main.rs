//! `bulkhead`: one privileged agent per node.
mod kernel;
#[allow(dead_code, reason = "wired by the next commits")]
mod node;
#[allow(dead_code, reason = "wired by the next commits")]
mod report;

fn main() -> anyhow::Result<()> {
    let guard = kernel::Guard::load()?;
    println!("{}", serde_json::to_string_pretty(guard.ladder())?);
    Ok(())
}
