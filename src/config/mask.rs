//! Hides every value of gateway.toml that can be a secret before a line is quoted. Takes the text, its tree and the places whose
//! values are known to be harmless; returns a text of the same length, so that places stay what they are. Values are hidden
//! unless a reader vouched for them: the value of a mistyped `sining_secret` was read by nobody, and so is never shown.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::sheet::Place;

/// Words that make a line of a file with syntax errors suspicious.
const SECRET_WORDS: [&str; 6] = ["secret", "headers", "inject", "token", "password", "env"];

/// Characters in a row, as keys and tokens have them, from which on a word is not quoted.
const OPAQUE_LENGTH: usize = 20;

/// Whether a text has a word that may be a secret at a wrong place: long, and of the characters that keys are made of.
pub(crate) fn has_opaque_word(text: &str) -> bool {
    let is_of_keys =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '_' | '-' | '=');
    text.split(|character| !is_of_keys(character)).any(|word| word.len() >= OPAQUE_LENGTH)
}

/// A name as a message may quote it: short, without characters that a terminal obeys, and no secret.
pub(crate) fn quotable(name: &str) -> String {
    if has_opaque_word(name) {
        return "...".to_owned();
    }
    name.chars().filter(|character| !character.is_control()).take(64).collect()
}

/// The text with everything hidden that is not in `shown`. `safe_keys` are keys whose values are never secrets; they decide for
/// whole lines where syntax errors leave no tree to trust.
pub(crate) fn mask(text: &str, root: &DeTable<'_>, shown: &[Place], safe_keys: Option<&[&str]>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut leaves = Vec::new();
    let mut keys = Vec::new();
    for (key, value) in root {
        keys.push(key.span().into());
        collect(value, &mut leaves, &mut keys);
    }
    for leaf in leaves.iter().filter(|leaf| !shown.contains(leaf)) {
        hide(&mut bytes, *leaf, b'*');
    }
    leaves.append(&mut keys);
    leaves.sort();
    hide_comments(&mut bytes, &leaves);
    if let Some(safe_keys) = safe_keys {
        hide_suspicious_lines(&mut bytes, text, safe_keys);
    }
    String::from_utf8(bytes).unwrap_or_default()
}

fn collect(value: &Spanned<DeValue<'_>>, leaves: &mut Vec<Place>, keys: &mut Vec<Place>) {
    match value.get_ref() {
        DeValue::Array(items) => {
            for item in items {
                collect(item, leaves, keys);
            }
        }
        DeValue::Table(table) => {
            for (key, below) in table {
                keys.push(key.span().into());
                collect(below, leaves, keys);
            }
        }
        DeValue::Boolean(_) => keys.push(value.span().into()),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => {
            leaves.push(value.span().into());
        }
    }
}

/// Byte by byte, so that a character of several bytes becomes as many stars and every offset stays.
fn hide(bytes: &mut [u8], place: Place, with: u8) {
    if let Some(stretch) = bytes.get_mut(place.start..place.end) {
        for byte in stretch.iter_mut().filter(|byte| !matches!(**byte, b'\n' | b'\r')) {
            *byte = with;
        }
    }
}

/// A comment may hold yesterday's secret. It becomes blank.
fn hide_comments(bytes: &mut [u8], tokens: &[Place]) {
    let mut at = 0;
    let mut next = tokens.iter().peekable();
    while at < bytes.len() {
        while next.next_if(|token| token.end <= at).is_some() {}
        if let Some(token) = next.peek().filter(|token| token.start <= at) {
            at = token.end;
        } else if bytes.get(at) == Some(&b'#') {
            let end = bytes.iter().skip(at).position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length);
            hide(bytes, Place { start: at, end }, b' ');
            at = end;
        } else {
            at += 1;
        }
    }
}

/// Keeps a line whose only key is known to hold no secret, and hides the rest after the first `=`, or wholly without one.
fn hide_suspicious_lines(bytes: &mut [u8], text: &str, safe_keys: &[&str]) {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let lower = line.to_ascii_lowercase();
        let key = line.split_once('=').map(|(key, _)| key);
        let is_safe = key.is_some_and(|key| safe_keys.contains(&key.trim().trim_matches('"')))
            && line.matches('=').count() == 1
            && !SECRET_WORDS.iter().any(|word| lower.contains(word));
        let is_header =
            line.starts_with('[') && key.is_none() && !line.trim_end().contains(['"', '\'', ' ', '\t', '#']);
        if !is_safe && !is_header || has_opaque_word(key.map_or(line, |key| line.get(key.len()..).unwrap_or_default()))
        {
            let from = key.map_or(start, |key| start + key.len() + 1);
            hide(bytes, Place { start: from, end }, b'*');
        }
        start = end;
    }
}
