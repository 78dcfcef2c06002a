//! The demo's rows for people and for programs. Colours only on a terminal, and not with `NO_COLOR`; never more than words can say.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde_json::{Map, Value, json};

use crate::commands::demo::attacks::ATTACKS;
use crate::commands::demo::backend::{Received, shortened};
use crate::commands::demo::cases::Group;
use crate::commands::demo::expected::speaks_of_the_caller;
use crate::commands::demo::play::Row;
use crate::commands::demo::scene::{Scene, base};
use crate::commands::demo::story::Chapter;
use crate::monday::kinds::{KINDS, Kind};
use crate::monday::sample;

/// Seconds for which the tokens to try are good.
const TRYING: i64 = 3600;

/// Characters of a line of header values.
const LINE: usize = 90;

/// Whether the text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// For a terminal.
    Colours,
    /// For everything else.
    Plain,
}

impl Paint {
    /// For standard output, as <https://no-color.org> asks.
    pub(super) fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if std::io::stdout().is_terminal() && !unwanted { Self::Colours } else { Self::Plain }
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with(text, 32)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with(text, 31)
    }

    /// As the row was judged.
    fn judged(self, text: &str, row: &Row) -> String {
        if row.is_right() { self.good(text) } else { self.bad(text) }
    }

    pub(super) fn title(self, text: &str) -> String {
        self.with(text, 1)
    }

    fn with(self, text: &str, code: u8) -> String {
        match self {
            Self::Colours => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// All tables.
pub(super) fn to_text(rows: &[Row], paint: Paint) -> String {
    let mut text = format!("{}\n\n", paint.title("1. What monday.com sends, and what the backend is told"));
    let lines = rows.iter().filter(|row| row.case.group == Group::Genuine);
    list(&mut text, lines, paint, |row| row.case.kind.name().to_owned());
    attacks(&mut text, rows, paint);
    let _written = writeln!(text, "\n{}\n", paint.title("3. And besides"));
    let lines = rows.iter().filter(|row| row.case.group == Group::Special);
    list(&mut text, lines, paint, |row| format!("{}: {}", row.case.kind.name(), row.case.name));
    wrong(&mut text, rows, paint);
    text
}

/// A line a row: what it is, the status, what monday does, whether the backend was reached; below it what the backend was told.
fn list<'r>(text: &mut String, rows: impl Iterator<Item = &'r Row>, paint: Paint, name: impl Fn(&Row) -> String) {
    let rows: Vec<_> = rows.map(|row| (name(row), row)).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, row) in rows {
        let outcome = &row.outcome;
        let mark = paint.judged(if row.is_right() { "ok" } else { "WRONG" }, row);
        let status = outcome.status.map_or_else(|| "---".to_owned(), |status| status.to_string());
        let (reached, below) = match (&outcome.received, &outcome.reason) {
            (Some(received), _) => ("backend", told(received)),
            (None, Some(reason)) => ("refused", format!("the log: {reason}")),
            (None, None) => ("gateway", String::new()),
        };
        let verdict = outcome.verdict.name();
        let _written = writeln!(text, "  {name:width$}  {status}  {reached}  monday: {verdict:8} {mark}");
        for line in below.lines() {
            let _written = writeln!(text, "      {line}");
        }
    }
}

/// What the backend was told of the caller, short.
fn told(received: &Received) -> String {
    let mut parts = Vec::new();
    for (name, value) in &received.headers {
        let name = name.as_str();
        if speaks_of_the_caller(name) && !matches!(name, "x-monday-kind" | "x-monday-app") {
            let short = name.strip_prefix("x-monday-").unwrap_or(name);
            let limit = if name == "x-monday-api-key" { 6 } else { 30 };
            parts.push(format!("{short}={}", shortened(&String::from_utf8_lossy(value.as_bytes()), limit)));
        }
    }
    parts.sort();
    if parts.is_empty() { "nobody is identified".to_owned() } else { wrapped(&parts) }
}

/// In lines that fit a terminal.
fn wrapped(parts: &[String]) -> String {
    let mut text = String::new();
    let mut column = 0;
    for part in parts {
        let length = part.chars().count() + 1;
        let separator = if column == 0 {
            ""
        } else if column + length > LINE {
            "\n"
        } else {
            " "
        };
        column = if separator == " " { column + length } else { length };
        text.push_str(separator);
        text.push_str(part);
    }
    text
}

fn attacks(text: &mut String, rows: &[Row], paint: Paint) {
    let _written = writeln!(
        text,
        "\n{}\n",
        paint.title("2. What others might send, and how it is answered without asking the backend")
    );
    let _written = writeln!(text, "  {:18}{}", "", ATTACKS.map(|attack| format!("{:>13}", attack.name())).concat());
    for kind in KINDS.iter().filter(|row| row.is_mondays()).map(|row| row.kind) {
        let _written = write!(text, "  {:18}", kind.name());
        for attack in ATTACKS {
            let row = rows.iter().find(|row| row.case.kind == kind && row.case.group == Group::Attack(attack.name()));
            let Some(row) = row else { continue };
            let status = row.outcome.status.map_or_else(|| "---".to_owned(), |status| status.to_string());
            let passed = if row.outcome.received.is_some() { "*" } else { "" };
            text.push_str(&paint.judged(&format!("{:>13}", format!("{passed}{status}")), row));
        }
        text.push('\n');
    }
    text.push_str(
        "\n  Each 401 says severityCode 4000, so that monday gives up and keeps the automation; browsers get a page.\n",
    );
    text.push_str("  * reached the backend: monday's pages name both secrets for Authorization URLs, so the gateway takes either.\n");
    for attack in ATTACKS {
        let _written = writeln!(text, "    {:13} {}", attack.name(), attack.meaning());
    }
}

