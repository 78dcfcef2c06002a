//! The page that the demo's users come from and go back to, in monday.com's place: buttons for what a user, an admin and monday.com do, and
//! below them exactly the headers that the backend got. Served by the demo, reached through the gateway like any public page.

use std::rc::Weak;

use askama::Template;
use http::{Method, StatusCode};

use crate::commands::demo::scene::BACK_TO;
use crate::commands::demo::site::{self, Asked, Said};
use crate::commands::demo::story::{Came, Cast, kept};
use crate::monday::mint::LIFETIME;

/// Where it is, on the gateway.
pub(super) const BOARD: &str = "/board";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
button { font: inherit; padding: .4rem 1rem; margin: .2rem 0 }
table { border-collapse: collapse }
th, td { text-align: start; vertical-align: top; padding: .1rem 1rem .1rem 0; font: .85rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere }
th { white-space: nowrap }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% if let Some(link) = link %}<p><a href="{{ link }}">Connect again, by the link of that answer</a></p>
{% endif %}{% if !headers.is_empty() %}<table>
<caption>All that the backend got</caption>
{% for (name, value) in headers %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
{% endif %}{% if let Some(body) = body %}<h2>What monday.com was answered</h2>
<pre>{{ body }}</pre>
{% endif %}<h2>What next?</h2>
<p><a href="/board/connect">Add the automation</a>: monday.com opens the app's Authorization URL.</p>
{% for (action, words, meaning) in buttons %}<form method="post" action="/board/{{ action }}"><button>{{ words }}</button> {{ meaning }}</form>
{% endfor %}<h2>What the vault keeps</h2>
<pre>{{ kept }}</pre>
</main>
<footer><p>This page is the demo's own, in monday.com's place. The tokens are worth nothing, so they are shown in full.</p></footer>
</body>
</html>
"#
)]
struct Board {
    title: String,
    lines: Vec<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    link: Option<String>,
    kept: String,
    buttons: [(&'static str, &'static str, &'static str); 3],
}

/// What can be done there.
const BUTTONS: [(&str, &str, &str); 3] = [
    ("run", "Run the automation", "monday.com calls the app's action."),
    ("forget", "Remove the app at Demo Code Host", "It refuses the gateway's next refresh, so the grant is lost."),
    ("uninstall", "Uninstall the app", "monday.com tells the gateway, whose grants go."),
];

/// Answers, as long as everybody plays.
pub(super) async fn answer(asked: Asked, cast: &Weak<Cast>) -> Said {
    let Some(cast) = cast.upgrade() else {
        return site::page(StatusCode::SERVICE_UNAVAILABLE, "The demo has ended.".to_owned());
    };
    let path = asked.path.strip_prefix(BOARD).unwrap_or_default();
    let board = match (&asked.method, path) {
        (&Method::GET, "/connect") => return site::see(&cast.authorization_url(LIFETIME)),
        (&Method::GET, "" | "/") => Board::new("A board of the demo").line("Nothing has happened yet."),
        (&Method::GET, _) if asked.path == BACK_TO => {
            let words = "You are back from the Authorization URL. Meanwhile monday.com has run the automation.";
            Board::new("Back on the board").line(words).ran(cast.run_action().await)
        }
        (&Method::POST, "/run") => Board::new("The automation ran").ran(cast.run_action().await),
        (&Method::POST, "/forget") => {
            cast.provider.forget();
            let words = "The app is removed there. Its token ends within seconds; run the automation then.";
            Board::new(&format!("{} forgets", cast.provider.name())).line(words)
        }
        (&Method::POST, "/uninstall") => match cast.uninstall().await {
            Ok(came) => Board::new("The app is uninstalled").line(&format!("The webhook's status: {}.", came.status)),
            Err(fault) => Board::new("The app is uninstalled").line(&fault),
        },
        _ => return site::page(StatusCode::NOT_FOUND, "Nothing is here.".to_owned()),
    };
    let kept = kept::shown(&cast.vault).await.unwrap_or_else(|fault| fault);
    let page = Board { kept, ..board };
    site::page(StatusCode::OK, page.render().unwrap_or_default())
}

impl Board {
    fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            lines: Vec::new(),
            headers: Vec::new(),
            body: None,
            link: None,
            kept: String::new(),
            buttons: BUTTONS,
        }
    }

    fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// What came of a run.
    fn ran(self, came: Result<Came, String>) -> Self {
        let came = match came {
            Ok(came) => came,
            Err(fault) => return self.line(&fault),
        };
        let link = came.reconnect_link();
        let Some(received) = came.received else {
            let words = format!("Status {}: the backend was not asked.", came.status);
            return Self { body: Some(came.body), link, ..self.line(&words) };
        };
        let value = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = received.headers.iter().map(|(name, text)| (name.to_string(), value(text))).collect();
        let words = format!("Status {}: {} {}", came.status, received.method, received.target);
        Self { headers, ..self.line(&words) }
    }
}
