//! `[internal]`: where backends ask, and which of them may ask what. Beyond loopback and Unix sockets both sides show certificates.

use std::net::SocketAddr;

use crate::config::address::InternalAddress;
use crate::config::read::Field;
use crate::config::resolve::check_name;
use crate::config::resolve::providers::Providers;
use crate::config::resolve::routes::index_of;
use crate::config::resolve::server::{clash, pair, path};
use crate::config::resolved::grants::{Ability, Internal, InternalClient, InternalListen, InternalTls};
use crate::config::secret_source::fetch_of;
use crate::config::sheet::{At, Place, Sheet};
use crate::config::suggest::suggest;
use crate::config::written;
use crate::limits::SECRET_BYTES_MIN;
use crate::secret::Secret;

const KEY_RIGHT: &str = "32 random bytes and more, as `openssl rand -base64 32` makes them";

/// `Some(None)` if there is none.
#[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
pub(crate) fn internal(
    file: &written::File,
    providers: &Providers<'_>,
    sheet: &mut Sheet<'_>,
) -> Option<Option<Internal>> {
    let Some(table) = file.internal.optional()? else { return Some(None) };
    let listen = listen(file, &table.is, sheet);
    let named = table.is.clients.optional()?.map_or(&[][..], |clients| clients.is.0.as_slice());
    if named.is_empty() {
        return sheet.absent(
            table.place,
            "nobody may ask the internal API: it has no clients",
            "add [internal.clients.NAME] with key, apps and grants, or remove [internal]",
        );
    }
    let clients: Vec<Option<InternalClient>> = named
        .iter()
        .map(|(name, field)| {
            let plain = check_name(name, "a client", sheet);
            let client = field.given().and_then(|table| Reading { file, providers, table }.client(sheet));
            Some(InternalClient { name: plain?, ..client? })
        })
        .collect();
    let clients: Vec<InternalClient> = clients.into_iter().collect::<Option<_>>()?;
    refuse_shared_keys(&clients, named, sheet)?;
    Some(Some(Internal { listen: listen?, clients }))
}

fn listen(file: &written::File, is: &written::Internal, sheet: &mut Sheet<'_>) -> Option<InternalListen> {
    let tls = is.tls.optional().and_then(|tls| tls.map_or(Some(None), |table| tls_files(table, sheet).map(Some)));
    let At { is: address, place } = is.listen.given()?;
    match address {
        InternalAddress::Unix(path) => {
            if let Some(tls) = is.tls.given() {
                return sheet.refuse(
                    tls.place,
                    "on a Unix socket the file's permissions say who may ask",
                    "remove [internal.tls]",
                );
            }
            Some(InternalListen::Unix(path.clone()))
        }
        InternalAddress::Tcp(address) => {
            let is_near = address.ip().to_canonical().is_loopback();
            if !is_near && is.tls.is_absent() {
                return sheet.absent(
                    *place,
                    "beyond loopback, access tokens would cross the network readable, for whoever has a key",
                    "add [internal.tls] with certificate, private_key and client_ca, or listen on 127.0.0.1 or unix:/path",
                );
            }
            refuse_clash(file, *address, *place, sheet);
            Some(InternalListen::Tcp { address: *address, tls: tls? })
        }
    }
}

fn tls_files(table: &At<written::InternalTls>, sheet: &mut Sheet<'_>) -> Option<InternalTls> {
    let certificate = table
        .is
        .certificate
        .given()
        .zip(table.is.private_key.given())
        .and_then(|(certificate, private_key)| pair(certificate, private_key, sheet));
    let client_ca = path(table.is.client_ca.given()?, sheet);
    Some(InternalTls { certificate: certificate?, client_ca: client_ca? })
}

/// Tokens are never handed out where monday or metrics come in.
fn refuse_clash(file: &written::File, address: SocketAddr, place: Place, sheet: &mut Sheet<'_>) {
    let public = file.server.given().and_then(|server| server.is.listen.given());
    let public = public.map_or(&[][..], |listen| listen.is.0.as_slice()).iter().map(|at| (at.is, at.place));
    let admin = file.admin.given().and_then(|admin| admin.is.listen.given()).map(|at| (at.is, at.place));
    for (other, there) in public.chain(admin) {
        if clash(address, other) {
            sheet.refuse_pair(
                [place, there],
                "something else listens here",
                format!("port {} is taken twice: the internal API has a listener of its own", address.port()),
                "give [internal] another port",
            );
        }
    }
}

/// One client and the file around it.
struct Reading<'a> {
    file: &'a written::File,
    providers: &'a Providers<'a>,
    table: &'a At<written::InternalClient>,
}

