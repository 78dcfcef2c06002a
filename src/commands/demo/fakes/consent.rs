//! The page on which a user allows an app something, and where it leads.

use askama::Template;
use http::{Method, StatusCode};

use crate::commands::demo::fakes::{Code, Fake};
use crate::commands::demo::site::{self, Asked, Said};
use crate::monday::mint::Mint;

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
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem }
button { font: inherit; padding: .5rem 1.25rem }
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% if let Some(action) = action %}<form method="post" action="{{ action }}">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</form>
{% endif %}</main>
<footer><p>{{ name }} is the demo's own stand-in: it runs on your machine, and nothing leaves it.</p></footer>
</body>
</html>
"#
)]
struct Consent {
    title: String,
    lines: Vec<String>,
    action: Option<String>,
    name: &'static str,
}

impl Fake {
    /// Asks the user.
    pub(super) fn consent_page(&self, asked: &Asked) -> Said {
        if let Some(said) = self.refused(asked) {
            return said;
        }
        let example = Mint::default();
        let app = self.0.client.app;
        let lines = vec![
            format!("You are signed in as user {} of account {}.", example.user_id, example.account_id),
            format!("{app} wants: {}", asked.parameter("scope")),
        ];
        let action = Some(format!("/oauth2/authorize/decide?{}", asked.query));
        self.page(StatusCode::OK, format!("{}: allow {app}?", self.name()), (lines, action))
    }

    /// The user has said yes or no.
    pub(super) fn decide(&self, asked: &Asked) -> Said {
        if asked.method != Method::POST {
            return self.consent_page(asked);
        }
        if let Some(said) = self.refused(asked) {
            return said;
        }
        let mut back = form_urlencoded::Serializer::new(String::new());
        if asked.field("decision") == "allow" {
            let code = self.secret("code");
            let scope = asked.parameter("scope");
            back.append_pair("code", &code).append_pair("scope", &scope).append_pair("status", "success");
            let pending = Code { challenge: asked.parameter("code_challenge"), scope };
            self.0.state.borrow_mut().codes.insert(code, pending);
        } else {
            back.append_pair("error", "access_denied");
        }
        back.append_pair("state", &asked.parameter("state"));
        site::see(&format!("{}?{}", self.0.client.redirect_uri, back.finish()))
    }

    /// What is wrong with a request must not be sent back to whoever made it.
    fn refused(&self, asked: &Asked) -> Option<Said> {
        let is = |name: &str, value: &str| asked.parameter(name) == value;
        let client = &self.0.client;
        let why = if !is("client_id", client.id) {
            "client_id is not registered"
        } else if !is("redirect_uri", &client.redirect_uri) {
            "redirect_uri is not registered"
        } else if !is("response_type", "code") {
            "response_type is not code"
        } else if !is("code_challenge_method", "S256") || asked.parameter("code_challenge").len() != 43 {
            "code_challenge is required"
        } else if asked.parameter("state").is_empty() {
            "state is missing"
        } else {
            return None;
        };
        let title = format!("{}: this request is refused", self.name());
        Some(self.page(StatusCode::BAD_REQUEST, title, (vec![why.to_owned()], None)))
    }

    fn page(&self, status: StatusCode, title: String, (lines, action): (Vec<String>, Option<String>)) -> Said {
        let page = Consent { title, lines, action, name: self.name() };
        site::page(status, page.render().unwrap_or_default())
    }
}
