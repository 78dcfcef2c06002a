//! Tokens that a team already has, in CSV or JSON. Every mistake is told with its line, and none quotes a token. Knows no vault.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::grants::record::{Grant, State};

/// The columns, in their usual order; the last three may be missing.
pub(crate) const COLUMNS: [&str; 8] =
    ["app", "account_id", "user_id", "provider", "access_token", "refresh_token", "expires_at", "scopes"];

/// One token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its line, or its place in the list; from 1.
    pub(crate) line: u64,
    /// `apps.NAME`.
    pub(crate) app: String,
    /// monday's account id, if it is known.
    pub(crate) account: Option<i64>,
    /// Whose it is.
    pub(crate) owner: Owner,
    /// The provider's name.
    pub(crate) provider: String,
    access: Zeroizing<String>,
    refresh: Option<Zeroizing<String>>,
    expires: Option<i64>,
    scopes: Vec<String>,
}

/// Whose a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody has written it down.
    Unknown,
    /// This user's.
    User(i64),
    /// The account's: `-`.
    Account,
}

/// Something wrong on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: u64,
    /// What.
    pub(crate) what: String,
}

/// A row, as it is written. Ids may be numbers or texts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    app: String,
    #[serde(default)]
    account_id: Value,
    #[serde(default)]
    user_id: Value,
    provider: String,
    access_token: String,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_at: Value,
    #[serde(default)]
    scopes: Value,
}

/// Reads all of it, and tells all that is wrong. JSON begins with a bracket; anything else is CSV with a line of names.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Token>, Vec<Mistake>> {
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'[' | b'{'));
    let rows = if is_json { json_rows(bytes) } else { csv_rows(bytes) };
    let (mut tokens, mut mistakes) = (Vec::new(), Vec::new());
    for (line, row) in rows.map_err(|mistake| vec![mistake])? {
        match row.and_then(|row| token(line, row)) {
            Ok(token) => tokens.push(token),
            Err(what) => mistakes.push(Mistake { line, what }),
        }
    }
    if mistakes.is_empty() { Ok(tokens) } else { Err(mistakes) }
}

type Rows = Vec<(u64, Result<Written, String>)>;

fn json_rows(bytes: &[u8]) -> Result<Rows, Mistake> {
    let wrong = |fault: &serde_json::Error| Mistake {
        line: u64::try_from(fault.line()).unwrap_or(0),
        what: "this is not a JSON list of objects".to_owned(),
    };
    let rows: Vec<Value> = serde_json::from_slice(bytes).map_err(|fault| wrong(&fault))?;
    let read = |value: Value| Written::deserialize(value).map_err(|fault| named(&fault.to_string()));
    Ok((1..).zip(rows.into_iter().map(read)).collect())
}

fn csv_rows(bytes: &[u8]) -> Result<Rows, Mistake> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(bytes);
    let first = |what: String| Mistake { line: 1, what };
    let names = reader.headers().map_err(|_quotes| first("this is not CSV".to_owned()))?.clone();
    for name in &names {
        if !COLUMNS.contains(&name) {
            return Err(first(format!("the first line names the columns: {}", COLUMNS.join(","))));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|fault| Mistake {
            line: fault.position().map_or(0, csv::Position::line),
            what: "this is not CSV".to_owned(),
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() > names.len() {
            rows.push((line, Err("has more columns than the first line".to_owned())));
            continue;
        }
        let object = names.iter().zip(&record).filter(|(_, value)| !value.is_empty());
        let object = object.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        rows.push((line, Written::deserialize(Value::Object(object)).map_err(|fault| named(&fault.to_string()))));
    }
    Ok(rows)
}

/// serde's words, if they name a field; else nothing of them, since they may quote.
fn named(words: &str) -> String {
    let is_about_a_field = words.starts_with("missing field") || words.starts_with("unknown field");
    if is_about_a_field { words.to_owned() } else { format!("needs texts for {}", COLUMNS.join(", ")) }
}

fn token(line: u64, written: Written) -> Result<Token, String> {
    let owner = match &written.user_id {
        Value::String(text) if text == "-" => Owner::Account,
        value => id(value, "user_id")?.map_or(Owner::Unknown, Owner::User),
    };
    if written.app.contains('/')
        || written.provider.contains('/')
        || written.app.is_empty()
        || written.provider.is_empty()
    {
        return Err("app and provider are names".to_owned());
    }
    let is_sendable = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let refresh = written.refresh_token.filter(|token| !token.is_empty());
    if !is_sendable(&written.access_token) || refresh.as_deref().is_some_and(|token| !is_sendable(token)) {
        return Err("a token is visible ASCII without spaces".to_owned());
    }
    Ok(Token {
        line,
        account: id(&written.account_id, "account_id")?,
        owner,
        app: written.app,
        provider: written.provider,
        access: Zeroizing::new(written.access_token),
        refresh: refresh.map(Zeroizing::new),
        expires: moment(&written.expires_at)?,
        scopes: scopes(&written.scopes)?,
    })
}

fn id(value: &Value, name: &str) -> Result<Option<i64>, String> {
    let id = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    };
    id.filter(|id| *id > 0).map(Some).ok_or_else(|| format!("{name} is a positive integer, or empty"))
}

