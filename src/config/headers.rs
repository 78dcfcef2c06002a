//! `inject.headers`: which names a route may set, and the small template language of their values. A literal value may be a key
//! that somebody pasted: it is never shown.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use toml::de::DeValue;

use crate::config::mask::{has_opaque_word, quotable};
use crate::config::read::{Named, Node, Read, schema};
use crate::config::resolved::{InjectHeader, InjectValue, Piece};
use crate::config::secret_source::{SecretSource, fetch};
use crate::config::sheet::{At, Place, Sheet};
use crate::config::suggest::nearest;

/// `inject.headers` as written: its values are text or secrets.
pub(crate) type HeaderTexts = Named<HeaderText>;

/// The value of one header.
#[derive(Clone, Debug)]
pub(crate) enum HeaderText {
    /// A template.
    Text(String),
    /// A secret from elsewhere.
    Secret(SecretSource),
}

impl Read for HeaderText {
    fn read(node: &Node<'_>, sheet: &mut Sheet<'_>) -> Option<Self> {
        match node.get_ref() {
            DeValue::String(text) => {
                if text.starts_with('{') && text.ends_with('}') && !has_opaque_word(text) {
                    sheet.show(node.span().into());
                }
                Some(Self::Text(text.clone().into_owned()))
            }
            _ => SecretSource::read(node, sheet).map(Self::Secret),
        }
    }
}

impl JsonSchema for HeaderText {
    fn schema_name() -> Cow<'static, str> {
        "HeaderText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema(json!({
            "description": "Text with {account_id}, {user_id} or {claims.a.b}, or a secret.",
            "anyOf": [{ "type": "string" }, generator.subschema_for::<SecretSource>()],
        }))
    }
}

/// Names that a route may not set, and why.
fn forbidden(name: &str) -> Option<&'static str> {
    match name {
        "host" => Some("`upstreams.NAME.host` decides about it"),
        "authorization" => Some("`authorization = \"keep\" | \"strip\" | \"resign\"` decides about it"),
        "cookie" => Some("it belongs to the browser and the backend"),
        "content-length" | "transfer-encoding" | "te" | "trailer" | "expect" => Some("it says where a message ends"),
        "connection" | "keep-alive" | "upgrade" => Some("it belongs to one connection"),
        "forwarded" | "x-request-id" | "x-real-ip" => Some("the gateway sets or removes it itself"),
        _ if name.starts_with("proxy-") => Some("it belongs to one connection"),
        _ if name.starts_with("x-monday-") => Some("the gateway sets the `X-Monday-*` headers, and nobody else"),
        _ if name.starts_with("x-forwarded-") => Some("the gateway sets it itself"),
        _ => None,
    }
}

/// One header of a route.
pub(crate) fn header(name: &At<String>, value: &At<HeaderText>, sheet: &mut Sheet<'_>) -> Option<InjectHeader> {
    let name = settable_name(name, "a route", sheet);
    let value = match &value.is {
        HeaderText::Text(text) => template(text, value.place, sheet),
        HeaderText::Secret(source) => secret_value(source, value.place, sheet),
    };
    Some(InjectHeader { name: name?, value: value? })
}

/// The name of a header that a route or a provider sets.
pub(crate) fn settable_name(name: &At<String>, by: &str, sheet: &mut Sheet<'_>) -> Option<HeaderName> {
    let lower = name.is.to_ascii_lowercase();
    let is_plain = !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_plain {
        return sheet.refuse(
            name.place,
            "a header's name has letters, digits and `-` only: backends read other characters as `-`",
            "rename it, as in \"X-Tenant\"",
        );
    }
    if let Some(why) = forbidden(&lower) {
        return sheet.refuse(
            name.place,
            format!("`{}` cannot be set by {by}: {why}", quotable(&name.is)),
            "choose another name, or remove it",
        );
    }
    match HeaderName::try_from(lower) {
        Ok(name) => Some(name),
        Err(_) => sheet.refuse(name.place, "this is no name of a header", "rename it, as in \"X-Tenant\""),
    }
}

