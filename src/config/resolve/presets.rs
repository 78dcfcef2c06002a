//! Services that the gateway knows: one word in the file instead of a dozen keys.

use crate::config::resolve::oauth_client::plain;
use crate::config::sheet::{At, Sheet};
use crate::config::suggest::suggest;
use crate::oauth::provider::{Client, Endpoints};

/// What a preset calls its service, and a client without id and secret.
pub(crate) fn preset(name: &At<String>, sheet: &mut Sheet<'_>) -> Option<(String, Client)> {
    if name.is == "github" {
        let endpoints = Endpoints::Fixed {
            authorize: "https://github.com/login/oauth/authorize".parse().ok()?,
            token: "https://github.com/login/oauth/access_token".parse().ok()?,
            refresh: None,
            revoke: None,
            issuer: None,
        };
        return Some(("GitHub".to_owned(), plain(endpoints)));
    }
    let what = format!("there is no preset `{}`", crate::config::mask::quotable(&name.is));
    sheet.refuse(name.place, what, suggest(&name.is, &["github"]))
}
