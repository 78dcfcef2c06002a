//! `monday-gateway demo`: the gateway at work, with nothing else on the machine. A certificate, a small backend and a gateway in
//! front of it; each kind of request as monday sends it, and those that must not pass; a table of what came out, each line
//! judged. Then it stays up for curl. Leaves nothing behind.

mod attacks;
mod backend;
mod cases;
mod expected;
mod play;
mod scene;
mod table;

use std::io;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::commands::FAILED;
use crate::gateway::assemble::{Gateway, StartFault, metrics};

use self::backend::Seen;
use self::play::Row;
use self::scene::{Scene, SceneFault};
use self::table::Paint;

/// See the gateway at work.
///
/// Needs no configuration, no app at monday.com and no network: it makes a certificate, starts a small backend that shows what
/// it receives, and a gateway in front of it. Then it plays monday.com. It sends each kind of request that monday sends, and each
/// again as an attacker might: without a token, with changed claims, expired, with `alg: none`, signed with another secret, with the token
/// of another kind, with the gateway's own headers forged. The tables show what the caller was answered, what the backend was
/// told, and what monday would do with the answer.
///
/// Then it stays up, and prints curl commands to try. Ctrl-C ends it and removes its files.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway demo
      The tables, and then a gateway and a backend to play with.

  monday-gateway demo --once
      The tables alone. The exit code is 0 only if all was as it should be: a self-test of this machine.

  monday-gateway demo --show-config --once
      With the gateway.toml that it ran with: a start for one's own.

  monday-gateway demo --json | jq '.rows[] | select(.reached == false) | .reason'
      For programs.")]
#[expect(clippy::struct_excessive_bools, reason = "three switches of a command line")]
pub(crate) struct DemoArgs {
    /// End after the tables; the exit code says whether all was as it should be.
    #[arg(long)]
    once: bool,
    /// Print a JSON object instead of tables, and end after it.
    #[arg(long)]
    json: bool,
    /// Print the gateway.toml, too.
    #[arg(long)]
    show_config: bool,
    /// The gateway's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// Why there was nothing to see.
#[derive(Debug, thiserror::Error)]
enum DemoFault {
    #[error(transparent)]
    Scene(#[from] SceneFault),
    #[error("the gateway does not start: {0}")]
    Start(#[from] StartFault),
    #[error("this machine: {0}")]
    Machine(#[from] io::Error),
}

/// Runs the command; 0 when all was as it should be.
#[expect(clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: DemoArgs) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    match runtime.map_err(DemoFault::from).and_then(|runtime| runtime.block_on(show(args))) {
        Ok(rows) if rows.iter().all(Row::is_right) => ExitCode::SUCCESS,
        Ok(_) => FAILED,
        Err(fault) => {
            eprintln!("error: {fault}");
            FAILED
        }
    }
}

async fn show(args: DemoArgs) -> Result<Vec<Row>, DemoFault> {
    let told = told_to_end()?;
    let clock = Clock::system();
    let seen = Seen::default();
    let backend = backend::start(&seen).await?;
    let scene = Scene::set(args.port, backend, &clock)?;
    let metrics = metrics(&scene.config, &clock)?;
    let gateway = Gateway::start(&scene.config, metrics, clock.clone()).await?;
    let now = clock.unix_seconds();
    let cases = cases::all(&scene.monday(now));
    let rows = play::play(&scene, cases, &seen).await;
    if args.json {
        say(&format!("{:#}\n", table::to_json(&rows, args.show_config.then_some(scene.toml.as_str()))));
    } else {
        if args.show_config {
            say(&format!("{}\n", scene.toml));
        }
        say(&table::to_text(&rows, Paint::for_stdout()));
    }
    if !args.once && !args.json {
        say(&table::to_try(&scene, now));
        told.await;
    }
    gateway.stop().await;
    Ok(rows)
}

#[expect(clippy::print_stdout, reason = "a command speaks to a person")]
fn say(text: &str) {
    print!("{text}");
}

/// Ends with Ctrl-C or a SIGTERM, also with one that comes before anybody waits: the folder is removed in any case.
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests;
