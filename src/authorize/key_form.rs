//! The form for keys that a user has from a service: shown to somebody who is known, tried at the service, and kept only if they work.
//! What was typed is never shown again.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;

use crate::authorize::attempt::Attempt;
use crate::authorize::callback::store;
use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::forms::Fields;
use crate::authorize::here::{AfterForm, Here, Outcome};
use crate::authorize::opaque::Opaque;
use crate::authorize::step::may_connect;
use crate::grants::record::{Grant, State};
use crate::oauth::api_key;
use crate::oauth::provider::{Connect, KeyForm, Per, Provider};
use crate::pages::screen::{Field, Form, Link, Screen};
use crate::pages::words::Say;

/// Shows the form, or takes what was typed into it.
pub(crate) async fn keys(here: &Here<'_>, name: &str) -> Result<Outcome, Trouble> {
    let provider = here.app.provider(name).map(Arc::clone).ok_or(Ending::Expired)?;
    let Connect::ApiKey(form) = &provider.connect else { return Err(Ending::Expired.into()) };
    let fields = if here.visit.is_post { here.fields()? } else { here.query.clone().ok_or(Ending::Expired)? };
    let (id, attempt) = here.attempt(fields.value("flow")).await?;
    let identity = here.identity().filter(|identity| identity.is(attempt.account, attempt.user));
    if identity.is_none() {
        // The next step is then to say who it is.
        return Ok(Outcome::See(here.next_path(&id, AfterForm::Yes), Vec::new()));
    }
    if !may_connect(&provider, identity.as_ref()) {
        return Err(Ending::NeedsAdmin { provider: provider.display.clone() }.of(&id, &attempt));
    }
    let typing = Typing { here, provider: &provider, form, id: &id, attempt: &attempt };
    if here.visit.is_post { typing.take(&fields).await } else { Ok(typing.show(None)) }
}

struct Typing<'a> {
    here: &'a Here<'a>,
    provider: &'a Provider,
    form: &'a KeyForm,
    id: &'a Opaque,
    attempt: &'a Attempt,
}

impl Typing<'_> {
    fn show(&self, alert: Option<Say>) -> Outcome {
        let here = self.here;
        let whose = (self.attempt.account, self.attempt.user);
        let provider = [("provider", self.provider.display.as_str())];
        let mut screen: Screen = here.screen(here.say(Say::KeysTitle, Some(whose), &provider), Some(whose));
        screen.alert = alert.map(|say| here.say(say, Some(whose), &provider));
        let text = match self.provider.per {
            Per::User => Say::KeysText,
            Per::Account => Say::KeysTextShared,
        };
        screen.paragraphs.push(here.say(text, Some(whose), &provider));
        let field = |field: &crate::oauth::provider::KeyField| Field {
            name: field.name.clone(),
            label: field.label.clone(),
            is_secret: field.is_secret,
        };
        screen.form = Some(Form {
            action: here.visit.path_outside(&here.flow.prefix),
            hidden: vec![("flow", self.id.as_str().to_owned()), ("form", here.form_value("keys", whose))],
            fields: self.form.fields.iter().map(field).collect(),
            button: here.say(Say::KeysConnect, Some(whose), &provider),
            is_second: false,
        });
        let help = self.form.help_url.as_ref().map(|url| Link {
            text: here.language.say(Say::KeysHelp, &[]),
            href: url.to_string(),
            is_main: false,
        });
        screen.links.extend(help);
        let href = here.next_path(self.id, AfterForm::Yes);
        screen.links.push(Link { text: here.language.say(Say::Back, &[]), href, is_main: false });
        let status = if alert.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        Outcome::Page(Box::new(screen), status)
    }

    async fn take(&self, fields: &Fields) -> Result<Outcome, Trouble> {
        let here = self.here;
        if !here.is_own_form("keys", (self.attempt.account, self.attempt.user), fields) {
            return Err(Ending::Form.of(self.id, self.attempt));
        }
        let mut typed: BTreeMap<String, String> = BTreeMap::new();
        for field in &self.form.fields {
            // White space around a key comes from copying it.
            match fields.value(&format!("field-{}", field.name)).trim() {
                "" => return Ok(self.show(Some(Say::KeysIncomplete))),
                value => typed.insert(field.name.clone(), value.to_owned()),
            };
        }
        if let Err(fault) = api_key::test(&here.flow.web, self.provider, &typed).await {
            let (app, provider) = (&here.app.name, &self.provider.name);
            tracing::info!(app, provider, request_id = here.visit.request_id, "keys were not kept: {fault}");
            if fault.is_users() {
                return Ok(self.show(Some(Say::KeysRefused)));
            }
            let ending = Ending::Fault { provider: self.provider.display.clone(), detail: fault.to_string() };
            return Err(ending.of(self.id, self.attempt));
        }
        let Some(access) = self.form.fields.first().and_then(|first| typed.remove(&first.name)) else {
            return Ok(self.show(Some(Say::KeysIncomplete)));
        };
        let grant = Grant {
            state: State::Ok,
            access,
            refresh: None,
            expires: None,
            scopes: Vec::new(),
            asked: Vec::new(),
            values: typed,
            granted_at: here.now,
            renewed_at: here.now,
            granted_by: (self.provider.per == Per::Account).then_some(self.attempt.user),
        };
        store(here, self.attempt, self.provider, grant).await?;
        let mut attempt = self.attempt.clone();
        attempt.did(&self.provider.name);
        here.keep_attempt(self.id, &attempt).await?;
        Ok(Outcome::See(here.next_path(self.id, AfterForm::Yes), Vec::new()))
    }
}