/// Unix seconds, or `2026-11-23T22:00:00Z`.
fn moment(value: &Value) -> Result<Option<i64>, String> {
    let wrong = || "expires_at is Unix seconds or a time like 2026-11-23T22:00:00Z, or empty".to_owned();
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.parse().ok().or_else(|| utc(text)).map(Some).ok_or_else(wrong),
        value => value.as_i64().map(Some).ok_or_else(wrong),
    }
}

/// RFC 3339 in UTC. Days since 1970 by Howard Hinnant's algorithm (<https://howardhinnant.github.io/date_algorithms.html>).
fn utc(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<[i64; 3]> {
        text.split(by).map(|part| part.split('.').next()?.parse().ok()).collect::<Option<Vec<i64>>>()?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let is_possible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_possible {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// A list, or a text with spaces or commas between.
fn scopes(value: &Value) -> Result<Vec<String>, String> {
    let split = |text: &str| text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(split(text)),
        Value::Array(list) => {
            let all: Option<Vec<String>> = list.iter().map(|one| one.as_str().map(str::to_owned)).collect();
            all.ok_or_else(|| "scopes are texts".to_owned())
        }
        _ => Err("scopes are a list of texts".to_owned()),
    }
}

impl Token {
    /// For whoever asks whose it is.
    pub(crate) fn access(&self) -> &str {
        &self.access
    }

    /// As a grant that was given now.
    pub(crate) fn grant(&self, now: i64) -> Grant {
        Grant {
            state: State::Ok,
            access: self.access.to_string(),
            refresh: self.refresh.as_ref().map(|token| token.to_string()),
            expires: self.expires,
            scopes: self.scopes.clone(),
            asked: self.scopes.clone(),
            values: BTreeMap::new(),
            granted_at: now,
            renewed_at: now,
            granted_by: None,
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, app, account, owner, provider, .. } = self;
        write!(f, "Token({line}: {app}, {account:?}, {owner:?}, {provider})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = "app,account_id,user_id,provider,access_token,refresh_token,expires_at,scopes\n\
            planner,1,2,github,gho_x,ghr_x,1800000000,\"repo, read:user\"\n\
            planner,1,-,slack,xoxb-1,,,\n\
            planner,,,monday,eyJ.a.b,,2027-01-15T08:00:00Z,me:read\n";
        let json = r#"[
            {"app":"planner","account_id":1,"user_id":"2","provider":"github","access_token":"gho_x","refresh_token":"ghr_x","expires_at":1800000000,"scopes":["repo","read:user"]},
            {"app":"planner","account_id":"1","user_id":"-","provider":"slack","access_token":"xoxb-1"},
            {"app":"planner","provider":"monday","access_token":"eyJ.a.b","expires_at":"1800000000","scopes":"me:read"}]"#;
        let strip = |tokens: Vec<Token>| tokens.into_iter().map(|token| Token { line: 0, ..token }).collect::<Vec<_>>();
        let (csv, json) = (read(csv.as_bytes()).unwrap(), read(json.as_bytes()).unwrap());
        assert_eq!(csv.iter().map(|token| token.line).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(strip(csv.clone()), strip(json));
        assert_eq!(csv[0].scopes, ["repo", "read:user"]);
        assert_eq!((csv[1].owner, csv[2].owner, csv[2].account), (Owner::Account, Owner::Unknown, None));
        assert_eq!(csv[0].grant(5).granted_at, 5);
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_no_token() {
        let csv = "app,account_id,user_id,provider,access_token,refresh_token,expires_at,scopes\n\
            planner,one,2,github,CANARY-a\n\
            planner,1,-2,github,CANARY-b\n\
            ,1,2,github,CANARY-c\n\
            planner,1,2,github,\n\
            planner,1,2,github,CANARY with spaces\n\
            planner,1,2,github,CANARY-d,,tomorrow\n\
            planner,1,2,git/hub,CANARY-e\n\
            planner,1,2,github,CANARY-f,,,,,\n\
            planner,1,2,github,ok\n";
        let mistakes = read(csv.as_bytes()).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(mistakes.iter().all(|mistake| !mistake.what.contains("CANARY")), "{mistakes:?}");
        for odd in
            ["[1]", "[{\"app\":1}]", "{}", "[", "name\nx\n", "[{\"app\":\"a\",\"provider\":\"p\",\"access_token\":7}]"]
        {
            let mistakes = read(odd.as_bytes()).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{odd}: {mistakes:?}");
        }
        assert_eq!(read(b"").unwrap(), []);
        println!("cases: 14");
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, unix) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-23T22:00:00Z", Some(1_795_471_200)),
            ("2024-02-29T12:30:15.250Z", Some(1_709_209_815)),
            ("2026-11-23T22:00:00+01:00", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-23", None),
        ] {
            assert_eq!(utc(text), unix, "{text}");
        }
    }
}
