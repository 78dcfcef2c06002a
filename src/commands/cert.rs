//! `monday-gateway cert`: makes a certificate for one's own machine, and says how clients come to trust it.
//! Writes three PEM files into a folder; never overwrites without `--force`, and the key is readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::clock::Clock;
use crate::tls::development::{DAYS, DevelopmentFault, Generated, LOCAL_NAMES, generate};

/// Files that git must not take, in a folder that this command made.
const IGNORE: &str = "*\n!.gitignore\n!README.md\n";

/// Make a TLS certificate for development.
///
/// monday.com and browsers only speak https to a gateway. For trying things out on your own machine, this makes a certificate
/// for `localhost`, `127.0.0.1` and `::1`, and whatever you add by --name. It is signed by a small authority, made for it alone, whose
/// key is thrown away: trusting ca.pem trusts this one certificate and nothing else.
///
/// It is not for production. monday.com does not trust it: there, use a certificate of a public authority, such as Let's
/// Encrypt, or a tunnel that ends TLS in front of the gateway.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  monday-gateway cert
      Writes certs/server.pem, certs/server.key and certs/ca.pem; in gateway.toml:
          [server.tls]
          certificate = \"certs/server.pem\"
          private_key = \"certs/server.key\"
      Then: curl --cacert certs/ca.pem https://localhost:8443/

  monday-gateway cert --name gw.example.test --name '*.apps.example.test'
      Also for these hosts.

  NODE_EXTRA_CA_CERTS=certs/ca.pem node client.js
      Node trusts it, for this run.")]
pub(crate) struct CertArgs {
    /// A further host name or address the certificate is for; may be given several times. `*.example.test` covers one label.
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
    /// The folder to write to; made if it is not there.
    #[arg(long, value_name = "FOLDER", default_value = "certs")]
    out: PathBuf,
    /// Replace files that are there already.
    #[arg(long)]
    force: bool,
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
enum CertFault {
    #[error("{} is there already: nothing was written. Replace it with --force, or choose another folder with --out", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Made(#[from] DevelopmentFault),
    #[error("{}: cannot be written: {fault}", file.display())]
    Write { file: PathBuf, fault: io::Error },
}

/// Who may read a file.
#[derive(Clone, Copy)]
enum Readers {
    Owner,
    Everybody,
}

/// Runs the command; 0 when all three files are there.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to a person")]
pub(crate) fn run(args: &CertArgs) -> ExitCode {
    match write_all(args, &Clock::system()) {
        Ok(files) => {
            print!("{}", told(&files, &args.names));
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Where the three files are.
struct Files {
    chain: PathBuf,
    key: PathBuf,
    ca: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Self {
        Self { chain: folder.join("server.pem"), key: folder.join("server.key"), ca: folder.join("ca.pem") }
    }
}

fn write_all(args: &CertArgs, clock: &Clock) -> Result<Files, CertFault> {
    let files = Files::in_folder(&args.out);
    if !args.force {
        for file in [&files.chain, &files.key, &files.ca] {
            if file.symlink_metadata().is_ok() {
                return Err(CertFault::Exists(file.clone()));
            }
        }
    }
    let Generated { chain_pem, key_pem, ca_pem } = generate(&args.names, clock)?;
    make_folder(&args.out)?;
    write(&files.key, key_pem.expose(), Readers::Owner)?;
    write(&files.chain, chain_pem.as_bytes(), Readers::Everybody)?;
    write(&files.ca, ca_pem.as_bytes(), Readers::Everybody)?;
    Ok(files)
}

/// A folder made here gets a `.gitignore`, so that no key is ever committed by accident.
fn make_folder(folder: &Path) -> Result<(), CertFault> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|fault| CertFault::Write { file: folder.to_owned(), fault })?;
    write(&folder.join(".gitignore"), IGNORE.as_bytes(), Readers::Everybody)
}

/// Beside the file, then renamed over it: a running gateway sees the old file or the new one, never half of one.
fn write(file: &Path, bytes: &[u8], readers: Readers) -> Result<(), CertFault> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everybody => 0o644,
    };
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = remove_if_there(&fresh)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh))
        .and_then(|mut handle| handle.write_all(bytes).and_then(|()| handle.sync_all()))
        .and_then(|()| fs::rename(&fresh, file));
    written.map_err(|fault| CertFault::Write { file: file.to_owned(), fault })
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn told(files: &Files, names: &[String]) -> String {
    let hosts: Vec<_> = LOCAL_NAMES.into_iter().chain(names.iter().map(String::as_str)).collect();
    let (chain, key, ca) = (files.chain.display(), files.key.display(), files.ca.display());
    format!(
        "Made a development certificate for {hosts}, valid for {DAYS} days.

  {chain}  the certificate  -> certificate in [server.tls]
  {key}  its key          -> private_key in [server.tls]; keep it to yourself
  {ca}  for clients      -> curl --cacert {ca}, NODE_EXTRA_CA_CERTS={ca}
",
        hosts = hosts.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::tls::{self, CertificatePaths, Tickets, Versions};

    use super::*;

    fn args(out: &Path) -> CertArgs {
        CertArgs { names: vec!["gw.example.test".into()], out: out.to_owned(), force: false }
    }

    #[test]
    fn the_gateway_takes_what_is_made_and_the_key_is_its_owners() {
        let folder = tempfile::tempdir().expect("folder");
        let out = folder.path().join("certs");
        let files = write_all(&args(&out), &Clock::system()).expect("written");
        let paths = CertificatePaths { certificate: &files.chain, private_key: &files.key };
        let tickets = Tickets::new().expect("tickets");
        let server = tls::server_config(&[paths], Versions::From12, &tickets, &Clock::system()).expect("accepted");
        for host in ["localhost", "127.0.0.1", "[::1]", "gw.example.test"] {
            assert!(server.certificates.covers(0, host), "{host}");
        }
        let accepted_in = |days: i64| {
            let then = Clock::standing_at(Clock::system().unix_seconds() + days * 86_400);
            tls::server_config(&[paths], Versions::From12, &tickets, &then).is_ok()
        };
        assert!(accepted_in(88) && !accepted_in(91));
        assert_eq!(fs::metadata(&files.key).expect("key").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(out.join(".gitignore")).expect("file"), IGNORE);
        assert!(tls::roots::client_config(Some(&files.ca), None).is_ok());
    }

    #[test]
    fn nothing_is_overwritten_without_force() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("ca.pem"), "mine").expect("write");
        let fault = write_all(&args(folder.path()), &Clock::system()).err().expect("refused");
        assert!(fault.to_string().contains("--force"), "{fault}");
        assert!(!folder.path().join("server.key").exists());
        assert_eq!(fs::read_to_string(folder.path().join("ca.pem")).expect("file"), "mine");
        assert!(write_all(&CertArgs { force: true, ..args(folder.path()) }, &Clock::system()).is_ok());
        assert!(fs::read_to_string(folder.path().join("ca.pem")).expect("file").contains("CERTIFICATE"));
    }
}
