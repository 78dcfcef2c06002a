//! The backend of the demo: answers each request with what it received, and remembers it. HTTP/1.1 on a port of its own.
//! Knows no monday.com and no token: it believes what stands in the header.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::commands::demo::site::{self, Asked, Said};

/// Requests that are remembered; the tables need fewer, and curl may send any number.
const REMEMBERED: usize = 1024;
/// Characters of a value that are shown.
const SHOWN: usize = 48;

/// One request as the backend saw it.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Its method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) target: String,
    /// All fields.
    pub(super) headers: HeaderMap,
    /// Bytes of the body.
    pub(super) body: usize,
}

/// What the backend has seen, by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Rc<RefCell<HashMap<String, Received>>>);

impl Seen {
    /// What came to this path last.
    pub(super) fn at(&self, path: &str) -> Option<Received> {
        self.0.borrow().get(path).cloned()
    }

    /// What came to this path last, which is then forgotten.
    pub(super) fn take(&self, path: &str) -> Option<Received> {
        self.0.borrow_mut().remove(path)
    }

    fn remember(&self, path: &str, received: &Received) {
        let mut seen = self.0.borrow_mut();
        if seen.len() < REMEMBERED || seen.contains_key(path) {
            seen.insert(path.to_owned(), received.clone());
        }
    }
}

/// Answers, and remembers.
pub(super) fn answer(asked: Asked, seen: &Seen) -> Said {
    let received =
        Received { target: asked.target(), method: asked.method, headers: asked.headers, body: asked.length };
    seen.remember(&asked.path, &received);
    site::json(StatusCode::OK, &received.to_json())
}

impl Received {
    /// What curl is shown.
    fn to_json(&self) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .keys()
            .map(|name| {
                let values: Vec<_> =
                    self.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
                let limit = if is_token(name.as_str()) { 8 } else { SHOWN };
                (name.to_string(), Value::String(shortened(&values.join(", "), limit)))
            })
            .collect();
        json!({ "the backend received": { "method": self.method.as_str(), "target": self.target, "headers": headers, "body bytes": self.body } })
    }

    /// The value of a field; empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Whether a field carries what nobody else should read.
pub(super) fn is_token(name: &str) -> bool {
    name == AUTHORIZATION.as_str() || name == "x-monday-api-key" || name.ends_with("-access-token")
}

/// The beginning of a long text.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
