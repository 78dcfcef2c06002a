//! `log.access`: "stdout", "off" or `{ file = "..." }`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use toml::de::DeValue;

use crate::config::read::{Field, Node, Read, choose, schema, table};
use crate::config::sheet::Sheet;

/// Where the access log goes, as written.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(String),
}

table! {
    /// The access log in a file.
    AccessFile {
        /// The file, relative to gateway.toml's folder; lines are appended.
        file: String = required,
    }
    later {}
}

impl Read for Access {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        if matches!(node.get_ref(), DeValue::Table(_)) {
            return match AccessFile::read(node, sheet)?.file {
                Field::Given(file) if file.is.is_empty() => {
                    sheet.refuse(file.place, "the file has no name", "{ file = \"access.log\" }")
                }
                Field::Given(file) => Some(Self::File(file.is)),
                Field::Absent | Field::Wrong => None,
            };
        }
        let is_on = choose(node, &[("off", false), ("stdout", true)], &[], sheet)?;
        Some(if is_on { Self::Stdout } else { Self::Off })
    }
}

impl JsonSchema for Access {
    fn schema_name() -> Cow<'static, str> {
        "Access".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(
            json!({ "anyOf": [{ "type": "string", "enum": ["off", "stdout"] }, generator.subschema_for::<AccessFile>()] }),
        )
    }
}
