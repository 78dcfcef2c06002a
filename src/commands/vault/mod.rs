//! `monday-gateway vault`: looks after what the gateway keeps. Each command is a file. They open the store of gateway.toml beside a running
//! gateway, which hears of what they change. Tokens and keys are never printed; whatever takes long says how far it is, and may be
//! interrupted and run again.

mod archive;
mod carry;
mod export;
mod import;
mod key;
mod list;
mod migrate;
mod progress;
mod rekey;
mod revoke;
mod show;
mod status;
mod tokens;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::commands::with_config;
use crate::config::Secrets;
use crate::config::resolved::Config;
use crate::config::resolved::grants::VaultSettings;
use crate::grants::journal::JournalFault;
use crate::seal::{KeyRing, SealFault};
use crate::vault::{AddressFlaw, Vault, VaultFault};

/// Look after the vault: who has connected, its keys, backups, another store.
#[derive(Debug, Args)]
pub(crate) struct VaultArgs {
    #[command(subcommand)]
    command: VaultCommand,
}

#[derive(Debug, Subcommand)]
enum VaultCommand {
    Key(key::KeyArgs),
    Status(status::StatusArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Revoke(revoke::RevokeArgs),
    Rekey(rekey::RekeyArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Migrate(migrate::MigrateArgs),
}

/// What `vault show` says of a grant, for the demo.
pub(in crate::commands) async fn shown(vault: &Vault, grant: String) -> Result<String, String> {
    let answer = show::run(&show::ShowArgs { grant, json: false }, vault).await;
    answer.map(|answer| answer.text).map_err(|fault| fault.to_string())
}

/// What a command has to say when it is done.
#[derive(Debug)]
struct Answer {
    /// For a person.
    text: String,
    /// For a program.
    json: Value,
    /// Whether everything was done that was asked for.
    is_whole: bool,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum CommandFault {
    #[error("gateway.toml has no [vault]")]
    NoVault,
    #[error(transparent)]
    Vault(#[from] VaultFault),
    #[error("vault.keys: {0}")]
    Keys(SealFault),
    #[error(transparent)]
    Address(#[from] AddressFlaw),
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error("{}: {fault}", file.display())]
    File { file: PathBuf, fault: io::Error },
    #[error("{0}")]
    Words(String),
    #[error("interrupted: what is done is done; run the same command again to go on")]
    Interrupted,
}

impl CommandFault {
    fn words(words: impl Into<String>) -> Self {
        Self::Words(words.into())
    }

    fn file(file: &Path) -> impl FnOnce(io::Error) -> Self {
        |fault| Self::File { file: file.to_owned(), fault }
    }
}

/// Runs the command; 0 when all of it was done.
pub(crate) fn run(args: &VaultArgs, file: &Path) -> ExitCode {
    match &args.command {
        VaultCommand::Key(args) => key::run(args),
        command => with_config(file, Secrets::Read, |config| speak(command, config)),
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]
fn speak(command: &VaultCommand, config: &Config) -> ExitCode {
    let answer = io_runtime().and_then(|runtime| runtime.block_on(interruptible(command, config)));
    match answer {
        Ok(ref answer) if command.speaks_json() => println!("{:#}", answer.json),
        Ok(ref answer) => print!("{}", answer.text),
        Err(ref fault) => eprintln!("error: {fault}"),
    }
    match answer {
        Ok(Answer { is_whole: true, .. }) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn io_runtime() -> Result<tokio::runtime::Runtime, CommandFault> {
    let building = tokio::runtime::Builder::new_current_thread().enable_all().build();
    building.map_err(|fault| CommandFault::words(format!("no runtime: {fault}")))
}

/// Until it is done, or Ctrl-C. What is in the middle of being written is written or not, never half.
async fn interruptible(command: &VaultCommand, config: &Config) -> Result<Answer, CommandFault> {
    tokio::select! {
        answer = answer(command, config) => answer,
        _ = tokio::signal::ctrl_c() => Err(CommandFault::Interrupted),
    }
}

async fn answer(command: &VaultCommand, config: &Config) -> Result<Answer, CommandFault> {
    let settings = config.vault.as_ref().ok_or(CommandFault::NoVault)?;
    let vault = open(settings).await?;
    match command {
        VaultCommand::Key(_) => Err(CommandFault::words("a new key needs no vault")),
        VaultCommand::Status(args) => status::run(args, &vault, settings).await,
        VaultCommand::List(args) => list::run(args, &vault).await,
        VaultCommand::Show(args) => show::run(args, &vault).await,
        VaultCommand::Revoke(args) => revoke::run(args, &vault, config, settings).await,
        VaultCommand::Rekey(_) => rekey::run(&vault).await,
        VaultCommand::Export(args) => export::run(args, &vault).await,
        VaultCommand::Import(args) => import::run(args, &vault, config).await,
        VaultCommand::Migrate(args) => migrate::run(args, &vault, settings).await,
    }
}

impl VaultCommand {
    fn speaks_json(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Status(args) => args.json,
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Revoke(args) => args.json,
            Self::Rekey(args) => args.json,
            Self::Export(args) => args.json,
            Self::Import(args) => args.json,
            Self::Migrate(args) => args.json,
        }
    }
}

/// The vault of the configuration.
async fn open(settings: &VaultSettings) -> Result<Vault, CommandFault> {
    let keys = KeyRing::new(&settings.keys).map_err(CommandFault::Keys)?;
    Ok(Vault::open(&settings.store, keys).await?)
}

/// "1 grant", "2 grants".
fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
