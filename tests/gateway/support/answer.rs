//! An answer as a test looks at it, whichever protocol and client it came through.

use serde_json::Value;

/// Status, fields in order, body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Statuses of the 1xx answers before it.
    pub(crate) interim: Vec<u16>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Answer {
    /// The first field of that name, in any case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// All fields of that name, in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the whole answer if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?} {}", self.text()))
    }

    /// What an echo backend received, as name and value.
    pub(crate) fn echoed(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 200, "{}", self.text());
        let pairs = self.json()["headers"].clone();
        serde_json::from_value(pairs).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The values of one field that an echo backend received.
    pub(crate) fn echoed_values(&self, name: &str) -> Vec<String> {
        let all = self.echoed();
        all.into_iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }
}
