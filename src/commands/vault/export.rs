//! `vault export`: a backup of all grants in one file, sealed under a passphrase.

use std::fs::{self, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::commands::vault::archive::{ArchiveFault, PASSPHRASE_MIN, Writer};
use crate::commands::vault::migrate::carried;
use crate::commands::vault::progress::Progress;
use crate::commands::vault::{Answer, CommandFault, counted};
use crate::limits::VAULT_LIST;
use crate::secret::Secret;
use crate::vault::{Table, Vault};

/// What a backup has: what would be missed. States, leases and events are about the present moment.
const TABLES: [Table; 2] = [Table::Grants, Table::Installs];
/// Where the passphrase may be instead of a file.
const PASSPHRASE: &str = "VAULT_PASSPHRASE";

/// Where the passphrase of a backup is.
#[derive(Debug, Args)]
pub(crate) struct PassphraseArgs {
    /// A file with the passphrase, of 12 characters at least; else it is taken from `VAULT_PASSPHRASE`
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Write all grants into a file, sealed under a passphrase.
///
/// The file opens with the passphrase alone, without vault.keys. May run beside gateways.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  monday-gateway vault export --passphrase-file /run/secrets/backup vault.backup")]
pub(crate) struct ExportArgs {
    /// The file to write
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Replace a file that is there already
    #[arg(long)]
    force: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) async fn run(args: &ExportArgs, vault: &Vault) -> Result<Answer, CommandFault> {
    if args.file.exists() && !args.force {
        let words = "is there already: replace it with --force, or name another";
        return Err(CommandFault::words(format!("{} {words}", args.file.display())));
    }
    let passphrase = args.passphrase.read()?;
    // Under another name until it is whole: an interrupted backup never looks like one.
    let mut part = args.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(vault, &part, &passphrase).await;
    let count = match written {
        Ok(count) => count,
        Err(fault) => {
            drop(fs::remove_file(&part));
            return Err(fault);
        }
    };
    fs::rename(&part, &args.file).map_err(CommandFault::file(&args.file))?;
    let text = format!("{} in {}\n", counted(count, "record"), args.file.display());
    Ok(Answer { text, json: json!({ "file": args.file, "records": count }), is_whole: true })
}

async fn write(vault: &Vault, path: &Path, passphrase: &Secret) -> Result<u64, CommandFault> {
    let fault = |fault: ArchiveFault| archive_fault(path, &fault);
    drop(fs::remove_file(path)); // of an interrupted run
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(CommandFault::file(path))?;
    let mut writer = Writer::new(BufWriter::new(file), passphrase).map_err(fault)?;
    let mut total = 0;
    for table in TABLES {
        total += vault.count(table, "").await?;
    }
    let (mut count, mut progress) = (0, Progress::new("written", Some(total)));
    for table in TABLES {
        let mut after: Option<String> = None;
        loop {
            let page = vault.list(table, "", after.as_deref(), VAULT_LIST).await?;
            let is_last = page.len() < VAULT_LIST;
            after = page.last().map(|record| record.key.clone());
            for record in page {
                writer.add(&carried(table, record)).map_err(fault)?;
                count += 1;
            }
            progress.at(count);
            if is_last {
                break;
            }
        }
    }
    let file = writer.end().map_err(fault)?.into_inner().map_err(|fault| CommandFault::words(fault.to_string()))?;
    file.sync_all().map_err(CommandFault::file(path))?;
    Ok(count)
}

/// What is wrong with a file.
pub(super) fn archive_fault(path: &Path, fault: &ArchiveFault) -> CommandFault {
    CommandFault::words(format!("{}: {fault}", path.display()))
}

impl PassphraseArgs {
    /// The passphrase.
    pub(super) fn read(&self) -> Result<Secret, CommandFault> {
        let bytes = match &self.passphrase_file {
            Some(file) => fs::read(file).map_err(CommandFault::file(file))?,
            None => from_environment()?,
        };
        let trimmed = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let passphrase = Secret::new(trimmed.strip_suffix(b"\r").unwrap_or(trimmed));
        if passphrase.len() < PASSPHRASE_MIN {
            return Err(CommandFault::words(format!("a passphrase has {PASSPHRASE_MIN} characters at least")));
        }
        Ok(passphrase)
    }
}

fn from_environment() -> Result<Vec<u8>, CommandFault> {
    use std::os::unix::ffi::OsStringExt;
    let words = || CommandFault::words(format!("a passphrase: --passphrase-file FILE, or the variable {PASSPHRASE}"));
    std::env::var_os(PASSPHRASE).map(OsStringExt::into_vec).ok_or_else(words)
}
