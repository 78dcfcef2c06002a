//! `vault list`: who has connected what. Names no token.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::commands::vault::{Answer, CommandFault};
use crate::grants::record::{Grant, GrantKey, State};
use crate::limits::VAULT_LIST;
use crate::telemetry::access_log::timestamp;
use crate::vault::{Record, Table, Vault, VaultFault};

/// List grants: whose, at which provider, and what became of them.
///
/// In the order of their names, `app/account/user/provider`; `-` for a user stands for the account's own.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway vault list --app planner --account 1825529
  monday-gateway vault list --app planner --state expired --json
  monday-gateway vault list --after planner/1825529/4012689/github")]
pub(crate) struct ListArgs {
    /// Only of this app
    #[arg(long)]
    app: Option<String>,
    /// Only of this monday account
    #[arg(long, requires = "app")]
    account: Option<i64>,
    /// Only of this monday user
    #[arg(long)]
    user: Option<i64>,
    /// Only at this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = ["ok", "expired", "revoked"])]
    state: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Go on after this grant
    #[arg(long, value_name = "GRANT")]
    after: Option<String>,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(args: &ListArgs, vault: &Vault) -> Result<Answer, CommandFault> {
    let prefix = match (&args.app, args.account) {
        (Some(app), Some(account)) => format!("{app}/{account}/"),
        (Some(app), None) => format!("{app}/"),
        (None, _) => String::new(),
    };
    let (found, more) = search(args, vault, &prefix).await?;
    let mut text: String = found.iter().map(|(key, grant)| line(key, grant)).collect();
    let next = more.then(|| found.last().map(|(key, _)| key.row())).flatten();
    if let Some(next) = &next {
        let _written = writeln!(text, "more: --after {next}");
    }
    if found.is_empty() {
        text.push_str("no grant\n");
    }
    let grants: Vec<Value> = found.iter().map(|(key, grant)| shown(key, grant)).collect();
    Ok(Answer { text, json: json!({ "grants": grants, "next": next }), is_whole: true })
}

/// What is wanted, up to the limit, and whether there is more.
async fn search(args: &ListArgs, vault: &Vault, prefix: &str) -> Result<(Vec<(GrantKey, Grant)>, bool), CommandFault> {
    let (mut found, mut after) = (Vec::new(), args.after.clone());
    loop {
        let page = vault.list(Table::Grants, prefix, after.as_deref(), VAULT_LIST).await?;
        let is_last = page.len() < VAULT_LIST;
        after = page.last().map(|record| record.key.clone());
        for record in &page {
            let (key, grant) = read(record)?;
            if is_wanted(args, &key, &grant) {
                found.push((key, grant));
            }
            if found.len() > args.limit {
                found.pop();
                return Ok((found, true));
            }
        }
        if is_last {
            return Ok((found, false));
        }
    }
}

fn is_wanted(args: &ListArgs, key: &GrantKey, grant: &Grant) -> bool {
    args.user.is_none_or(|user| key.user == Some(user))
        && args.account.is_none_or(|account| key.account == account)
        && args.provider.as_ref().is_none_or(|provider| *provider == key.provider)
        && args.state.as_deref().is_none_or(|state| state == state_name(grant.state))
}

/// A grant as the vault has it.
pub(super) fn read(record: &Record) -> Result<(GrantKey, Grant), VaultFault> {
    let key = GrantKey::of_row(&record.key);
    let grant = serde_json::from_slice(&record.plain).ok();
    key.zip(grant).ok_or_else(|| VaultFault::Refused(format!("{}: not what a gateway writes", record.key)))
}

/// The key of a grant that somebody has typed.
pub(super) fn named(grant: &str) -> Result<GrantKey, CommandFault> {
    let wrong = || {
        format!(
            "`{grant}` is no app/account/user/provider, as in planner/1825529/4012689/github; `-` for a user is the account's own"
        )
    };
    GrantKey::of_row(grant).ok_or_else(|| CommandFault::words(wrong()))
}

/// Its name in answers and filters.
pub(super) const fn state_name(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Expired => "expired",
        State::Revoked => "revoked",
    }
}

/// A moment for a person.
pub(super) fn moment(unix_seconds: i64) -> String {
    timestamp(u64::try_from(unix_seconds).unwrap_or(0).saturating_mul(1000)).replace(".000", "")
}

fn line(key: &GrantKey, grant: &Grant) -> String {
    let ends = grant.expires.map(|at| format!(", token until {}", moment(at))).unwrap_or_default();
    // Of what has ended, `renewed_at` is when.
    let since = if grant.state == State::Ok { grant.granted_at } else { grant.renewed_at };
    format!("{}  {}, since {}{ends}\n", key.row(), state_name(grant.state), moment(since))
}

/// Without tokens.
pub(super) fn shown(key: &GrantKey, grant: &Grant) -> Value {
    json!({
        "grant": key.row(),
        "app": key.app,
        "account_id": key.account,
        "user_id": key.user,
        "provider": key.provider,
        "state": state_name(grant.state),
        "scopes": grant.scopes,
        "granted_at": grant.granted_at,
        "renewed_at": grant.renewed_at,
        "expires_at": grant.expires,
        "granted_by": grant.granted_by,
        "refreshable": grant.refresh.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_was_taken_back_is_so_since_then() {
        let record = r#"{"state":"ok","access":"x","granted_at":1800000000,"renewed_at":1800003600}"#;
        let grant: Grant = serde_json::from_str(record).unwrap();
        let key = named("planner/1/2/github").unwrap();
        assert_eq!(line(&key, &grant), "planner/1/2/github  ok, since 2027-01-15T08:00:00Z\n");
        let revoked = grant.revoked(1_800_007_200);
        assert_eq!(line(&key, &revoked), "planner/1/2/github  revoked, since 2027-01-15T10:00:00Z\n");
    }
}
