//! The kinds of request as data: from a route's kind follow where its token is, which secret signs it, which shape its
//! claims have and what a failure must look like. One row a kind; nothing else in the gateway lists kinds.
//! monday's pages: "Authorization header", "Authorization URL", "Error handling", "App lifecycle webhooks".

/// What a request is. `Kind::row` has all that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    /// monday runs an action block.
    Action,
    /// A trigger is switched on.
    Subscribe,
    /// A trigger is switched off.
    Unsubscribe,
    /// The options of a remote list field.
    RemoteOptions,
    /// The fields of a dynamic mapping or object.
    FieldDefinitions,
    /// Credentials field and feature: list, delete, identify.
    Credentials,
    /// A webhook made by `create_webhook`.
    BoardWebhook,
    /// install, uninstall, subscriptions.
    AppLifecycle,
    /// `AppFeatureObject:create` and its like.
    FeatureLifecycle,
    /// The app's own front end in an iframe.
    View,
    /// A person's browser at the Authorization URL.
    Authorization,
    /// The other clients of the same backend, with tokens of an issuer.
    Jwt,
    /// Anyone; nobody is identified.
    Public,
}

/// Where the token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenPlace {
    /// The `Authorization` field.
    Header,
    /// The `Authorization` field or this query parameter.
    HeaderOrQuery(&'static str),
    /// This query parameter.
    Query(&'static str),
    /// There is none.
    Nowhere,
}

/// Which secret of the app signs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignedBy {
    /// The Signing Secret.
    Signing,
    /// The Client Secret.
    Client,
    /// The Signing Secret; if it does not fit, the Client Secret (monday's pages disagree).
    SigningThenClient,
    /// A key of the route's issuer.
    Issuer,
    /// Nothing is signed.
    Nobody,
}

/// Which claim shapes are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `accountId`, `userId` at the top.
    Flat,
    /// `dat.account_id`, `dat.user_id`, or flat.
    DatOrFlat,
    /// Flat, and `backToUrl` is required.
    FlatWithBackToUrl,
    /// As the issuer's table in gateway.toml says.
    Configured,
    /// No claims.
    None,
}

/// Who called, and so what a failure must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// monday's server.
    Server,
    /// A script in a browser.
    Script,
    /// A person's browser that navigates.
    Person,
    /// A program with a token of an issuer: no page, and nothing of monday's.
    Program,
    /// Unknown: by `Accept`.
    Anyone,
}

/// All that follows from a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// The kind.
    pub(crate) kind: Kind,
    /// Its name in gateway.toml, in `X-Monday-Kind` and in metrics.
    pub(crate) name: &'static str,
    /// Where the token is.
    pub(crate) token: TokenPlace,
    /// Which secret signs it.
    pub(crate) signed_by: SignedBy,
    /// Which claims it has.
    pub(crate) shape: Shape,
    /// Who called.
    pub(crate) caller: Caller,
    /// Seconds to the head of the answer, unless the route says otherwise.
    pub(crate) timeout: u64,
    /// Only monday's servers call it.
    pub(crate) only_monday: bool,
}

const SERVER: Row = Row {
    kind: Kind::Action,
    name: "action",
    token: TokenPlace::Header,
    signed_by: SignedBy::Signing,
    shape: Shape::Flat,
    caller: Caller::Server,
    timeout: 60,
    only_monday: true,
};

/// The table, in the order of `Kind`.
pub(crate) const KINDS: [Row; 13] = [
    Row { timeout: 55, ..SERVER },
    Row { kind: Kind::Subscribe, name: "subscribe", ..SERVER },
    Row { kind: Kind::Unsubscribe, name: "unsubscribe", ..SERVER },
    Row { kind: Kind::RemoteOptions, name: "remote-options", ..SERVER },
    Row { kind: Kind::FieldDefinitions, name: "field-definitions", ..SERVER },
    Row { kind: Kind::Credentials, name: "credentials", ..SERVER },
    Row { kind: Kind::BoardWebhook, name: "board-webhook", ..SERVER },
    Row {
        kind: Kind::AppLifecycle,
        name: "app-lifecycle",
        signed_by: SignedBy::Client,
        shape: Shape::DatOrFlat,
        ..SERVER
    },
    Row { kind: Kind::FeatureLifecycle, name: "feature-lifecycle", shape: Shape::DatOrFlat, ..SERVER },
    Row {
        kind: Kind::View,
        name: "view",
        token: TokenPlace::HeaderOrQuery("sessionToken"),
        signed_by: SignedBy::Client,
        shape: Shape::DatOrFlat,
        caller: Caller::Script,
        only_monday: false,
        ..SERVER
    },
    Row {
        kind: Kind::Authorization,
        name: "authorization",
        token: TokenPlace::Query("token"),
        signed_by: SignedBy::SigningThenClient,
        shape: Shape::FlatWithBackToUrl,
        caller: Caller::Person,
        only_monday: false,
        ..SERVER
    },
    Row {
        kind: Kind::Jwt,
        name: "jwt",
        signed_by: SignedBy::Issuer,
        shape: Shape::Configured,
        caller: Caller::Program,
        only_monday: false,
        ..SERVER
    },
    Row {
        kind: Kind::Public,
        name: "public",
        token: TokenPlace::Nowhere,
        signed_by: SignedBy::Nobody,
        shape: Shape::None,
        caller: Caller::Anyone,
        only_monday: false,
        ..SERVER
    },
];

/// A view's request whose token may only be in the field.
#[expect(clippy::indexing_slicing, reason = "done by the compiler, which would refuse a place that is not there")]
pub(crate) const VIEW_IN_HEADER: Row = Row { token: TokenPlace::Header, ..KINDS[Kind::View as usize] };

/// The names, as metrics number the kinds.
#[expect(clippy::indexing_slicing, reason = "done by the compiler, which would refuse a place that is not there")]
pub(crate) const KIND_NAMES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = KINDS[at].name;
        at += 1;
    }
    names
};

impl Kind {
    /// All that follows from it.
    #[expect(clippy::indexing_slicing, reason = "a test holds the table to the order of the enum")]
    pub(crate) const fn row(self) -> &'static Row {
        &KINDS[self as usize]
    }

    /// Its name in gateway.toml.
    pub(crate) const fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        KINDS.iter().find(|row| row.name == name).map(|row| row.kind)
    }
}

impl Row {
    /// Whether its token is monday's: signed with a secret of the app.
    pub(crate) const fn is_mondays(&self) -> bool {
        !matches!(self.signed_by, SignedBy::Issuer | SignedBy::Nobody)
    }

    /// Whether its claims can come under `dat`, where guests, viewers and admins are told apart.
    pub(crate) const fn has_dat(&self) -> bool {
        matches!(self.shape, Shape::DatOrFlat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_where_its_kind_points() {
        for row in &KINDS {
            assert_eq!(row.kind.row().name, row.name);
            assert_eq!(Kind::from_name(row.name), Some(row.kind));
        }
    }
}