fn wrong(text: &mut String, rows: &[Row], paint: Paint) {
    let wrong: Vec<_> = rows.iter().filter(|row| !row.is_right()).collect();
    if wrong.is_empty() {
        let said = format!("{} requests, and all was as it should be.", rows.len());
        let _written = writeln!(text, "\n{}", paint.good(&said));
        return;
    }
    let said = format!("{} of {} requests were not answered as they should be:", wrong.len(), rows.len());
    let _written = writeln!(text, "\n{}", paint.bad(&said));
    for row in wrong {
        let _written = writeln!(text, "  {} {}: {}", row.case.kind.name(), row.case.path(), row.wrong.join("; "));
    }
}

/// For programs; with the configuration, if that is asked for.
pub(super) fn to_json(rows: &[Row], chapters: &[Chapter], config: Option<&str>) -> Value {
    let mut answer = json!({
        "ok": rows.iter().all(Row::is_right) && chapters.iter().all(Chapter::is_right),
        "rows": rows.iter().map(row_json).collect::<Vec<_>>(),
        "story": chapters.iter().map(chapter_json).collect::<Vec<_>>(),
    });
    if let (Some(config), Some(members)) = (config, answer.as_object_mut()) {
        members.insert("gateway.toml".to_owned(), Value::String(config.to_owned()));
    }
    answer
}

fn chapter_json(chapter: &Chapter) -> Value {
    json!({ "title": chapter.title, "told": chapter.told, "ok": chapter.is_right(), "wrong": chapter.wrong })
}

fn row_json(row: &Row) -> Value {
    let told = row.outcome.received.as_ref().map(|received| {
        let fields = received.headers.iter().filter(|(name, _)| speaks_of_the_caller(name.as_str()));
        let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            let limit = if name == "x-monday-api-key" { 6 } else { usize::MAX };
            (name.to_string(), Value::String(shortened(&String::from_utf8_lossy(value.as_bytes()), limit)))
        };
        fields.map(field).collect::<Map<_, _>>()
    });
    json!({
        "kind": row.case.kind.name(),
        "sent": row.case.name,
        "method": row.case.method.as_str(),
        "path": row.case.path(),
        "status": row.outcome.status,
        "reached": row.outcome.received.is_some(),
        "told": told,
        "reason": row.outcome.reason,
        "severity_code": row.outcome.severity,
        "monday": row.outcome.verdict.name(),
        "ok": row.is_right(),
        "wrong": row.wrong,
    })
}

/// What a person can try while it stays up.
pub(super) fn to_try(scene: &Scene, now: i64) -> String {
    let monday = scene.monday(now);
    let ca = scene.file("ca.pem").display().to_string();
    let config = scene.file("gateway.toml").display().to_string();
    let mut text = format!(
        "\nThe gateway listens at {}; its configuration is {config}.\nTo try with curl (the tokens are good for an hour):\n",
        scene.origin
    );
    for (kind, why) in [
        (Kind::Action, "an action, as monday sends it"),
        (Kind::View, "the app's own front end"),
        (Kind::Authorization, "a person's browser"),
    ] {
        let url = format!("{}{}/try", scene.origin, base(kind));
        let token = monday.token(kind, &format!("{}/try", base(kind)), TRYING).unwrap_or_default();
        let body = sample::body(kind, 1, 1).map_or("", |_| " --json '{}'");
        let _written = match kind {
            Kind::Authorization => writeln!(text, "\n# {why}\ncurl --cacert {ca} '{url}?token={token}'"),
            _ => writeln!(text, "\n# {why}\ncurl --cacert {ca} -H 'Authorization: {token}'{body} {url}"),
        };
    }
    let action = format!("{}{}/try", scene.origin, base(Kind::Action));
    let _written = writeln!(text, "\n# without a token: refused\ncurl --cacert {ca} -i --json '{{}}' {action}");
    let _written = writeln!(
        text,
        "\n# a forged header: the backend never sees it\ncurl --cacert {ca} -H 'X-Monday-Account-Id: 666' {}/public/try",
        scene.origin
    );
    let program =
        std::env::current_exe().map_or_else(|_unknown| "monday-gateway".to_owned(), |path| path.display().to_string());
    let again = format!("{program} --config {config}");
    let _written =
        writeln!(text, "\n# another token, and why it is refused\n{again} token --expired | {again} explain token");
    text.push_str("\nCtrl-C ends it.\n");
    text
}
