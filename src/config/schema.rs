//! The JSON Schema of gateway.toml, for editors: made from the same tables that the reader is made from.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::config::written::File;

/// Draft 7, which editors' TOML plug-ins understand.
pub(crate) fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<File>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), Value::from("gateway.toml"));
    }
    schema
}