impl Reading<'_> {
    fn client(&self, sheet: &mut Sheet<'_>) -> Option<InternalClient> {
        let is = &self.table.is;
        let keys = is.key.given().and_then(|keys| {
            let keys: Vec<Option<Secret>> =
                keys.is.0.iter().map(|key| fetch_of(&key.is, key.place, SECRET_BYTES_MIN, KEY_RIGHT, sheet)).collect();
            keys.into_iter().collect::<Option<Vec<Secret>>>()
        });
        let can = is.can.given().and_then(|can| abilities(&can.is.0, can.place, sheet));
        let apps = self.apps(can.as_deref().unwrap_or_default(), sheet);
        let grants = self.grants(can.as_deref().unwrap_or_default(), sheet);
        Some(InternalClient { name: String::new(), keys: keys?, apps: apps?, grants: grants?, can: can? })
    }

    fn apps(&self, can: &[Ability], sheet: &mut Sheet<'_>) -> Option<Vec<usize>> {
        let names = self.table.is.apps.given()?;
        let mut apps: Vec<Option<usize>> = Vec::new();
        for name in &names.is.0 {
            let index = index_of(&self.file.apps, name, "app", sheet);
            if let (Some(index), true) = (index, can.contains(&Ability::Sign)) {
                self.check_signing(index, name, sheet);
            }
            apps.push(index);
        }
        apps.into_iter().collect()
    }

    /// What the app sends to monday names the app, and is signed with its secret.
    fn check_signing(&self, index: usize, name: &At<String>, sheet: &mut Sheet<'_>) {
        let app = self.file.apps.given().and_then(|apps| apps.is.0.get(index)).and_then(|(_, app)| app.given());
        let Some(app) = app else { return };
        for (key, is_absent) in
            [("app_id", app.is.app_id.is_absent()), ("signing_secret", app.is.signing_secret.is_absent())]
        {
            if is_absent {
                let _: Option<()> = sheet.absent(
                    name.place,
                    format!("what an app sends to monday is signed with its `{key}`, and app `{}` has none", name.is),
                    format!("add {key} to [apps.{}], or take \"sign\" out of `can`", name.is),
                );
            }
        }
    }

    fn grants(&self, can: &[Ability], sheet: &mut Sheet<'_>) -> Option<Vec<String>> {
        let Some(names) = self.table.is.grants.optional()?.filter(|names| !names.is.0.is_empty()) else {
            if can.iter().any(|ability| *ability != Ability::Sign) {
                return sheet.absent(
                    self.table.place,
                    "`grants` is missing here: at which providers may it read, list or revoke?",
                    "add grants = [\"monday\"]",
                );
            }
            return Some(Vec::new());
        };
        let known = self.providers.names();
        let mut read: Vec<Option<String>> = Vec::new();
        for name in &names.is.0 {
            if known.contains(&name.is.as_str()) {
                read.push(Some(name.is.clone()));
            } else {
                let what = format!("there is no provider `{}`", crate::config::mask::quotable(&name.is));
                read.push(sheet.absent(name.place, what, suggest(&name.is, &known)));
            }
        }
        read.into_iter().collect()
    }
}

fn abilities(can: &[At<Ability>], place: Place, sheet: &mut Sheet<'_>) -> Option<Vec<Ability>> {
    if can.is_empty() {
        return sheet.refuse(place, "this client may do nothing", "\"read\", \"list\", \"revoke\" or \"sign\"");
    }
    for (index, ability) in can.iter().enumerate() {
        if can.iter().take(index).any(|other| other.is == ability.is) {
            return sheet.refuse(ability.place, "this is in the list twice", "remove one");
        }
    }
    Some(can.iter().map(|ability| ability.is).collect())
}

/// The key says who asks: two clients with one key could not be told apart.
fn refuse_shared_keys(
    clients: &[InternalClient],
    named: &[(At<String>, Field<written::InternalClient>)],
    sheet: &mut Sheet<'_>,
) -> Option<()> {
    if sheet.around().secrets == crate::config::sheet::Secrets::Assume {
        return Some(());
    }
    for (index, later) in clients.iter().enumerate() {
        let earlier =
            clients.iter().take(index).position(|other| other.keys.iter().any(|key| later.keys.contains(key)));
        if let Some((earlier, later)) = earlier.and_then(|at| named.get(at).zip(named.get(index))) {
            sheet.refuse_pair(
                [later.0.place, earlier.0.place],
                "the other client",
                "two clients have the same key, so neither the audit log nor `can` could tell them apart",
                "give each a key of its own",
            );
            return None;
        }
    }
    Some(())
}
