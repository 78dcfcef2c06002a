//! `monday-gateway explain`: why the gateway decides as it does. One file a subject.

mod issued;
pub(crate) mod token;
pub(crate) mod url;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::Secrets;
use crate::config::resolved::Config;

/// Say why a token is, or is not, accepted; or which route a URL takes, and why.
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
    /// Which route a URL takes, and why; and what would refuse a request there.
    Url(url::ExplainUrlArgs),
}

impl ExplainArgs {
    /// Only tokens are judged by secrets.
    pub(crate) fn secrets(&self) -> Secrets {
        match self.subject {
            Subject::Token(_) => Secrets::Read,
            Subject::Url(_) => Secrets::Assume,
        }
    }
}

/// Runs the command; 0 when the answer is yes.
pub(crate) fn run(args: &ExplainArgs, config: &Config) -> ExitCode {
    match &args.subject {
        Subject::Token(args) => token::run(args, config),
        Subject::Url(args) => url::run(args, config),
    }
}
