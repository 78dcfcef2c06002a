//! A vault with many grants before the gateway starts: tokens as a team might have them, brought in by `vault import`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::answer::Answer;
use super::certificates::Authority;
use super::fake_monday::Monday;
use super::fake_provider::Provider;
use super::gateway::{Gateway, binary};
use super::mint::ACCOUNT;
use super::raw::{self, Raw};
use super::scene::{Scene, action_token_of, got};

/// One app, whose users have a grant of GitHub.
pub(crate) fn scene() -> Scene {
    let mut scene = Scene::with(Monday::v21(), vec![(Provider::standard("github"), String::new())]);
    scene.grants = vec!["github"];
    scene
}

/// The access token of a user.
pub(crate) fn token_of(user: usize) -> String {
    format!("gho_canary-{user:08}-0123456789abcdef0123456789abcdef")
}

/// Brings in a grant for each of the users from 1 to `count`. Returns how long that took.
pub(crate) fn import(scene: &Scene, folder: &Path, count: usize) -> Duration {
    Authority::new().leaf(&super::gateway::NAMES).write(folder, "server");
    std::fs::write(folder.join("gateway.toml"), scene.setup().toml()).unwrap();
    let mut text = "app,account_id,user_id,provider,access_token,refresh_token,expires_at,scopes\n".to_owned();
    for user in 1..=count {
        let token = token_of(user);
        writeln!(text, "planner,{ACCOUNT},{user},github,{token},ghr_canary-{user:08},1900000000,repo").unwrap();
    }
    let file = folder.join("tokens.csv");
    std::fs::write(&file, text).unwrap();
    let begun = Instant::now();
    let output = binary().args(["vault", "import", "tokens.csv"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(file).unwrap();
    begun.elapsed()
}

/// What a vault command says as JSON.
pub(crate) fn vault(folder: &Path, command: &str) -> serde_json::Value {
    let output = binary().args(["vault", command, "--json"]).current_dir(folder).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A gateway in that folder.
pub(crate) fn start(scene: &Scene, folder: TempDir) -> Gateway {
    Gateway::start_in(folder, Authority::new(), &scene.setup())
}

/// A connection that asks for one user after the other, and is made anew when the gateway has closed it.
pub(crate) struct Asking<'a> {
    gateway: &'a Gateway,
    connection: Option<Raw>,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(gateway: &'a Gateway) -> Self {
        Self { gateway, connection: None }
    }

    /// An action of that user, on a route that requires the grant; none if the connection was closed instead.
    pub(crate) async fn act(&mut self, user: usize) -> Option<Answer> {
        let token = action_token_of(ACCOUNT, i64::try_from(user).unwrap());
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.gateway.connect().await,
        };
        let lines = format!("Authorization: {token}\r\n");
        connection.send(&raw::request("POST", "/planner/needs/run", &lines, "{}")).await;
        let answer = connection.maybe_answer().await?;
        if answer.field("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Some(answer)
    }

    /// Why the user did not get his token, if he did not.
    pub(crate) async fn fault(&mut self, user: usize) -> Option<String> {
        let Some(answer) = self.act(user).await else { return Some("closed".into()) };
        let is_right = answer.status == 200 && got(&answer, "x-github-access-token") == Some(token_of(user));
        (!is_right).then(|| format!("{}: {} {}", user, answer.status, answer.text()))
    }
}
