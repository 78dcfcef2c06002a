//! A route's `grants`, `require` and `issuer`: which tokens its requests carry, and without which they are not forwarded. By default
//! the app's grants, on kinds that only monday's servers call.

use std::sync::Arc;

use crate::config::read::{Field, Many};
use crate::config::resolve::authorization::OfApp;
use crate::config::resolve::routes::{Reading, index_of};
use crate::config::resolved::App;
use crate::config::resolved::grants::Mode;
use crate::config::sheet::{At, Sheet};
use crate::config::written;
use crate::monday::kinds::Kind;
use crate::oauth::provider::{Per, Provider};

/// What becomes of `grants` and `require`.
#[derive(Debug, Default)]
pub(crate) struct RouteGrants {
    /// With `require`.
    pub(crate) all: Vec<Arc<Provider>>,
    /// A part of `all`.
    pub(crate) require: Vec<Arc<Provider>>,
}

impl Reading<'_> {
    /// `grants` and `require`.
    pub(crate) fn grants(&self, sheet: &mut Sheet<'_>) -> Option<RouteGrants> {
        let route = &self.route.is;
        let (grants, require) = (route.grants.optional(), route.require.optional());
        let kind = self.kind()?;
        if kind == Kind::Public {
            return none_on_public([grants?, require?], sheet);
        }
        let app = self.named_app();
        let grants = self.listed(&route.grants, app, sheet);
        let require = self.listed(&route.require, app, sheet);
        self.check_guests(kind, [&route.grants, &route.require], sheet);
        let resolved = app.and_then(|(at, ..)| self.around.apps.get(at)?.as_ref());
        let (grants, require) = (grants?, require?);
        let mut all = match grants {
            Some(grants) => grants,
            None if kind.row().only_monday => resolved.map(own_grants).unwrap_or_default(),
            None => Vec::new(),
        };
        let require = require.unwrap_or_default();
        for provider in &require {
            if !all.iter().any(|known| known.name == provider.name) {
                all.push(Arc::clone(provider));
            }
        }
        Some(RouteGrants { all, require })
    }

    /// The app as written, if the route names one that is there.
    fn named_app(&self) -> Option<(usize, &At<String>, &written::App)> {
        let name = self.route.is.app.given()?;
        let apps = &self.file.apps.given()?.is.0;
        let at = apps.iter().position(|(known, _)| known.is == name.is)?;
        let (known, app) = apps.get(at)?;
        Some((at, known, &app.given()?.is))
    }

    #[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
    fn listed(
        &self,
        field: &Field<Many<String>>,
        app: Option<(usize, &At<String>, &written::App)>,
        sheet: &mut Sheet<'_>,
    ) -> Option<Option<Vec<Arc<Provider>>>> {
        let Some(names) = field.optional()? else { return Some(None) };
        let (at, name, written) = app?;
        let monday = self.around.apps.get(at).and_then(Option::as_ref).and_then(|app| app.monday.as_ref());
        let of = OfApp { file: self.file, name, app: written, monday, providers: self.around.providers };
        of.named(&names.is.0, sheet).map(Some)
    }

    /// A guest of the account is nobody to hand the whole account's grant to.
    fn check_guests(&self, kind: Kind, lists: [&Field<Many<String>>; 2], sheet: &mut Sheet<'_>) {
        if kind != Kind::View || self.refuses_guests() {
            return;
        }
        let names = lists.into_iter().filter_map(Field::given).flat_map(|list| &list.is.0);
        for name in names {
            let provider = self.around.providers.find(&name.is);
            if provider.is_some_and(|provider| provider.per == Per::Account) {
                let what = "this grant is the whole account's, and guests may call this route: they would act with it";
                let _: Option<()> = sheet.absent(name.place, what, "add allow = { guests = false } to this route");
            }
        }
    }

    fn refuses_guests(&self) -> bool {
        match &self.route.is.allow {
            Field::Absent => false,
            Field::Wrong => true,
            Field::Given(allow) => match &allow.is.guests {
                Field::Absent => false,
                Field::Wrong => true,
                Field::Given(guests) => !guests.is,
            },
        }
    }

    /// Only and always for kind "jwt".
    #[expect(clippy::option_option, reason = "None: the mistake is recorded; Some(None): not written")]
    pub(crate) fn issuer(&self, sheet: &mut Sheet<'_>) -> Option<Option<usize>> {
        let kind = self.kind();
        let is_jwt = kind? == Kind::Jwt;
        match self.route.is.issuer.optional()? {
            Some(name) if is_jwt => index_of(&self.file.issuers, name, "issuer", sheet).map(Some),
            Some(name) => {
                let what = format!("tokens of kind `{}` are monday's, and no issuer's", kind?.name());
                sheet.refuse(name.place, what, "remove it, or write kind = \"jwt\"")
            }
            None if is_jwt => sheet.absent(
                self.route.place,
                "`issuer` is missing here: who signs the tokens of this route?",
                "add issuer = \"NAME\", and [issuers.NAME] with issuer and audience",
            ),
            None => Some(None),
        }
    }
}

fn none_on_public(lists: [Option<&At<Many<String>>>; 2], sheet: &mut Sheet<'_>) -> Option<RouteGrants> {
    let mut is_right = true;
    for list in lists.into_iter().flatten().filter(|list| !list.is.0.is_empty()) {
        is_right = false;
        let _: Option<()> = sheet.refuse(
            list.place,
            "a public route knows nobody, so it has nobody's grants",
            "choose another kind, or remove it",
        );
    }
    is_right.then(RouteGrants::default)
}

/// What the app's Authorization URL asks for.
fn own_grants(app: &App) -> Vec<Arc<Provider>> {
    match app.authorization.as_ref().map(|authorization| &authorization.mode) {
        Some(Mode::Grants(grants)) => grants.clone(),
        Some(Mode::Status { .. }) | None => Vec::new(),
    }
}
