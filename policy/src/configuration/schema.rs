//! The JSON Schema of the configuration file, for editors and for admission of the ConfigMap.

use schemars::{Schema, generate::SchemaSettings};

use super::Configuration;

/// The schema, generated from the types that read the file.
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Configuration>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `BLESS=1 cargo test -p bulkhead-policy` writes the file anew.
    #[test]
    fn the_committed_schema_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.schema.json");
        let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(committed == generated, "{path} is stale; run with BLESS=1 and commit it");
    }
}
