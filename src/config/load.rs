//! The one way from gateway.toml to a configuration: parse, read, resolve, and either everything or all mistakes.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::config::mask::mask;
use crate::config::mistake::{Excerpt, Finding, Mistake, Mistakes, Severity};
use crate::config::read::Read;
use crate::config::resolve;
use crate::config::resolved::Config;
use crate::config::sheet::{Place, Secrets, Sheet, Surroundings};
use crate::config::written;

/// Bytes of a configuration file; anything larger is another file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Keys whose values are never secrets; lines of a file with syntax errors are shown only for these.
const SAFE_KEYS: [&str; 43] = [
    "listen",
    "public_url",
    "workers",
    "trusted_proxies",
    "certificate",
    "private_key",
    "min_version",
    "head",
    "body",
    "connections",
    "streams",
    "handshake_timeout",
    "head_timeout",
    "idle_timeout",
    "body_idle_timeout",
    "delay",
    "deadline",
    "level",
    "format",
    "access",
    "client_id",
    "app_id",
    "audience",
    "leeway",
    "servers",
    "host",
    "path",
    "app",
    "kind",
    "upstream",
    "oauth",
    "scopes",
    "grants",
    "require",
    "back_to",
    "identity",
    "on_uninstall",
    "preset",
    "per",
    "connect_by",
    "stale",
    "apps",
    "can",
];

/// A file without mistakes.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub(crate) config: Config,
    /// What works and is probably not meant.
    pub(crate) warnings: Vec<Mistake>,
}

/// Reads a file. All its mistakes come at once; a file that cannot be read is one.
pub(crate) fn load(path: &Path, secrets: Secrets) -> Result<Loaded, Mistakes> {
    let name = path.display().to_string();
    let bytes = read_file(path)
        .map_err(|fault| whole_file_mistake(&name, format!("this file cannot be read: {fault}"), NAME_ANOTHER))?;
    let base_dir = path.parent().unwrap_or_else(|| Path::new(""));
    match std::str::from_utf8(&bytes) {
        Ok(text) => load_text(&name, text, base_dir, secrets),
        Err(fault) => Err(not_text(&name, &bytes, fault.valid_up_to())),
    }
}

const NAME_ANOTHER: &str = "name another by --config or MONDAY_GATEWAY_CONFIG";

/// Reads a text. `name` stands in messages; relative paths start at `base_dir`.
pub(crate) fn load_text(name: &str, text: &str, base_dir: &Path, secrets: Secrets) -> Result<Loaded, Mistakes> {
    let environment = |name: &str| std::env::var_os(name).map(std::ffi::OsString::into_encoded_bytes);
    load_within(name, text, &Surroundings { base_dir: base_dir.to_owned(), secrets, environment })
}

/// As `load_text`, with an environment of one's own.
pub(crate) fn load_within(name: &str, text: &str, around: &Surroundings) -> Result<Loaded, Mistakes> {
    let mut sheet = Sheet::new(around);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let place = error.span().map_or(Place { start: text.len(), end: text.len() }, Place::from);
        sheet.syntax(
            place,
            format!("this is no TOML: {}", error.message()),
            "see https://toml.io for how values are written",
        );
    }
    let span = root.span();
    let node = toml::Spanned::new(span.start..span.start, DeValue::Table(root.into_inner()));
    let config = written::File::read(&node, &mut sheet).and_then(|file| resolve::file(&file, &mut sheet));
    let is_right = !sheet.has_mistakes();
    let DeValue::Table(root) = node.get_ref() else {
        return Err(whole_file_mistake(name, "this is no table".to_owned(), ""));
    };
    let safe_keys = sheet.is_broken().then_some(&SAFE_KEYS[..]);
    let masked = mask(text, root, sheet.shown(), safe_keys);
    let lines = Lines { name, masked: &masked };
    let found: Vec<Mistake> = sheet.into_findings().into_iter().map(|finding| lines.mistake(finding)).collect();
    match config {
        Some(config) if is_right => Ok(Loaded { config, warnings: found }),
        None if is_right => Err(whole_file_mistake(
            name,
            "this file is wrong in a way that has no name yet".to_owned(),
            "please report it",
        )),
        Some(_) | None => Err(Mistakes(found)),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let about = std::fs::metadata(path).map_err(|fault| fault.kind().to_string())?;
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read(path).map_err(|fault| fault.kind().to_string())
}

fn whole_file_mistake(name: &str, what: String, right: &str) -> Mistakes {
    let finding = Finding::new(Severity::Mistake, Place::default(), what, right.to_owned());
    Mistakes(vec![Lines { name, masked: "" }.mistake(finding)])
}

fn not_text(name: &str, bytes: &[u8], at: usize) -> Mistakes {
    let before = bytes.get(..at).unwrap_or_default();
    // Only the line's length is kept: what a file that is not text holds is nobody's business.
    let blank: String = before.iter().map(|byte| if *byte == b'\n' { '\n' } else { '*' }).collect();
    let finding = Finding::new(
        Severity::Mistake,
        Place { start: at, end: at + 1 },
        "this is no TOML: here is a byte that is not UTF-8".to_owned(),
        "save the file as UTF-8".to_owned(),
    );
    Mistakes(vec![Lines { name, masked: &format!("{blank}*") }.mistake(finding)])
}

/// The text that may be shown.
struct Lines<'a> {
    name: &'a str,
    masked: &'a str,
}

impl Lines<'_> {
    fn mistake(&self, finding: Finding) -> Mistake {
        Mistake {
            severity: finding.severity,
            file: self.name.to_owned(),
            key: finding.key,
            at: self.excerpt(finding.place),
            what: finding.what,
            right: finding.right,
            other: finding.other.map(|(place, what)| (self.excerpt(place), what)),
        }
    }

    /// The first line of a place, with the part of the place that is on it.
    fn excerpt(&self, place: Place) -> Excerpt {
        let start = self.boundary(place.start);
        let (before, after) = self.masked.split_at_checked(start).unwrap_or((self.masked, ""));
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let head = before.get(line_start..).unwrap_or_default();
        let tail = after.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        let length = self.boundary(place.end.max(start)).saturating_sub(start).min(tail.len());
        Excerpt {
            line: before.matches('\n').count() + 1,
            column: head.chars().count() + 1,
            text: format!("{head}{tail}"),
            underlined: head.len()..head.len() + length,
        }
    }

    /// The nearest place before `offset` where a character begins.
    fn boundary(&self, offset: usize) -> usize {
        let offset = offset.min(self.masked.len());
        (0..=offset).rev().find(|at| self.masked.is_char_boundary(*at)).unwrap_or(0)
    }
}
