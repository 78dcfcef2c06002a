//! `vault key`: a new key. The only secret that a command prints, since it is nowhere else yet.

use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use zeroize::Zeroizing;

use crate::commands::FAILED;
use crate::seal::KEY_BYTES;

/// Make a key for `vault.keys`: 32 random bytes in base64.
///
/// Keep it where the other secrets of the machine are, and a copy somewhere safe: without it nothing in the vault can be read
/// again. To rotate, put the new key first, `run` or `vault rekey`, and remove the old one when `vault status` counts none under it.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  monday-gateway vault key > /run/secrets/vault_key
      In gateway.toml: keys = [{ file = \"/run/secrets/vault_key\" }]")]
pub(crate) struct KeyArgs {}

/// Prints it.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(crate) fn run(_args: &KeyArgs) -> ExitCode {
    let Some(key) = make() else {
        eprintln!("error: this machine has no randomness");
        return FAILED;
    };
    println!("{}", *key);
    ExitCode::SUCCESS
}

/// A key as gateway.toml takes it.
pub(crate) fn make() -> Option<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(&mut key[..]).ok()?;
    Some(Zeroizing::new(STANDARD.encode(&key[..])))
}
