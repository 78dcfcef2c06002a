//! `monday-gateway schema`: prints the JSON Schema of gateway.toml, for editors.

use std::process::ExitCode;

use crate::config::schema;

/// Prints it.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run() -> ExitCode {
    println!("{}", text());
    ExitCode::SUCCESS
}

/// The schema as `examples/gateway.schema.json` has it, without the last line ending.
pub(crate) fn text() -> String {
    format!("{:#}", schema::schema())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1 cargo test` writes it anew.
    #[test]
    fn the_committed_schema_is_the_one_that_is_printed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateway.schema.json");
        let text = format!("{}\n", text());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "run `UPDATE_SCHEMA=1 cargo test schema`");
    }
}
