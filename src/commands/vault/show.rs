//! `vault show`: one grant. Of a token it says how long it is and how it begins; no more than is on a support page.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::commands::vault::list::{moment, named, read, shown, state_name};
use crate::commands::vault::{Answer, CommandFault};
use crate::grants::record::State;
use crate::vault::{Table, Vault};

/// Show one grant, its tokens masked.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  monday-gateway vault show planner/1825529/4012689/github")]
pub(crate) struct ShowArgs {
    /// As `vault list` names it: app/account/user/provider
    pub(super) grant: String,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(args: &ShowArgs, vault: &Vault) -> Result<Answer, CommandFault> {
    named(&args.grant)?;
    let record = vault.get(Table::Grants, &args.grant).await?;
    let record = record.ok_or_else(|| CommandFault::words(format!("no grant {}", args.grant)))?;
    let (key, grant) = read(&record)?;
    let mut json = shown(&key, &grant);
    let values: Vec<&String> = grant.values.keys().collect();
    if let Some(object) = json.as_object_mut() {
        object.insert("version".to_owned(), json!(record.version));
        object.insert("access_token".to_owned(), json!(masked(&grant.access)));
        object
            .insert("refresh_token".to_owned(), grant.refresh.as_deref().map_or(Value::Null, |one| json!(masked(one))));
        object.insert("asked".to_owned(), json!(grant.asked));
        object.insert("values".to_owned(), json!(values));
    }
    let mut text = format!("{}\n", key.row());
    let mut told = |name: &str, value: String| {
        let _written = writeln!(text, "  {name:<14} {value}");
    };
    told("state", state_name(grant.state).to_owned());
    told("access token", masked(&grant.access));
    told("refresh token", grant.refresh.as_deref().map_or_else(|| "none".to_owned(), masked));
    told("token ends", grant.expires.map_or_else(|| "never, as far as is known".to_owned(), moment));
    told("scopes", listed(&grant.scopes));
    told("asked for", listed(&grant.asked));
    told("granted", moment(grant.granted_at));
    told(if grant.state == State::Ok { "renewed" } else { "ended" }, moment(grant.renewed_at));
    if let Some(by) = grant.granted_by {
        told("connected by", format!("user {by}"));
    }
    if !values.is_empty() {
        told("also has", values.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "));
    }
    Ok(Answer { text, json, is_whole: true })
}

fn listed(scopes: &[String]) -> String {
    if scopes.is_empty() { "none".to_owned() } else { scopes.join(" ") }
}

/// How it begins, if that leaves enough unsaid, and how long it is.
fn masked(token: &str) -> String {
    let begin: String = if token.chars().count() >= 24 { token.chars().take(4).collect() } else { String::new() };
    format!("{begin}******** ({} characters)", token.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_token_keeps_at_most_four_characters() {
        assert_eq!(masked("gho_0123456789012345678901234567890"), "gho_******** (35 characters)");
        assert_eq!(masked("short-token"), "******** (11 characters)");
        assert_eq!(masked(""), "******** (0 characters)");
    }
}
