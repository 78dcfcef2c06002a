//! The files that gateway.toml names, looked at by the code that `run` loads them with: certificates and keys, the pictures and words of
//! pages. A file that `run` would not start with is a mistake as any other, though the text of gateway.toml is right.

use std::io::ErrorKind;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::resolved::Config;
use crate::config::resolved::grants::InternalListen;
use crate::gateway::assemble::{StartFault, rehearse};
use crate::pages::brand::{Brand, Wishes};
use crate::pages::words::Languages;
use crate::snapshot::build::BuildFault;
use crate::tls::CertificatePaths;
use crate::tls::files::{FileFlaw, TlsFault};
use crate::tls::roots::client_config;

/// A file that gateway.toml names and that `run` would not start with.
pub(crate) struct BadFile {
    /// The table that names it.
    key: String,
    /// The file, and what is wrong with it.
    what: String,
    /// What would be right, where that is not said yet.
    right: &'static str,
}

impl BadFile {
    /// For people.
    pub(crate) fn to_text(&self) -> String {
        let Self { key, what, right } = self;
        let help = if right.is_empty() { String::new() } else { format!("  help: {right}\n") };
        format!("error: {what}\n  named in [{key}]\n{help}\n")
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "severity": "mistake", "key": self.key, "message": self.what, "help": self.right })
    }
}

/// Every one of them.
pub(crate) fn bad_files(config: &Config) -> Vec<BadFile> {
    let bad =
        |(key, fault): (String, StartFault)| BadFile { right: advice(&key, &fault), what: fault.to_string(), key };
    let mut all: Vec<BadFile> = rehearse(config, &Clock::system()).into_iter().map(bad).collect();
    all.extend(internal_tls(config).map(|fault| bad(("internal.tls".to_owned(), fault.into()))));
    all.extend(logo(config).into_iter().chain(words(config)).map(of_pages));
    all
}

/// The pair and the authorities, as a client would load them: the same files, the same faults.
fn internal_tls(config: &Config) -> Option<TlsFault> {
    let InternalListen::Tcp { tls: Some(tls), .. } = &config.internal.as_ref()?.listen else { return None };
    let pair =
        CertificatePaths { certificate: &tls.certificate.certificate, private_key: &tls.certificate.private_key };
    client_config(Some(&tls.client_ca), Some(pair)).err()
}

fn of_pages((what, right): (String, &'static str)) -> BadFile {
    BadFile { key: "pages".to_owned(), what, right }
}

fn logo(config: &Config) -> Option<(String, &'static str)> {
    let path = config.branding.logo.as_deref()?;
    let name = path.display();
    match std::fs::read(path) {
        Err(why) => Some((
            format!("{name}: {}", why.kind()),
            "name a picture that is there; relative paths begin at gateway.toml's folder",
        )),
        Ok(bytes) => {
            let fault = Brand::new(Wishes { logo: Some(bytes), ..Wishes::default() }).err()?;
            Some((format!("{name}: {fault}"), ""))
        }
    }
}

fn words(config: &Config) -> Option<(String, &'static str)> {
    let folder = config.branding.words.as_deref()?;
    Languages::load(folder).err().map(|fault| (fault.to_string(), ""))
}

/// What to do where the fault itself does not say: a file that is not there yet.
fn advice(key: &str, fault: &StartFault) -> &'static str {
    let (StartFault::Tls(fault) | StartFault::Build(BuildFault::Tls(fault))) = fault else { return "" };
    match fault {
        TlsFault::File { flaw: FileFlaw::Unreadable(why), .. } if why.kind() == ErrorKind::NotFound => {
            if key == "server.tls" {
                "run `monday-gateway cert` to make a certificate for development, or name the files of a real one"
            } else {
                "name a PEM file that is there; relative paths begin at gateway.toml's folder"
            }
        }
        TlsFault::File { flaw: FileFlaw::Unreadable(why), .. } if why.kind() == ErrorKind::PermissionDenied => {
            "let the user that the gateway runs as read it, and nobody else if it is a key"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Secrets;
    use crate::config::load::load_text;
    use crate::tls::development::generate;

    fn with_tls(folder: &Path) -> Config {
        let tls = "[server.tls]\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\n";
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:8443\"\npublic_url = \"https://gw.example.com\"\n{tls}\
            [upstreams.backend]\nservers = [\"https://backend.internal:3000\"]\nca = \"ca.pem\"\n\
            [[routes]]\npath = \"/{{*rest}}\"\nkind = \"public\"\nupstream = \"backend\"\n"
        );
        load_text("gateway.toml", &text, folder, Secrets::Read).unwrap_or_else(|mistakes| panic!("{mistakes}")).config
    }

    #[test]
    fn files_that_are_not_there_yet_are_all_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let bad: Vec<String> = bad_files(&with_tls(folder.path())).iter().map(BadFile::to_text).collect();
        let [server, upstream] = bad.as_slice() else { panic!("{bad:?}") };
        assert!(
            server.contains("server.pem") && server.contains("[server.tls]") && server.contains("monday-gateway cert"),
            "{server}"
        );
        assert!(upstream.contains("ca.pem") && upstream.contains("[upstreams.backend]"), "{upstream}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_and_a_pair_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let pair = || generate(&[], &Clock::system()).unwrap();
        let (one, other) = (pair(), pair());
        write("server.pem", one.chain_pem.as_bytes());
        write("server.key", other.key_pem.expose());
        write("ca.pem", one.ca_pem.as_bytes());
        let bad = bad_files(&with_tls(folder.path()));
        let [mismatch] = bad.as_slice() else { panic!("{} files are bad", bad.len()) };
        assert!(
            mismatch.what.contains("does not belong to the key in") && mismatch.what.contains("server.key"),
            "{}",
            mismatch.what
        );
        write("server.key", one.key_pem.expose());
        assert!(bad_files(&with_tls(folder.path())).is_empty());
    }

    #[test]
    fn a_logo_and_certificates_of_the_internal_listener_are_looked_at_too() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "{}\n[pages]\nlogo = \"logo.png\"\n[vault]\nstore = \"sqlite:vault.db\"\nkeys = [\"{}\"]\n\
            [apps.planner]\n[internal]\nlisten = \"0.0.0.0:9465\"\ntls = {{ certificate = \"a.pem\", private_key = \"a.key\", client_ca = \"ca.pem\" }}\n\
            [internal.clients.one]\nkey = \"{}\"\napps = [\"planner\"]\ngrants = [\"monday\"]\n",
            "[server]\nlisten = \"127.0.0.1:8443\"\npublic_url = \"https://gw.example.com\"\n\
            [upstreams.backend]\nservers = [\"http://127.0.0.1:3000\"]\n\
            [[routes]]\npath = \"/open\"\nkind = \"public\"\nupstream = \"backend\"\n",
            "A".repeat(43),
            "0".repeat(32),
        );
        let config = load_text("gateway.toml", &text, folder.path(), Secrets::Read)
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
            .config;
        let said = |config: &Config| bad_files(config).iter().map(BadFile::to_text).collect::<String>();
        let missing = said(&config);
        assert!(
            missing.contains("logo.png") && missing.contains("[pages]") && missing.contains("[internal.tls]"),
            "{missing}"
        );
        std::fs::write(folder.path().join("logo.png"), b"no picture").unwrap();
        assert!(said(&config).contains("is no PNG"), "{}", said(&config));
    }
}
