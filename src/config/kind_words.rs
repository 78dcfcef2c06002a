//! `kind` in gateway.toml: the words are the kinds table's.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use crate::config::read::{Node, Read, choose, schema};
use crate::config::sheet::Sheet;
use crate::monday::kinds::{KINDS, Kind};

impl Read for Kind {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let words: Vec<(&str, Self)> = KINDS.iter().map(|row| (row.name, row.kind)).collect();
        choose(node, &words, &[], sheet)
    }
}

impl JsonSchema for Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = KINDS.iter().map(|row| row.name).collect();
        schema(json!({ "type": "string", "enum": words }))
    }
}
