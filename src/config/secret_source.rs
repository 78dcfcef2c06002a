//! Where a secret comes from: the environment, a file, or gateway.toml itself. Takes what is written, returns the bytes.
//! No message here names a value, nor the name of a variable or file that looks like somebody pasted the value there.

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use toml::de::DeValue;

use crate::config::read::{Field, Node, Read, kind_of, schema, table};
use crate::config::sheet::{Place, Secrets, Sheet};
use crate::secret::Secret;

/// Bytes of a file that holds a secret; anything larger is another file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
const RIGHT: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

/// One secret as written.
#[derive(Clone, Debug)]
pub(crate) enum SecretSource {
    /// In the file itself.
    Literal(Secret),
    /// In the environment.
    Environment(String),
    /// In a file.
    File(String),
}

table! {
    /// Where a secret is: exactly one of the two.
    Source {
        /// The environment variable that holds it; read at start only.
        env: Name,
        /// The file that holds it, relative to gateway.toml's folder. One line ending at its end is dropped.
        file: Name,
    }
    later {}
}

/// A name that may be a secret by mistake: shown only if it looks like a variable or a path.
#[derive(Clone, Debug)]
pub(crate) struct Name(String);

impl Read for Name {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) if text.is_empty() => sheet.refuse(node.span().into(), "the name is empty", RIGHT),
            DeValue::String(text) if text.contains('\0') => {
                sheet.refuse(node.span().into(), "no name has a NUL in it", RIGHT)
            }
            DeValue::String(text) => {
                if looks_like_a_variable(text) || looks_like_a_path(text) {
                    sheet.show(node.span().into());
                }
                Some(Self(text.clone().into_owned()))
            }
            other => sheet.refuse(
                node.span().into(),
                format!("a name is expected here, and this is {}", kind_of(other)),
                RIGHT,
            ),
        }
    }
}

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema(json!({ "type": "string", "minLength": 1 }))
    }
}

fn looks_like_a_variable(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
        && text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        && text.bytes().filter(u8::is_ascii_digit).count() * 4 <= text.len()
}

fn looks_like_a_path(text: &str) -> bool {
    text.starts_with("./")
        || text.starts_with("../")
        || text.starts_with("/run/")
        || (text.contains('.') && text.contains('/'))
}

impl Read for SecretSource {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        let place = Place::from(node.span());
        match node.get_ref() {
            DeValue::String(literal) => Some(Self::Literal(Secret::new(literal.as_bytes()))),
            DeValue::Table(_) => read_source(node, sheet),
            other => sheet.refuse(place, format!("a secret is expected here, and this is {}", kind_of(other)), RIGHT),
        }
    }
}

fn read_source(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<SecretSource> {
    let place = Place::from(node.span());
    let source = Source::read(node, sheet)?;
    match (source.env, source.file) {
        (Field::Given(env), Field::Absent) => Some(SecretSource::Environment(env.is.0)),
        (Field::Absent, Field::Given(file)) => Some(SecretSource::File(file.is.0)),
        (Field::Absent, Field::Absent) => sheet.absent(place, "this names no place where the secret is", RIGHT),
        (Field::Given(_), Field::Given(_)) => sheet.refuse(place, "a secret is in one place only", RIGHT),
        (Field::Wrong, _) | (_, Field::Wrong) => None,
    }
}

impl JsonSchema for SecretSource {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(json!({
            "description": "A secret: { env = \"NAME\" }, { file = \"PATH\" } or, for trying things out, the value itself.",
            "anyOf": [{ "type": "string" }, generator.subschema_for::<Source>()],
        }))
    }
}

/// The secret's bytes, of one that monday shows: at least `least` of them. A literal one is warned about.
pub(crate) fn fetch(source: &SecretSource, place: Place, least: usize, sheet: &mut Sheet<'_>) -> Option<Secret> {
    let right = "copy the whole secret: monday shows it in the Developer Center, under Basic information";
    fetch_of(source, place, least, right, sheet)
}

/// The secret's bytes: at least `least` of them, else `right` says where the whole one is. A literal one is warned about.
pub(crate) fn fetch_of(
    source: &SecretSource,
    place: Place,
    least: usize,
    right: &str,
    sheet: &mut Sheet<'_>,
) -> Option<Secret> {
    let around = sheet.around();
    let secret = match source {
        SecretSource::Literal(secret) => {
            sheet.warn(
                place,
                "this secret stands in the file itself, where backups and version control will keep it",
                RIGHT,
            );
            secret.clone()
        }
        SecretSource::Environment(_) | SecretSource::File(_) if around.secrets == Secrets::Assume => {
            Secret::new(vec![b'?'; least.max(1)])
        }
        SecretSource::Environment(name) => match (around.environment)(name) {
            Some(bytes) => Secret::new(bytes),
            None => return missing_variable(name, place, sheet),
        },
        SecretSource::File(name) => read_file(name, place, sheet)?,
    };
    if secret.len() >= least {
        return Some(secret);
    }
    let length = if secret.is_empty() { "is empty".to_owned() } else { format!("has {} bytes", secret.len()) };
    let what = if least > 1 {
        format!("this secret {length}, and secrets that verify or sign have at least {least}")
    } else {
        format!("this secret {length}")
    };
    sheet.refuse(place, what, right)
}

fn missing_variable(name: &str, place: Place, sheet: &mut Sheet<'_>) -> Option<Secret> {
    let which = if looks_like_a_variable(name) { format!("`{name}`") } else { "named here".to_owned() };
    sheet.refuse(
        place,
        format!("the environment variable {which} is not set"),
        "set it, or run `check --no-secrets` on machines without secrets; `env` takes the variable's name, never the secret itself",
    )
}

fn read_file(name: &str, place: Place, sheet: &mut Sheet<'_>) -> Option<Secret> {
    let path = sheet.around().base_dir.join(name);
    match read_small_file(&path) {
        Ok(bytes) => Some(Secret::new(without_line_ending(bytes))),
        Err(fault) => {
            let which = if looks_like_a_path(name) { format!("`{name}`") } else { "named here".to_owned() };
            let right = "name a file that this user may read; relative paths start at gateway.toml's folder";
            sheet.refuse(place, format!("the file {which} cannot be read: {fault}"), right)
        }
    }
}

fn read_small_file(path: &Path) -> Result<Vec<u8>, String> {
    let about = std::fs::metadata(path).map_err(|fault| fault.kind().to_string())?;
    if about.is_dir() {
        return Err("it is a folder".to_owned());
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read(path).map_err(|fault| fault.kind().to_string())
}

fn without_line_ending(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_ending_is_dropped_and_no_more() {
        assert_eq!(without_line_ending(b"key\n".to_vec()), b"key");
        assert_eq!(without_line_ending(b"key\r\n".to_vec()), b"key");
        assert_eq!(without_line_ending(b"key\n\n".to_vec()), b"key\n");
        assert_eq!(without_line_ending(b" key \r".to_vec()), b" key \r");
    }

    #[test]
    fn a_pasted_secret_does_not_look_like_a_variable_or_a_path() {
        assert!(looks_like_a_variable("PLANNER_CLIENT_SECRET"));
        assert!(!looks_like_a_variable("5f0c4d2e9a7b"));
        assert!(!looks_like_a_variable("A1B2C3D4E5F6A7B8C9D0"));
        assert!(looks_like_a_path("/run/secrets/signing"));
        assert!(!looks_like_a_path("c2VjcmV0/c2VjcmV0"));
    }
}
