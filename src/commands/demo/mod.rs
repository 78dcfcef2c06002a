//! `monday-gateway demo`: the gateway at work, with nothing else on the machine. A certificate, a small backend and a gateway in
//! front of it; each kind of request as monday sends it, and those that must not pass; a table of what came out, each line
//! judged. Then a user who connects accounts, at a monday.com and a provider of the demo's own, and what becomes of that. Then it stays up
//! for a browser and curl. Leaves nothing behind.

mod attacks;
mod backend;
mod board;
mod cases;
mod expected;
mod fakes;
mod gateway_toml;
mod play;
mod scene;
mod site;
mod stage;
mod story;
mod table;
mod telling;

use std::io;
use std::process::ExitCode;

use clap::Args;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::commands::FAILED;
use crate::gateway::assemble::StartFault;
use crate::seal::SealFault;
use crate::vault::VaultFault;

use self::play::Row;
use self::scene::SceneFault;
use self::stage::Stage;
use self::story::Chapter;
use self::table::Paint;

/// See the gateway at work.
///
/// Needs no configuration, no app at monday.com and no network: it makes a certificate, starts a small backend that shows what
/// it receives, and a gateway in front of it. Then it plays monday.com. It sends each kind of request that monday sends, and each
/// again as an attacker might: without a token, with changed claims, expired, with `alg: none`, signed with another secret, with the token
/// of another kind, with the gateway's own headers forged. The tables show what the caller was answered, what the backend was
/// told, and what monday would do with the answer.
///
/// Then a user connects what an app needs, at a monday.com and a provider that the demo plays itself: the Authorization URL, both
/// consent pages, the tokens in the backend's headers, a refresh, a grant that is lost and connected again, an uninstall.
///
/// Then it stays up, and prints a link for your browser, with which you can click through all that yourself, and curl commands to
/// try. Ctrl-C ends it and removes its files.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway demo
      All of it, and then a gateway to play with, in a browser and with curl.

  monday-gateway demo --once
      Without staying up. The exit code is 0 only if all was as it should be: a self-test of this machine.

  monday-gateway demo --show-config --once
      With the gateway.toml that it ran with: a start for one's own.

  monday-gateway demo --json | jq '.rows[] | select(.reached == false) | .reason'
      For programs.")]
#[expect(clippy::struct_excessive_bools, reason = "three switches of a command line")]
pub(crate) struct DemoArgs {
    /// End after that; the exit code says whether all was as it should be.
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
    #[error("the demo's vault: {0}")]
    Vault(#[from] VaultFault),
    #[error("the demo's vault: {0}")]
    Keys(#[from] SealFault),
    #[error("this machine: {0}")]
    Machine(#[from] io::Error),
}

/// What came of it.
#[derive(Debug)]
struct Shown {
    rows: Vec<Row>,
    chapters: Vec<Chapter>,
}

impl Shown {
    fn is_right(&self) -> bool {
        self.rows.iter().all(Row::is_right) && self.chapters.iter().all(Chapter::is_right)
    }
}

/// Runs the command; 0 when all was as it should be.
#[expect(clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: DemoArgs) -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    match runtime.map_err(DemoFault::from).and_then(|runtime| runtime.block_on(show(args))) {
        Ok(shown) if shown.is_right() => ExitCode::SUCCESS,
        Ok(_) => FAILED,
        Err(fault) => {
            eprintln!("error: {fault}");
            FAILED
        }
    }
}

async fn show(args: DemoArgs) -> Result<Shown, DemoFault> {
    let told = told_to_end()?;
    let clock = Clock::system();
    let stage = Stage::set(args.port, &clock).await?;
    let cast = &stage.cast;
    if args.show_config && !args.json {
        say(&format!("{}\n", cast.scene.toml));
    }
    let now = clock.unix_seconds();
    let rows = play::play(&cast.scene, cases::all(&cast.scene.monday(now)), &cast.seen).await;
    if !args.json {
        say(&table::to_text(&rows, Paint::for_stdout()));
    }
    let chapters = story::tell(cast).await;
    if args.json {
        let config = args.show_config.then_some(cast.scene.toml.as_str());
        say(&format!("{:#}\n", table::to_json(&rows, &chapters, config)));
    } else {
        say(&telling::to_text(&chapters, Paint::for_stdout()));
    }
    if !args.once && !args.json {
        say(&telling::to_click(&cast.scene));
        say(&table::to_try(&cast.scene, now));
        told.await;
    }
    stage.clear().await;
    Ok(Shown { rows, chapters })
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
