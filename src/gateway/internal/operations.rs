//! What the internal API can be asked: one row an operation. Routing, permissions and the OpenAPI document all come from this table.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::config::resolved::grants::Ability;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A fresh token of a grant.
    Read,
    /// Take a grant back.
    Revoke,
    /// Which grants an account has.
    List,
    /// A token for what the app sends to monday.
    Sign,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    /// What is asked.
    pub(super) ask: Ask,
    /// Its method.
    pub(super) method: Method,
    /// Its path; a segment in braces is a parameter.
    pub(super) path: &'static str,
    /// What a client needs for it.
    pub(super) ability: Ability,
    /// Its name in the OpenAPI document.
    pub(super) id: &'static str,
    /// What it is for.
    pub(super) summary: &'static str,
}

/// Path of one grant.
const GRANT: &str = "/v1/apps/{app}/accounts/{account}/users/{user}/grants/{provider}";

/// The table.
pub(super) const OPERATIONS: [Operation; 4] = [
    Operation {
        ask: Ask::Read,
        method: Method::GET,
        path: GRANT,
        ability: Ability::Read,
        id: "readGrant",
        summary: "A token of a user's grant that works now, refreshed first if it has to be. An account's grant stands in for a user's.",
    },
    Operation {
        ask: Ask::Revoke,
        method: Method::DELETE,
        path: GRANT,
        ability: Ability::Revoke,
        id: "revokeGrant",
        summary: "Takes a grant back: nobody is given its token any more, and the provider is told. The user `-` names the account's own.",
    },
    Operation {
        ask: Ask::List,
        method: Method::GET,
        path: "/v1/apps/{app}/accounts/{account}/grants",
        ability: Ability::List,
        id: "listGrants",
        summary: "Which grants an account and its users have given, page by page. No tokens.",
    },
    Operation {
        ask: Ask::Sign,
        method: Method::POST,
        path: "/v1/apps/{app}/tokens",
        ability: Ability::Sign,
        id: "signToken",
        summary: "A token for what the app sends to monday (trigger calls, results of asynchronous actions). It says the app's id and nothing else.",
    },
];

/// The segments of a path that a row has in braces, decoded.
#[derive(Debug, Default)]
pub(super) struct Named<'p>(Vec<(&'static str, Cow<'p, str>)>);

impl<'p> Named<'p> {
    /// The segment of that name; "" if the row has none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value.as_ref())
    }

    /// Reads a path by a row's.
    fn read(row: &'static str, path: &'p str) -> Option<Self> {
        let (mut rows, mut came) = (row.split('/'), path.split('/'));
        let mut named = Self::default();
        loop {
            match (rows.next(), came.next()) {
                (None, None) => return Some(named),
                (Some(own), Some(segment)) => match own.strip_prefix('{').and_then(|own| own.strip_suffix('}')) {
                    Some(name) => named.0.push((name, percent_decode_str(segment).decode_utf8().ok()?)),
                    None if own == segment => {}
                    None => return None,
                },
                _ => return None,
            }
        }
    }
}

/// What a request asks.
#[derive(Debug)]
pub(super) enum Asked<'p> {
    /// This.
    Operation(&'static Operation, Named<'p>),
    /// Nothing with this method; what `Allow` says.
    OtherMethods(String),
    /// Nothing.
    Nothing,
}

/// The row of a request.
pub(super) fn find<'p>(method: &Method, path: &'p str) -> Asked<'p> {
    static TABLE: [Operation; 4] = OPERATIONS;
    let mut methods = Vec::new();
    for operation in &TABLE {
        if let Some(named) = Named::read(operation.path, path) {
            if operation.method == *method {
                return Asked::Operation(operation, named);
            }
            methods.push(operation.method.as_str());
        }
    }
    if methods.is_empty() { Asked::Nothing } else { Asked::OtherMethods(methods.join(", ")) }
}
