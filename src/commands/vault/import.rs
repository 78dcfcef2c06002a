//! `vault import`: a backup, or the tokens that a team already has. Everything is read and judged before anything is written.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::commands::vault::archive::{ArchiveFault, MAGIC, Reader};
use crate::commands::vault::carry::{BATCH, Carried, Meeting, Tally, carry};
use crate::commands::vault::export::{PassphraseArgs, archive_fault};
use crate::commands::vault::progress::Progress;
use crate::commands::vault::tokens::{self, Mistake, Owner, Token};
use crate::commands::vault::{Answer, CommandFault, counted};
use crate::config::resolved::Config;
use crate::config::resolved::grants::Mode;
use crate::grants::record::GrantKey;
use crate::oauth::monday::{MeFault, me};
use crate::oauth::web::Web;
use crate::vault::{Table, Vault};

/// The provider that can say whose a token is.
const MONDAY: &str = "monday";
/// How long to wait when monday's API is asked too much.
const BUSY: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_mins(1),
];
/// Mistakes that are told one by one.
const TOLD: usize = 50;

/// Read a backup, or tokens that you already have, into the vault.
///
/// A backup is what `vault export` wrote. Tokens are CSV, whose first line names the columns, or a JSON list of objects:
/// `app`, `account_id`, `user_id`, `provider`, `access_token`, `refresh_token`, `expires_at`, `scopes`. The last three may be left out; `user_id` is - for
/// a grant that is the account's; where ids are missing, monday's API is asked whose the token is. What is in the vault already stays,
/// unless --overwrite. May be interrupted and run again.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway vault import --passphrase-file /run/secrets/backup vault.backup
  monday-gateway vault import tokens.csv
      With lines such as:
          app,account_id,user_id,provider,access_token,refresh_token,expires_at,scopes
          planner,1825529,4012689,github,gho_...,ghr_...,1800000000,repo
          planner,,,monday,eyJhbG...")]
