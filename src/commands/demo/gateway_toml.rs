//! The gateway.toml of the demo: an app with a route for each kind of request, and one whose users connect accounts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::commands::demo::scene::{APP_ID, CLIENT_ID, base};
use crate::monday::kinds::{KINDS, Kind};

/// The app that needs grants.
pub(super) const TRACKER_CLIENT_ID: &str = "7a1fdemo7a1fdemo7a1fdemo7a1fdemo";
/// Its number.
pub(super) const TRACKER_APP_ID: i64 = 10_012_346;
/// What gateway.toml calls the provider.
pub(super) const PROVIDER: &str = "codehost";
/// As what the app is registered there.
pub(super) const PROVIDER_CLIENT_ID: &str = "demo-tracker";

/// Where everybody else of the demo listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Players {
    /// The backend.
    pub(super) backend: SocketAddr,
    /// Who plays monday.com.
    pub(super) monday: SocketAddr,
    /// Who plays a provider.
    pub(super) provider: SocketAddr,
    /// The page that people come from.
    pub(super) board: SocketAddr,
}

/// All of it.
pub(super) fn gateway_toml(port: u16, players: Players, folder: &Path) -> String {
    let (nobody, backend) = (folder.join("nobody.sock"), players.backend);
    let mut toml = format!(
        r#"# The gateway of `monday-gateway demo`.
[server]
listen     = "127.0.0.1:{port}"
public_url = "https://127.0.0.1:{port}"
workers    = 2

[server.tls]
certificate = "server.pem"
private_key = "server.key"

[log]
format = "json"
access = {{ file = "access.log" }}

[apps.planner]
client_id      = "{CLIENT_ID}"
app_id         = {APP_ID}
client_secret  = {{ file = "client_secret" }}
signing_secret = {{ file = "signing_secret" }}

[upstreams.backend]
servers = ["http://{backend}"]

# Nobody listens here: to see what becomes of a request when a backend is down.
[upstreams.down]
servers = ["unix:{nobody}"]

[[routes]]
path     = "/planner/down"
app      = "planner"
kind     = "action"
upstream = "down"

[[routes]]
path     = "/planner/admins/{{*rest}}"
app      = "planner"
kind     = "view"
upstream = "backend"
allow    = {{ admin_only = true }}
"#,
        nobody = nobody.display(),
    );
    for row in KINDS.iter().filter(|row| row.kind != Kind::Jwt) {
        let (kind, base) = (row.name, base(row.kind));
        let app = if row.kind == Kind::Public { "" } else { "app      = \"planner\"\n" };
        let more = if row.kind == Kind::Action {
            "inject.headers = { \"X-Tenant\" = \"account-{account_id}\" }\n"
        } else {
            ""
        };
        let _written = writeln!(
            toml,
            "\n[[routes]]\npath     = \"{base}/{{*rest}}\"\n{app}kind     = \"{kind}\"\nupstream = \"backend\""
        );
        toml.push_str(more);
    }
    toml.push_str(&grants(port, players));
    toml
}

/// The app whose Authorization URL the gateway serves, and what it needs.
fn grants(port: u16, Players { backend: _, monday, provider, board }: Players) -> String {
    format!(
        r#"
# An app with an Authorization URL: the gateway asks the user, keeps the grants, and tells the backend the tokens.
[apps.tracker]
client_id      = "{TRACKER_CLIENT_ID}"
app_id         = {TRACKER_APP_ID}
client_secret  = {{ file = "tracker_client_secret" }}
signing_secret = {{ file = "tracker_signing_secret" }}
scopes         = ["me:read", "boards:read"]

[apps.tracker.authorization]
path    = "/tracker/authorize"
grants  = ["monday", "{PROVIDER}"]
back_to = ["127.0.0.1:{port}"]

[providers.{PROVIDER}]
name           = "Demo Code Host"
authorize_url  = "http://{provider}/oauth2/authorize"
token_url      = "http://{provider}/oauth_ms/oauth/token"
revoke_url     = "http://{provider}/oauth_ms/oauth/revoke"
client_id      = "{PROVIDER_CLIENT_ID}"
client_secret  = {{ file = "provider_client_secret" }}
authentication = "body"
scopes         = ["issues"]

# The demo's own monday.com.
[monday]
auth_url = "http://{monday}"
api_url  = "http://{monday}/v2"

[vault]
store = "sqlite:vault.db"
keys  = [{{ file = "vault_key" }}]

# The page that people come from and go back to.
[upstreams.board]
servers = ["http://{board}"]

[[routes]]
path     = "/board/{{*rest}}"
kind     = "public"
upstream = "board"

[[routes]]
path     = "/tracker/actions/{{*rest}}"
app      = "tracker"
kind     = "action"
upstream = "backend"
require  = ["monday", "{PROVIDER}"]

[[routes]]
path     = "/tracker/lifecycle"
app      = "tracker"
kind     = "app-lifecycle"
upstream = "backend"
"#
    )
}
