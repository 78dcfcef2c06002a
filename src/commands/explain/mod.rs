//! `monday-gateway explain`: why the gateway decides as it does. One file a subject.

pub(crate) mod token;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::resolved::Config;

/// Say why a token is, or is not, accepted.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(subcommand)]
    subject: Subject,
}

/// What is to be explained.
#[derive(Debug, Subcommand)]
enum Subject {
    /// Why a token is accepted, or not.
    Token(token::ExplainTokenArgs),
}

/// Runs the command; 0 when the answer is yes.
pub(crate) fn run(args: &ExplainArgs, config: &Config) -> ExitCode {
    match &args.subject {
        Subject::Token(args) => token::run(args, config),
    }
}