fn secret_value(source: &SecretSource, place: Place, sheet: &mut Sheet<'_>) -> Option<InjectValue> {
    let secret = fetch(source, place, 1, sheet)?;
    match HeaderValue::from_bytes(secret.expose()) {
        Ok(mut value) if secret.expose().iter().all(|byte| is_value_byte(*byte)) => {
            value.set_sensitive(true);
            Some(InjectValue::Fixed(value))
        }
        Ok(_) | Err(_) => sheet.refuse(
            place,
            "this secret has characters that a header cannot carry",
            "visible ASCII and spaces; encode other bytes in base64",
        ),
    }
}

const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn template(text: &str, place: Place, sheet: &mut Sheet<'_>) -> Option<InjectValue> {
    let is_plain = !text.is_empty() && text.bytes().all(is_value_byte) && text.trim() == text;
    if !is_plain {
        return sheet.refuse(
            place,
            "a header's value is visible ASCII with spaces inside at most",
            "remove the other characters",
        );
    }
    let pieces = match pieces(text) {
        Ok(pieces) => pieces,
        Err(fault) => return sheet.refuse(place, fault.what, fault.right),
    };
    match pieces.as_slice() {
        [Piece::Text(fixed)] => HeaderValue::try_from(fixed).ok().map(|mut value| {
            // It may be a key that somebody pasted.
            value.set_sensitive(true);
            InjectValue::Fixed(value)
        }),
        _ => Some(InjectValue::Template(pieces)),
    }
}

/// Why a text is no template.
#[derive(Debug, PartialEq, Eq)]
struct TemplateFault {
    what: String,
    right: String,
}

fn pieces(text: &str) -> Result<Vec<Piece>, TemplateFault> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            literal.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            literal.push('}');
            rest = after;
        } else {
            let (name, after) =
                from.strip_prefix('{').and_then(|from| from.split_once('}')).ok_or_else(|| TemplateFault {
                    what: "a brace stands alone in this template".to_owned(),
                    right: "write {{ and }} for the characters themselves".to_owned(),
                })?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(placeholder(name)?);
            rest = after;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn placeholder(name: &str) -> Result<Piece, TemplateFault> {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    match name.strip_prefix("claims.") {
        Some(path) if path.split('.').all(is_name) => Ok(Piece::Claim(path.split('.').map(str::to_owned).collect())),
        Some(_) | None if name == "account_id" => Ok(Piece::AccountId),
        Some(_) | None if name == "user_id" => Ok(Piece::UserId),
        Some(_) | None => Err(TemplateFault {
            what: "a template knows {account_id}, {user_id} and {claims.NAME}, and this names something else"
                .to_owned(),
            right: nearest(name, ["account_id", "user_id", "claims"]).map_or_else(
                || "as in \"{claims.dat.user_kind}\"".to_owned(),
                |near| format!("did you mean `{{{near}}}`?"),
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_text_and_claims_with_doubled_braces_for_the_characters() {
        assert_eq!(pieces("a{{b}}"), Ok(vec![Piece::Text("a{b}".to_owned())]));
        assert_eq!(
            pieces("{account_id}-{user_id}"),
            Ok(vec![Piece::AccountId, Piece::Text("-".to_owned()), Piece::UserId])
        );
        assert_eq!(
            pieces("{claims.dat.user_kind}"),
            Ok(vec![Piece::Claim(vec!["dat".to_owned(), "user_kind".to_owned()])])
        );
        for wrong in [
            "{",
            "}",
            "{account_id",
            "account_id}",
            "{}",
            "{claims}",
            "{claims.}",
            "{claims..a}",
            "{acount_id}",
            "{ account_id }",
        ] {
            assert!(pieces(wrong).is_err(), "{wrong}");
        }
    }
}
