//! Small values of providers and issuers: parameters and templates that may hold a key by mistake, and what a claim must be.
//! A value that looks like a key is read, and never shown.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use toml::de::DeValue;

use crate::config::mask::has_opaque_word;
use crate::config::read::{Node, Read, kind_of, schema};
use crate::config::sheet::{Place, Sheet};

/// Text of visible ASCII and spaces, shown only if nothing in it looks like a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter(pub(crate) String);

/// What a claim must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimTest {
    /// There, whatever it is.
    Present,
    /// This text; a number or flag is compared as it is written.
    Equal(String),
}

impl Read for Parameter {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        let DeValue::String(written) = node.get_ref() else {
            let kind = kind_of(node.get_ref());
            return sheet.refuse(
                place,
                format!("text in quotes is expected here, and this is {kind}"),
                "put it into quotes: \"...\"",
            );
        };
        if !has_opaque_word(written) {
            sheet.show(place);
        }
        if written.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Some(Self(written.clone().into_owned()));
        }
        sheet.refuse(place, "this is visible ASCII with spaces at most", "remove the other characters")
    }
}

impl JsonSchema for Parameter {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Parameter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "string" }))
    }
}

impl Read for ClaimTest {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        let right = "the text that it must be, or true for any";
        match node.get_ref() {
            DeValue::Boolean(true) => Some(Self::Present),
            DeValue::Boolean(false) => {
                sheet.refuse(place, "a claim is required or not named at all", "true, or remove it")
            }
            DeValue::String(written) => {
                sheet.show(place);
                Some(Self::Equal(written.clone().into_owned()))
            }
            other => {
                let kind = kind_of(other);
                sheet.refuse(place, format!("text in quotes or true is expected here, and this is {kind}"), right)
            }
        }
    }
}

impl JsonSchema for ClaimTest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ClaimTest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "anyOf": [{ "type": "string" }, { "const": true }] }))
    }
}
