//! From what was written to the configuration as the gateway uses it: values checked, secrets fetched, names resolved to indices.
//! Every check records what is wrong and goes on; the configuration exists only if nothing was.

pub(crate) mod apps;
pub(crate) mod authorization;
pub(crate) mod cors;
pub(crate) mod grants;
pub(crate) mod internal;
pub(crate) mod key_form;
pub(crate) mod monday_provider;
pub(crate) mod oauth_client;
pub(crate) mod presets;
pub(crate) mod providers;
pub(crate) mod route_grants;
pub(crate) mod route_path;
pub(crate) mod routes;
pub(crate) mod server;
pub(crate) mod upstreams;

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::config::access_log::Access;
use crate::config::read::Field;
use crate::config::relations;
use crate::config::resolve::providers::Providers;
use crate::config::resolved::{AccessLog, Config, Log, LogFormat};
use crate::config::sheet::{At, Sheet};
use crate::config::written;

/// The whole file.
pub(crate) fn file(file: &written::File, sheet: &mut Sheet<'_>) -> Option<Config> {
    let admin = server::admin(file, sheet);
    let server = file.server.given().and_then(|server| server::server(&server.is, sheet));
    let log = file.log.given().and_then(|log| log_of(&log.is, sheet));
    let monday = grants::monday(file);
    let providers = Providers::read(file, sheet);
    let apps = apps::apps(file, &providers, sheet);
    let upstreams = upstreams::upstreams(file, sheet);
    let issuers = grants::issuers(file, sheet);
    let vault = grants::vault(file, sheet);
    let internal = internal::internal(file, &providers, sheet);
    let branding = grants::pages(file, sheet);
    let around = routes::Around {
        file,
        default_body: server.as_ref().map_or(0, |server| server.limits.body),
        apps: &apps,
        providers: &providers,
    };
    let routes = routes::routes(&around, sheet);
    relations::check(file, &providers, sheet);
    Some(Config {
        server: server?,
        admin: admin?,
        log: log?,
        apps: apps.into_iter().collect::<Option<_>>().filter(|_| file.apps.optional().is_some())?,
        upstreams: upstreams?,
        routes: routes?,
        providers: providers.all(file)?,
        monday: monday?,
        issuers: issuers?,
        vault: vault?,
        internal: internal?,
        branding: branding?,
    })
}

fn log_of(log: &written::Log, sheet: &Sheet<'_>) -> Option<Log> {
    let format = log.format.optional()?.map(|format| format.is);
    let access = match &log.access.given()?.is {
        Access::Off => AccessLog::Off,
        Access::Stdout => AccessLog::Stdout,
        Access::File(name) => AccessLog::File(sheet.around().base_dir.join(name)),
    };
    Some(Log { level: log.level.given()?.is, format: format.unwrap_or_else(format_for_stdout), access })
}

fn format_for_stdout() -> LogFormat {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { LogFormat::Text } else { LogFormat::Json }
}

/// Records a value outside its range. `show` writes a bound as the file would.
pub(crate) fn within<T, Shown>(
    field: &Field<T>,
    range: &RangeInclusive<T>,
    show: impl Fn(&T) -> Shown,
    sheet: &mut Sheet<'_>,
) -> Option<T>
where
    T: PartialOrd + Copy,
    Shown: Display,
{
    let At { is, place } = field.given()?;
    if range.contains(is) {
        return Some(*is);
    }
    let (least, most) = (show(range.start()), show(range.end()));
    let what = if is < range.start() { "this is too little" } else { "this is too much" };
    sheet.refuse(*place, what, format!("from {least} to {most}"))
}

/// Whether a name can be a label and the value of a header.
pub(crate) fn check_name(name: &At<String>, what: &str, sheet: &mut Sheet<'_>) -> Option<String> {
    let is_plain = (1..=64).contains(&name.is.len())
        && name.is.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if is_plain {
        return Some(name.is.clone());
    }
    sheet.refuse(
        name.place,
        format!("{what} has a name of 1 to 64 letters, digits, `-`, `_` and `.`: headers and metrics carry it"),
        "rename it",
    )
}
