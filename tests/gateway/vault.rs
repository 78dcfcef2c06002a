//! The vault's commands as people type them: what they do, what they say, and that they never say a token or a key.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::gateway::binary;

const COMMANDS: [&str; 9] = ["key", "status", "list", "show", "revoke", "rekey", "export", "import", "migrate"];
const PASSPHRASE: &str = "CANARY-passphrase-of-the-backup";

/// A folder with a gateway.toml whose vault has these keys, newest first.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for name in ["one", "two"] {
            let key = folder.run(&["vault", "key"]);
            assert!(key.status.success());
            fs::write(folder.path().join(name), &key.stdout).unwrap();
        }
        fs::write(folder.path().join("passphrase"), format!("{PASSPHRASE}\n")).unwrap();
        folder.configure("sqlite:data/vault.db", &["one"]);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn configure(&self, store: &str, keys: &[&str]) {
        let keys: Vec<String> = keys.iter().map(|name| format!("{{ file = \"{name}\" }}")).collect();
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://gw.test"
trusted_proxies = ["127.0.0.1/32"]

[apps.planner]
client_id = "client"
client_secret = "CANARY-client-secret-of-32-bytes-and-more"
signing_secret = "CANARY-signing-secret-of-32-bytes-and-more"

[apps.planner.authorization]
path = "/planner/authorize"
grants = ["monday", "github"]

[providers.github]
preset = "github"
client_id = "gh"
client_secret = "CANARY-github-secret"
scopes = ["repo"]

[vault]
store = "{store}"
keys = [{}]
audit = "audit.log"

[upstreams.backend]
servers = ["http://127.0.0.1:3000"]

[[routes]]
path = "/planner/actions/{{*rest}}"
app = "planner"
kind = "action"
upstream = "backend"
"#,
            keys.join(", ")
        );
        fs::write(self.path().join("gateway.toml"), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        binary().args(arguments).current_dir(self.path()).output().unwrap()
    }

    /// Runs a command that must do all of it, and must not say what is secret.
    fn vault(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["vault"], arguments].concat());
        let words = words(&output);
        assert!(output.status.success(), "{arguments:?}: {words}");
        words
    }

    /// Runs a command that must say why it did not.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["vault"], arguments].concat());
        let words = words(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {words}");
        words
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.vault(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{fault}: {text}"))
    }

    /// Tokens of so many users.
    fn tokens(&self, count: usize) -> String {
        let mut text = "app,account_id,user_id,provider,access_token,refresh_token,expires_at,scopes\n".to_owned();
        for user in 1..=count {
            let tokens = format!("gho_CANARY-access-{user:08},ghr_CANARY-{user}");
            writeln!(text, "planner,7,{user},github,{tokens},1900000000,repo").unwrap();
        }
        let file = self.path().join("tokens.csv");
        fs::write(&file, text).unwrap();
        file.to_string_lossy().into_owned()
    }
}

fn words(output: &Output) -> String {
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!words.contains("CANARY"), "{words}");
    words
}

#[test]
fn every_vault_command_has_a_help() {
    let folder = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        let help = binary().args(["vault", command, "--help"]).current_dir(folder.path()).output().unwrap();
        assert!(help.status.success() && help.stdout.len() > 150, "{command}");
    }
    println!("cases: {}", COMMANDS.len());
}

