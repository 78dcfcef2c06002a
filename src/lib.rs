//! The auth gateway for monday.com apps. The modules are the layers, highest first; a module names only later ones.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod internals;

mod commands;

mod gateway;

mod pipeline;

mod authorize;

mod grants;

mod snapshot;

mod issuers;

mod config;

mod oauth;
mod upstream;
mod vault;

mod monday;
mod tls;

mod headers;
mod jwt;
mod pages;
mod seal;

mod clock;
mod deadline;
mod json;
mod limits;
mod secret;
mod telemetry;

use std::process::ExitCode;

/// The program: reads its arguments, runs the command that they name, and returns its exit code.
pub fn main() -> ExitCode {
    secret::stay_out_of_core_files();
    // The only provider that is built in; named so that no other can take its place. An error says that it is there already.
    let _installed: Result<(), _> = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    commands::main()
}
