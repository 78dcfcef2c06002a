//! What a person types: one file a command. Each has its arguments and `run`, which returns the exit code.

pub(crate) mod cert;
pub(crate) mod check;
pub(crate) mod demo;
mod effective;
pub(crate) mod explain;
pub(crate) mod health;
mod minting;
mod register;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod token;
pub(crate) mod vault;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::resolved::Config;
use crate::config::{self, Secrets};
use crate::tls;

/// The exit code of a command that did not do what it was asked.
pub(crate) const FAILED: ExitCode = ExitCode::FAILURE;

/// The auth gateway for monday.com apps.
///
/// Stands in front of an integration backend: terminates TLS, verifies the tokens that monday.com sends, and tells the backend
/// in request headers who is calling. Without a command it runs.
///
/// To begin: `monday-gateway demo` shows it at work; `monday-gateway cert` makes a development certificate;
/// `monday-gateway check` says what is wrong with a gateway.toml.
#[derive(Debug, Parser)]
#[command(name = "monday-gateway", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "MONDAY_GATEWAY_CONFIG",
        default_value = "gateway.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (the default).
    ///
    /// Reads the configuration, listens and serves. SIGTERM drains: readiness goes off, `server.drain.delay` passes, nothing
    /// new is accepted, what is under way finishes within `server.drain.deadline`. Ctrl-C drains without the delay. A second
    /// signal ends at once.
    Run,
    /// Say what is wrong with a gateway.toml, all at once; needs no network.
    Check(check::Args),
    /// See the gateway at work, with nothing else on the machine.
    Demo(demo::DemoArgs),
    /// Print the JSON Schema of gateway.toml, for editors.
    Schema,
    /// Say why a token is, or is not, accepted; or which route a URL takes, and why.
    Explain(explain::ExplainArgs),
    Token(token::TokenArgs),
    Send(Box<send::SendArgs>),
    Vault(vault::VaultArgs),
    /// Make a development certificate in certs/.
    Cert(cert::CertArgs),
    /// Ask a running gateway how it is; the exit code tells, for containers.
    Health {
        /// Ask only whether the process answers, not whether it should be sent requests.
        #[arg(long)]
        live: bool,
    },
    /// Print a completion script for a shell.
    ///
    /// For bash: monday-gateway completions bash > /etc/bash_completion.d/monday-gateway
    Completions {
        /// Whose.
        shell: Shell,
    },
}

/// Parses the arguments and runs the command that they name.
pub(crate) fn main() -> ExitCode {
    let Cli { config, command } = Cli::parse();
    tls::install_default_provider();
    match command.unwrap_or(Command::Run) {
        Command::Run => run::run(&config),
        Command::Check(args) => check::run(&config, args),
        Command::Demo(args) => demo::run(args),
        Command::Schema => schema::run(),
        Command::Explain(args) => with_config(&config, args.secrets(), |config| explain::run(&args, config)),
        Command::Token(args) => with_config(&config, Secrets::Read, |config| token::run(&args, config)),
        Command::Send(args) => with_config(&config, Secrets::Read, |config| send::run(&args, config)),
        Command::Vault(args) => vault::run(&args, &config),
        Command::Cert(args) => cert::run(&args),
        Command::Health { live } => with_config(&config, Secrets::Assume, |config| health(config, live)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "monday-gateway", &mut io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Runs a command that needs the configuration.
#[expect(clippy::print_stderr, reason = "the answer of a command")]
fn with_config(path: &Path, secrets: Secrets, command: impl FnOnce(&Config) -> ExitCode) -> ExitCode {
    match config::load(path, secrets) {
        Ok(loaded) => command(&loaded.config),
        Err(mistakes) => {
            eprint!("{mistakes}");
            FAILED
        }
    }
}

#[expect(clippy::print_stderr, reason = "the answer of a command")]
#[expect(clippy::fn_params_excessive_bools, reason = "a flag as clap reads it")]
fn health(config: &Config, live: bool) -> ExitCode {
    let question = if live { health::Question::Live } else { health::Question::Ready };
    if let Some(admin) = config.admin {
        return health::run(admin, question);
    }
    eprintln!("the configuration has no [admin] listener to ask");
    FAILED
}
