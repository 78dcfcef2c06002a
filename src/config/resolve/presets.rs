//! Services that the gateway knows: one word in the file instead of a dozen keys.

use crate::config::sheet::{At, Sheet};
use crate::config::suggest::suggest;
use crate::oauth::presets;
use crate::oauth::provider::Client;

/// What a preset calls its service, and a client without id and secret.
pub(crate) fn preset(name: &At<String>, sheet: &mut Sheet<'_>) -> Option<(String, Client)> {
    if let Some((display, client)) = presets::preset(&name.is) {
        return Some((display.to_owned(), client));
    }
    let what = format!("there is no preset `{}`", crate::config::mask::quotable(&name.is));
    sheet.refuse(name.place, what, suggest(&name.is, &presets::NAMES))
}
