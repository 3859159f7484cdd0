//! `bulkhead`: one privileged agent per node.
mod kernel;

fn main() -> anyhow::Result<()> {
    let guard = kernel::Guard::load()?;
    println!("{}", serde_json::to_string_pretty(guard.ladder())?);
    Ok(())
}
