//! The tables that grants need beside apps and providers: `[monday]`, `[vault]`, `[issuers.*]` and `[pages]`.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::config::endpoint::endpoint;
use crate::config::parameters::ClaimTest;
use crate::config::read::Field;
use crate::config::resolve::check_name;
use crate::config::resolve::providers::pairs;
use crate::config::resolve::server::{count, duration, path};
use crate::config::resolved::grants::{Branding, Issuer, MondayHosts, VaultSettings};
use crate::config::secret_source::{SecretSource, fetch_of};
use crate::config::sheet::{At, Place, Secrets, Sheet};
use crate::config::store::store;
use crate::config::written;
use crate::secret::Secret;

/// AES-256.
const KEY_BYTES: usize = 32;

/// `[monday]`.
pub(crate) fn monday(file: &written::File) -> Option<MondayHosts> {
    let table = &file.monday.given()?.is;
    Some(MondayHosts { auth: table.auth_url.given()?.is.0.clone(), api: table.api_url.given()?.is.0.clone() })
}

/// `[vault]`: `Some(None)` if there is none.
#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
pub(crate) fn vault(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Option<VaultSettings>> {
    let Some(table) = file.vault.optional()? else { return Some(None) };
    let is = &table.is;
    let store = is.store.given().and_then(|written| store(written, sheet));
    let keys = is.keys.given().and_then(|keys| {
        let keys: Vec<Option<Secret>> = keys.is.0.iter().map(|key| vault_key(&key.is, key.place, sheet)).collect();
        let keys: Vec<Secret> = keys.into_iter().collect::<Option<_>>()?;
        refuse_equal(&keys, is.keys.given()?.place, sheet).map(|()| keys)
    });
    let stale = duration(&is.stale, std::time::Duration::ZERO, 86_400, sheet);
    let entries = count(&is.cache_entries, 100, 10_000_000, sheet);
    let audit = is.audit.optional().and_then(|audit| audit.map_or(Some(None), |audit| path(audit, sheet).map(Some)));
    Some(Some(VaultSettings {
        store: store?,
        keys: keys?,
        stale: stale?,
        cache_entries: u64::try_from(entries?).ok()?,
        audit: audit?,
    }))
}

/// 32 bytes, out of their base64.
fn vault_key(source: &SecretSource, place: Place, sheet: &mut Sheet<'_>) -> Option<Secret> {
    let right = "32 bytes in base64: `monday-gateway vault key` makes one";
    let text = fetch_of(source, place, 1, right, sheet)?;
    if sheet.around().secrets == Secrets::Assume && !matches!(source, SecretSource::Literal(_)) {
        return Some(Secret::new(vec![b'?'; KEY_BYTES]));
    }
    let trimmed = text.expose().trim_ascii();
    let unpadded = trimmed.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let decoded = STANDARD
        .decode(trimmed)
        .ok()
        .or_else(|| URL_SAFE_NO_PAD.decode(trimmed.get(..unpadded).unwrap_or_default()).ok())
        .map(Secret::new);
    match decoded {
        Some(key) if key.len() == KEY_BYTES => Some(key),
        Some(key) => {
            let what = format!("this key has {} bytes, and the vault's have {KEY_BYTES}", key.len());
            sheet.refuse(place, what, right)
        }
        None => sheet.refuse(place, "this key is not base64", right),
    }
}

fn refuse_equal(keys: &[Secret], place: Place, sheet: &mut Sheet<'_>) -> Option<()> {
    let is_twice = keys.iter().enumerate().any(|(at, key)| keys.iter().take(at).any(|other| other == key));
    let is_read = sheet.around().secrets == Secrets::Read;
    if is_twice && is_read {
        return sheet.refuse(place, "two of these keys are the same, so nothing was rotated", "remove one");
    }
    Some(())
}

/// `[issuers.*]`, in the file's order.
pub(crate) fn issuers(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Vec<Issuer>> {
    let named = file.issuers.optional()?.map_or(&[][..], |issuers| issuers.is.0.as_slice());
    let issuers: Vec<Option<Issuer>> = named
        .iter()
        .map(|(name, field)| {
            let plain = check_name(name, "an issuer", sheet);
            let issuer = field.given().and_then(|table| issuer(&table.is, sheet));
            Some(Issuer { name: plain?, ..issuer? })
        })
        .collect();
    issuers.into_iter().collect()
}

fn issuer(is: &written::Issuer, sheet: &mut Sheet<'_>) -> Option<Issuer> {
    let account = claim(&is.account, sheet);
    let user = claim(&is.user, sheet);
    let audience = is.audience.given().and_then(|audience| {
        let all: Vec<Option<String>> = audience.is.0.iter().map(|one| audience_of(one, sheet)).collect();
        all.into_iter().collect::<Option<Vec<String>>>()
    });
    let required = pairs(
        &is.require,
        |test, _| {
            Some(match &test.is {
                ClaimTest::Present => None,
                ClaimTest::Equal(text) => Some(text.clone()),
            })
        },
        sheet,
    );
    Some(Issuer {
        name: String::new(),
        issuer: is.issuer.given()?.is.0.clone(),
        jwks_url: is.jwks_url.optional()?.map(|url| url.is.0.clone()),
        audience: audience?,
        account: account?,
        user: user?,
        required: required?,
    })
}

fn audience_of(one: &At<String>, sheet: &mut Sheet<'_>) -> Option<String> {
    if one.is.is_empty() {
        return sheet.refuse(
            one.place,
            "an empty audience is nobody's",
            "what the issuer writes into `aud` for this backend",
        );
    }
    Some(one.is.clone())
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn claim(field: &Field<String>, sheet: &mut Sheet<'_>) -> Option<Option<String>> {
    match field.optional()? {
        Some(At { is, place }) if is.is_empty() => {
            sheet.refuse(*place, "this names no claim", "the claim's name, as in \"org_id\"")
        }
        Some(claim) => Some(Some(claim.is.clone())),
        None => Some(None),
    }
}

/// `[pages]`.
pub(crate) fn pages(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Branding> {
    let is = &file.pages.given()?.is;
    let name = checked(
        &is.name,
        |at, sheet| {
            let is_short = (1..=64).contains(&at.is.chars().count()) && !at.is.chars().any(char::is_control);
            if is_short {
                Some(at.is.clone())
            } else {
                sheet.refuse(at.place, "a name has 1 to 64 characters", "as in \"Planner\"")
            }
        },
        sheet,
    );
    let logo = checked(
        &is.logo,
        |at, sheet| {
            let extension =
                Path::new(&at.is).extension().and_then(std::ffi::OsStr::to_str).map(str::to_ascii_lowercase);
            if extension
                .is_some_and(|extension| matches!(extension.as_str(), "svg" | "png" | "webp" | "jpg" | "jpeg" | "gif"))
            {
                return path(at, sheet);
            }
            sheet.refuse(
                at.place,
                "this is no picture that pages can show",
                "a file that ends with .svg, .png, .webp, .jpg or .gif",
            )
        },
        sheet,
    );
    let color = checked(&is.color, color, sheet);
    let support = checked(&is.support, support, sheet);
    let words = checked(&is.words, path, sheet);
    Some(Branding { name: name?, logo: logo?, color: color?, support: support?, words: words? })
}

#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
fn checked<T>(
    field: &Field<String>,
    check: impl FnOnce(&At<String>, &mut Sheet<'_>) -> Option<T>,
    sheet: &mut Sheet<'_>,
) -> Option<Option<T>> {
    field.optional()?.map_or(Some(None), |at| check(at, sheet).map(Some))
}

fn support(at: &At<String>, sheet: &mut Sheet<'_>) -> Option<String> {
    let is_mail = at.is.split_once('@').is_some_and(|(user, host)| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
        !user.is_empty()
            && user.bytes().all(is_plain)
            && host.contains('.')
            && crate::config::address::is_host_name(host)
    });
    if is_mail || at.is.starts_with("https://") && endpoint(&at.is).is_ok() {
        return Some(at.is.clone());
    }
    let right = "as in \"help@example.com\" or \"https://example.com/help\"";
    sheet.refuse(at.place, "this is no mail address and no https URL", right)
}

fn color(at: &At<String>, sheet: &mut Sheet<'_>) -> Option<String> {
    let digits = at.is.strip_prefix('#').unwrap_or_default();
    if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(at.is.to_ascii_lowercase());
    }
    sheet.refuse(at.place, "this is no colour", "\"#\" and six hexadecimal digits, as in \"#0b5fcc\"")
}