#[expect(clippy::struct_excessive_bools, reason = "three switches of a command line")]
pub(crate) struct ImportArgs {
    /// A backup, CSV or JSON
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Write over what is in the vault already
    #[arg(long)]
    overwrite: bool,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(args: &ImportArgs, vault: &Vault, config: &Config) -> Result<Answer, CommandFault> {
    let tally =
        if is_backup(&args.file)? { from_backup(args, vault).await? } else { from_tokens(args, vault, config).await? };
    let what = if args.dry_run { "would be written" } else { "written" };
    Ok(Answer { text: tally.text(what), json: tally.json(), is_whole: tally.left.is_empty() })
}

fn is_backup(path: &Path) -> Result<bool, CommandFault> {
    let mut begin = Vec::new();
    let file = File::open(path).map_err(CommandFault::file(path))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(CommandFault::file(path))?;
    Ok(begin == MAGIC)
}

impl ImportArgs {
    fn meeting(&self) -> Meeting {
        if self.overwrite { Meeting::Overwrite } else { Meeting::Leave }
    }
}

/// Read twice: the first time to see that it is whole.
async fn from_backup(args: &ImportArgs, vault: &Vault) -> Result<Tally, CommandFault> {
    let passphrase = args.passphrase.read()?;
    let fault = |fault: ArchiveFault| archive_fault(&args.file, &fault);
    let open = || -> Result<_, CommandFault> {
        let file = File::open(&args.file).map_err(CommandFault::file(&args.file))?;
        Reader::new(BufReader::new(file), &passphrase).map_err(fault)
    };
    let mut total = 0;
    let mut reader = open()?;
    while let Some(records) = reader.next().map_err(fault)? {
        total += records.len() as u64;
        tokio::task::yield_now().await; // Ctrl-C
    }
    if args.dry_run {
        return Ok(Tally { written: total, ..Tally::default() });
    }
    let (mut tally, clock, mut progress) = (Tally::default(), Clock::system(), Progress::new("read", Some(total)));
    let mut reader = open()?;
    while let Some(records) = reader.next().map_err(fault)? {
        for batch in records.chunks(BATCH) {
            carry(vault, batch, args.meeting(), clock.unix_millis(), &mut tally).await?;
            progress.at(tally.seen());
        }
    }
    Ok(tally)
}

async fn from_tokens(args: &ImportArgs, vault: &Vault, config: &Config) -> Result<Tally, CommandFault> {
    let bytes = Zeroizing::new(fs::read(&args.file).map_err(CommandFault::file(&args.file))?);
    let tokens = tokens::read(&bytes).map_err(|mistakes| told(&args.file, &mistakes))?;
    let mistakes: Vec<Mistake> = tokens.iter().filter_map(|token| mistake(token, config)).collect();
    if !mistakes.is_empty() {
        return Err(told(&args.file, &mistakes));
    }
    let web = Web::new(None).map_err(|fault| CommandFault::words(fault.to_string()))?;
    let clock = Clock::system();
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    let mut progress = Progress::new("read", Some(tokens.len() as u64));
    for batch in tokens.chunks(BATCH) {
        let mut carried = Vec::with_capacity(batch.len());
        for token in batch {
            match key_of(token, config, &web).await {
                Ok(key) => carried.push(as_record(token, &key, &clock)?),
                Err(mistake) => wrong.push(mistake),
            }
        }
        if args.dry_run {
            tally.written += carried.len() as u64;
        } else {
            carry(vault, &carried, args.meeting(), clock.unix_millis(), &mut tally).await?;
        }
        progress.at(tally.seen());
    }
    drop(progress);
    if wrong.is_empty() {
        return Ok(tally);
    }
    let CommandFault::Words(words) = told(&args.file, &wrong) else { return Ok(tally) };
    Err(CommandFault::words(format!("{}{words}", tally.text("written"))))
}

fn as_record(token: &Token, key: &GrantKey, clock: &Clock) -> Result<Carried, CommandFault> {
    let grant = token.grant(clock.unix_seconds());
    let plain = serde_json::to_vec(&grant).map_err(|fault| CommandFault::words(fault.to_string()))?;
    Ok(Carried { table: Table::Grants, key: key.row(), expires: None, plain: Zeroizing::new(plain) })
}

/// What the configuration has against a token.
fn mistake(token: &Token, config: &Config) -> Option<Mistake> {
    let wrong = |what: String| Some(Mistake { line: token.line, what });
    let Some(app) = config.apps.iter().find(|app| app.name == token.app) else {
        return wrong(format!("gateway.toml has no app {:?}", token.app));
    };
    let asked = match app.authorization.as_ref().map(|authorization| &authorization.mode) {
        Some(Mode::Grants(providers)) => providers.as_slice(),
        _ => &[],
    };
    let is_known = token.provider == MONDAY && app.monday.is_some()
        || asked.iter().any(|provider| provider.name == token.provider)
        || config.routes.iter().any(|route| route.grants.iter().any(|provider| provider.name == token.provider));
    if !is_known {
        return wrong(format!("the app {:?} has no provider {:?}", token.app, token.provider));
    }
    let is_named = token.account.is_some() && token.owner != Owner::Unknown;
    if !is_named && token.provider != MONDAY {
        return wrong(format!(
            "account_id and user_id: only monday can say whose a token of its own is, {:?} cannot",
            token.provider
        ));
    }
    None
}

/// Whose it is: as it is written, or as monday says.
async fn key_of(token: &Token, config: &Config, web: &Web) -> Result<GrantKey, Mistake> {
    let key = |account, user| GrantKey { app: token.app.clone(), account, user, provider: token.provider.clone() };
    match (token.account, token.owner) {
        (Some(account), Owner::User(user)) => Ok(key(account, Some(user))),
        (Some(account), Owner::Account) => Ok(key(account, None)),
        (account, owner) => {
            let (found, user) = whose(token, config, web).await.map_err(|what| Mistake { line: token.line, what })?;
            if account.is_some_and(|account| account != found) || matches!(owner, Owner::User(named) if named != user) {
                return Err(Mistake { line: token.line, what: "monday says that the token is another's".to_owned() });
            }
            Ok(key(found, if owner == Owner::Account { None } else { Some(user) }))
        }
    }
}

/// Asks monday's API, which may be busy for a while.
async fn whose(token: &Token, config: &Config, web: &Web) -> Result<(i64, i64), String> {
    for pause in BUSY {
        match me(web, &config.monday.api, token.access()).await {
            Ok(me) => return Ok((me.account_id, me.user_id)),
            Err(MeFault::Busy(_)) => tokio::time::sleep(pause).await,
            Err(fault) => return Err(fault.to_string()),
        }
    }
    Err("monday's API has no time to say whose it is; run the same command again later".to_owned())
}

fn told(file: &Path, mistakes: &[Mistake]) -> CommandFault {
    let mut words = format!(
        "{}: {}, nothing of these lines was written\n",
        file.display(),
        counted(mistakes.len() as u64, "mistake")
    );
    for Mistake { line, what } in mistakes.iter().take(TOLD) {
        let _written = writeln!(words, "  line {line}: {what}");
    }
    if mistakes.len() > TOLD {
        words.push_str("  ...\n");
    }
    CommandFault::words(words)
}
