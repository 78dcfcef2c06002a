//! Services that the gateway knows: one word in the file instead of a dozen keys.

use crate::config::sheet::{At, Sheet};
use crate::config::suggest::suggest;
use crate::oauth::provider::Client;

/// What a preset calls its service, and a client without id and secret.
pub(crate) fn preset(name: &At<String>, sheet: &mut Sheet<'_>) -> Option<(String, Client)> {
    let known: [&str; 0] = [];
    sheet.refuse(name.place, format!("there is no preset `{}`", name.is), suggest(&name.is, &known))
}