#[test]
fn tokens_that_a_team_has_become_grants_that_are_listed_shown_and_taken_back() {
    let folder = Folder::new();
    let tokens = folder.tokens(120);
    assert!(folder.vault(&["import", "--dry-run", &tokens]).contains("120 records would be written"));
    assert!(folder.vault(&["list"]).contains("no grant"));
    assert!(folder.vault(&["import", &tokens]).contains("120 records written"));
    let again = folder.json(&["import", &tokens]);
    assert_eq!((again["written"].as_u64(), again["left"].as_array().map(Vec::len)), (Some(0), Some(0)), "{again}");
    let first = folder.json(&["list", "--app", "planner", "--account", "7"]);
    let next = first["next"].as_str().unwrap();
    let second = folder.json(&["list", "--after", next]);
    assert_eq!((first["grants"].as_array().unwrap().len(), second["grants"].as_array().unwrap().len()), (100, 20));
    assert!(folder.vault(&["list", "--limit", "5"]).contains("more: --after "));
    assert_eq!(folder.json(&["list", "--user", "9", "--provider", "github"])["grants"].as_array().unwrap().len(), 1);

    let shown = folder.vault(&["show", "planner/7/9/github"]);
    assert!(shown.contains("gho_********") && shown.contains("repo"), "{shown}");
    assert_eq!(folder.json(&["show", "planner/7/9/github"])["state"], "ok");
    assert!(folder.refused(&["show", "planner/7/999/github"]).contains("no grant"));
    assert!(folder.refused(&["show", "nonsense"]).contains("is no app/account/user/provider"));

    assert!(folder.vault(&["revoke", "planner/7/9/github"]).contains("1 grant taken back"));
    let revoked = folder.json(&["show", "planner/7/9/github"]);
    assert_eq!(revoked["state"], "revoked");
    assert!(folder.vault(&["show", "planner/7/9/github"]).contains("asked for      none\n"));
    let again = folder.json(&["revoke", "--all", "planner/7/9/"]);
    assert_eq!((&again["revoked"], &again["revoked_before"]), (&json!([]), &json!(["planner/7/9/github"])));
    assert!(folder.refused(&["revoke", "planner/7/999/github"]).contains("no grant planner/7/999/github"));
    assert!(folder.vault(&["revoke", "--all", "--purge", "planner/7/1"]).contains("32 grants taken back"));
    assert_eq!(folder.json(&["status"])["records"]["grants"], 88);
    let purged = folder.json(&["revoke", "--all", "--purge", "planner/7/9/"]);
    assert_eq!((&purged["revoked"], &purged["revoked_before"]), (&json!([]), &json!(["planner/7/9/github"])));
    assert!(folder.vault(&["revoke", "--all", "--purge", "planner/7/9/"]).starts_with("0 grants taken back"));
    let audit = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert_eq!(
        audit.lines().filter(|line| line.contains("revoked") && line.contains("operator")).count(),
        33,
        "{audit}"
    );
    for file in fs::read_dir(folder.path().join("data")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("CANARY"));
    }
}

/// monday's API, for as long as the test runs: says that each token is user 5's of account 7.
fn monday() -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut room = [0; 4096];
            while !String::from_utf8_lossy(&asked).contains("me {") && !String::from_utf8_lossy(&asked).contains("me{")
            {
                let read = stream.read(&mut room).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
                asked.extend_from_slice(&room[..read]);
            }
            let is_known = String::from_utf8_lossy(&asked).contains("CANARY-known");
            let me =
                r#"{"data":{"me":{"id":"5","is_admin":true,"is_guest":false,"account":{"id":"7","slug":"acme"}}}}"#;
            let (status, body) = if is_known { ("200 OK", me) } else { ("401 Unauthorized", "{}") };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    port
}

