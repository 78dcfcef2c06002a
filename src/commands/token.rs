//! `monday-gateway token`: a token as monday would make it, for curl and for tests. Signed with the secrets of
//! gateway.toml: whoever may read those could make it anyway.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::clock::Clock;
use crate::commands::minting::{self, MintArgs, MintFault};
use crate::config::resolved::Config;

/// Make a token as monday.com would.
///
/// Prints the token alone, so that it can be used in a command line. It is as good as a real one for whatever trusts the
/// secrets of this gateway.toml; its short-lived API token is not, since only monday can make one.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway token
      For an action.

  curl -H \"Authorization: $(monday-gateway token --kind view)\" https://localhost:8443/planner/api/
      As the app's own front end.

  monday-gateway token --kind view --claims '{\"dat\":{\"is_guest\":true}}'
      A guest's.

  monday-gateway token --expired | monday-gateway explain token
      And why it is refused.")]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    mint: MintArgs,
    /// Print a JSON object: the token, its claims, the app, and which secret signed it.
    #[arg(long)]
    json: bool,
}

/// Runs the command; 0 when a token was printed.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: &TokenArgs, config: &Config) -> ExitCode {
    match output(args, config, &Clock::system()) {
        Ok(output) => {
            println!("{output}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn output(args: &TokenArgs, config: &Config, clock: &Clock) -> Result<String, MintFault> {
    let minted = minting::mint(&args.mint, config, None, clock.unix_seconds())?;
    if !args.json {
        return Ok(minted.token);
    }
    let place = minting::query_place(args.mint.kind).map_or("Authorization", |name| name);
    Ok(json!({
        "token": minted.token,
        "claims": minted.claims,
        "app": minted.app,
        "kind": args.mint.kind.name(),
        "signed_with": minted.secret,
        "place": place,
    })
    .to_string())
}
