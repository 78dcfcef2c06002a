//! The gateway.toml of a test: a standard one with a route for each kind, and the parts that a test changes.

use std::fmt::Write as _;

use super::mint::{APP_ID, CLIENT, CLIENT_ID, KINDS, OTHER_CLIENT, OTHER_SIGNING, SIGNING};

/// A file in parts; each part is the lines of one table.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) plain: bool,
    /// The process's clock can be moved.
    pub(crate) movable_clock: bool,
    server: String,
    tls: String,
    limits: String,
    drain: String,
    log: String,
    app: String,
    upstreams: String,
    routes: String,
}

impl Setup {
    /// One app, one upstream named `backend`, no route.
    pub(crate) fn bare(backend: &str) -> Self {
        let plain_upstream = format!("[upstreams.backend]\nservers = [\"{backend}\"]\n");
        Self {
            plain: false,
            movable_clock: false,
            server: "public_url = \"https://gw.test\"\n".into(),
            tls: "certificate = \"server.pem\"\nprivate_key = \"server.key\"\n".into(),
            limits: String::new(),
            drain: "delay = \"0s\"\ndeadline = \"10s\"\n".into(),
            log: "format = \"json\"\naccess = \"stdout\"\nlevel = \"info\"\n".into(),
            app: format!(
                "client_id = \"{CLIENT_ID}\"\napp_id = {APP_ID}\nclient_secret = \"{CLIENT}\"\nsigning_secret = \"{SIGNING}\"\n"
            ),
            upstreams: plain_upstream,
            routes: String::new(),
        }
    }

    /// A route for each kind, at `/planner/KIND/{*rest}`.
    pub(crate) fn standard(backend: &str) -> Self {
        KINDS.iter().fold(Self::bare(backend), |setup, kind| setup.kind_route(kind.name, ""))
    }

    /// A route for one kind, at `/planner/KIND/{*rest}`, with more keys.
    pub(crate) fn kind_route(self, kind: &str, more: &str) -> Self {
        self.route(&format!("path = \"/planner/{kind}/{{*rest}}\"\nkind = \"{kind}\"\n{more}"))
    }

    /// A route of the app and the upstream `backend`, unless it names its own upstream.
    pub(crate) fn route(mut self, keys: &str) -> Self {
        let upstream = if keys.contains("upstream =") { "" } else { "upstream = \"backend\"\n" };
        let app = if keys.contains("app =") { "" } else { "app = \"planner\"\n" };
        write!(self.routes, "[[routes]]\n{app}{upstream}{keys}\n").unwrap();
        self
    }

    /// More keys of `[server]`.
    pub(crate) fn server(mut self, keys: &str) -> Self {
        writeln!(self.server, "{keys}").unwrap();
        self
    }

    /// More keys of `[server.tls]`.
    pub(crate) fn tls(mut self, keys: &str) -> Self {
        writeln!(self.tls, "{keys}").unwrap();
        self
    }

    /// `[server.tls]` replaced.
    pub(crate) fn only_tls(mut self, keys: &str) -> Self {
        self.tls = format!("{keys}\n");
        self
    }

    /// No TLS: plain HTTP on loopback.
    pub(crate) fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// More keys of `[server.limits]`.
    pub(crate) fn limits(mut self, keys: &str) -> Self {
        writeln!(self.limits, "{keys}").unwrap();
        self
    }

    /// `[server.drain]` replaced.
    pub(crate) fn drain(mut self, keys: &str) -> Self {
        self.drain = format!("{keys}\n");
        self
    }

    /// `[log]` replaced.
    pub(crate) fn log(mut self, keys: &str) -> Self {
        self.log = format!("{keys}\n");
        self
    }

    /// More keys of the app.
    pub(crate) fn app(mut self, keys: &str) -> Self {
        writeln!(self.app, "{keys}").unwrap();
        self
    }

    /// The app replaced.
    pub(crate) fn only_app(mut self, keys: &str) -> Self {
        self.app = format!("{keys}\n");
        self
    }

    /// More keys of the upstream that was named last.
    pub(crate) fn upstream(mut self, keys: &str) -> Self {
        writeln!(self.upstreams, "{keys}").unwrap();
        self
    }

    /// One more upstream.
    pub(crate) fn more_upstream(mut self, name: &str, server: &str) -> Self {
        writeln!(self.upstreams, "[upstreams.{name}]\nservers = [\"{server}\"]").unwrap();
        self
    }

    /// One more table, whole.
    pub(crate) fn table(mut self, text: &str) -> Self {
        writeln!(self.routes, "{text}").unwrap();
        self
    }

    /// A second app, `other`, with secrets of its own.
    pub(crate) fn other_app(mut self) -> Self {
        write!(
            self.upstreams,
            "[apps.other]\nclient_id = \"other\"\napp_id = 77\nclient_secret = \"{OTHER_CLIENT}\"\nsigning_secret = \"{OTHER_SIGNING}\"\n"
        )
        .unwrap();
        self
    }

    /// The text of the file.
    pub(crate) fn toml(&self) -> String {
        let tls = if self.plain { String::new() } else { format!("[server.tls]\n{}", self.tls) };
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{}{tls}[server.limits]\n{}[server.drain]\n{}[admin]\nlisten = \"127.0.0.1:0\"\n\
             [log]\n{}[apps.planner]\n{}{}{}",
            self.server, self.limits, self.drain, self.log, self.app, self.upstreams, self.routes
        )
    }
}