#[test]
fn monday_is_asked_whose_a_token_is_where_nobody_wrote_it_down() {
    let folder = Folder::new();
    let toml = folder.path().join("gateway.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, format!("{text}\n[monday]\napi_url = \"http://127.0.0.1:{}/v2\"\n", monday())).unwrap();
    let file = folder.path().join("tokens.json");
    let row =
        |more: &str, token: &str| format!(r#"{{"app":"planner","provider":"monday","access_token":"{token}"{more}}}"#);
    fs::write(&file, format!("[{}]", row("", "CANARY-known-1"))).unwrap();
    let file = file.to_string_lossy().into_owned();
    assert!(folder.vault(&["import", &file]).contains("1 record written"));
    assert_eq!(folder.json(&["show", "planner/7/5/monday"])["state"], "ok");
    let others = [
        row(r#","account_id":8"#, "CANARY-known-2"),
        row(r#","user_id":6"#, "CANARY-known-3"),
        row("", "CANARY-unknown"),
    ];
    fs::write(&file, format!("[{}]", others.join(","))).unwrap();
    let told = folder.refused(&["import", &file]);
    assert!(
        told.contains("3 mistakes") && told.contains("another's") && told.contains("line 3: monday's API refuses"),
        "{told}"
    );
    assert_eq!(folder.json(&["list"])["grants"].as_array().unwrap().len(), 1);
}

#[test]
fn mistakes_in_tokens_are_all_told_and_nothing_is_written() {
    let folder = Folder::new();
    let file = folder.path().join("tokens.csv");
    let text = "app,account_id,user_id,provider,access_token\nplanner,7,1,github,ok\nother,7,1,github,CANARY-a\n\
        planner,7,1,gitlab,CANARY-b\nplanner,7,,github,CANARY-c\n";
    fs::write(&file, text).unwrap();
    let told = folder.refused(&["import", &file.to_string_lossy()]);
    assert!(["line 3", "line 4", "line 5", "3 mistakes"].iter().all(|words| told.contains(words)), "{told}");
    assert!(folder.vault(&["list"]).contains("no grant"));
}

#[test]
fn keys_are_rotated_and_the_old_one_can_be_removed() {
    let folder = Folder::new();
    folder.vault(&["import", &folder.tokens(700)]);
    folder.configure("sqlite:data/vault.db", &["two", "one"]);
    let before = folder.json(&["status"]);
    assert_eq!((before["keys"][0]["records"].as_u64(), before["keys"][1]["records"].as_u64()), (Some(0), Some(700)));
    assert!(folder.vault(&["rekey"]).contains("700 records sealed again, of 700"));
    assert_eq!(folder.json(&["rekey"])["sealed"], 0);
    assert!(folder.vault(&["status"]).contains("can be removed"));
    folder.configure("sqlite:data/vault.db", &["two"]);
    assert_eq!(folder.json(&["show", "planner/7/350/github"])["state"], "ok");
    folder.configure("sqlite:data/vault.db", &["one"]);
    assert!(folder.refused(&["show", "planner/7/350/github"]).contains("not in the ring"));
    assert!(folder.refused(&["status"]).contains("does not have it"));
    assert!(folder.refused(&["rekey"]).contains("700 records cannot be read"));
}

#[test]
fn a_backup_opens_elsewhere_with_its_passphrase() {
    let (folder, other) = (Folder::new(), Folder::new());
    folder.vault(&["import", &folder.tokens(400)]);
    let backup = folder.path().join("vault.backup").to_string_lossy().into_owned();
    let export = ["export", "--passphrase-file", "passphrase", &backup];
    assert!(folder.vault(&export).contains("400 records"));
    assert!(folder.refused(&export).contains("is there already"));
    assert!(!String::from_utf8_lossy(&fs::read(&backup).unwrap()).contains("github"));
    fs::write(other.path().join("wrong"), "another passphrase").unwrap();
    assert!(other.refused(&["import", "--passphrase-file", "wrong", &backup]).contains("passphrase is another"));
    let import = ["import", "--passphrase-file", "passphrase", &backup];
    assert!(other.vault(&import).contains("400 records written"));
    assert!(other.vault(&import).contains("400 there already"));
    assert_eq!(other.json(&["show", "planner/7/3/github"])["scopes"][0], "repo");
    other.vault(&["revoke", "planner/7/3/github"]);
    assert!(other.refused(&import).contains("1 record left as they are"));
    other.vault(&["import", "--passphrase-file", "passphrase", "--overwrite", &backup]);
    assert_eq!(other.json(&["show", "planner/7/3/github"])["state"], "ok");
    let cut = fs::read(&backup).unwrap();
    fs::write(&backup, &cut[..cut.len() - 10]).unwrap();
    assert!(other.refused(&import).contains("not whole"));
}

#[test]
fn everything_moves_to_another_store_and_again() {
    let folder = Folder::new();
    folder.vault(&["import", &folder.tokens(450)]);
    let to = format!("sqlite:{}/new/vault.db", folder.path().display());
    let moved = folder.vault(&["migrate", "--to", &to]);
    assert!(moved.contains("450 records copied") && moved.contains("[vault] store"), "{moved}");
    assert_eq!(folder.json(&["migrate", "--to", &to])["same"], 450);
    assert!(folder.refused(&["migrate", "--to", "postgres://u:CANARY@127.0.0.1:1/d"]).contains("cannot be reached"));
    assert!(folder.refused(&["migrate", "--to", "mysql://x"]).contains("a store is"));
    folder.configure(&to, &["one"]);
    assert_eq!(folder.json(&["status"])["records"]["grants"], 450);
    assert!(folder.refused(&["migrate", "--to", &to]).contains("already"));
}
