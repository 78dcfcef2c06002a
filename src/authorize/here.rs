//! One visit, with all that its page may need: the app, the browser and who is in it, the language. Makes the answers: pages with the headers
//! that keep them from being framed, stored or told to others, and redirects. Decides nothing.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};

use crate::authorize::attempt::{Attempt, End};
use crate::authorize::cookies::Identity;
use crate::authorize::door::{Admission, Visit};
use crate::authorize::ending::{Ending, Trouble};
use crate::authorize::flow::{AppFlow, Inner};
use crate::authorize::forms::{Fields, Purpose};
use crate::authorize::opaque::{Hash, Opaque};
use crate::authorize::rows::{RowFault, Sort};
use crate::grants::Who;
use crate::limits;
use crate::pages::screen::{Link, Screen};
use crate::pages::words::{Language, Say};

/// One visit.
pub(crate) struct Here<'v> {
    /// What all visits share.
    pub(crate) flow: &'v Inner,
    /// What came.
    pub(crate) visit: &'v Visit,
    /// Whose page it is.
    pub(crate) app: &'v AppFlow,
    /// The parameters of the query; none if one came twice.
    pub(crate) query: Option<Fields>,
    /// The browser's own cookie, if it has one.
    pub(crate) browser: Option<Opaque>,
    /// In which the reader is spoken to.
    pub(crate) language: &'v Language,
    /// Unix seconds.
    pub(crate) now: i64,
}

/// What becomes of a visit that goes well.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A page.
    Page(Box<Screen>, StatusCode),
    /// 303 to this address.
    See(String, Vec<HeaderValue>),
    /// For a front end.
    Json(StatusCode, serde_json::Value),
    /// On to the backend.
    Onwards,
}

impl<'v> Here<'v> {
    /// A visit of a page of this app.
    pub(crate) fn new(flow: &'v Inner, visit: &'v Visit, app: &'v AppFlow) -> Self {
        Self {
            flow,
            visit,
            app,
            query: Fields::read(visit.query.as_bytes()),
            browser: flow.kept.get().and_then(|kept| kept.cookies.browser(&visit.cookies)),
            language: flow.languages.choose(&visit.accept_language),
            now: flow.clock.unix_seconds(),
        }
    }

    /// A path of this app's pages, as a browser sees it.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("{}{}/{page}", self.flow.prefix, self.app.base())
    }

    /// The page of an attempt's next step.
    pub(crate) fn next_path(&self, id: &Opaque, after_form: AfterForm) -> String {
        let shown = match after_form {
            AfterForm::No => "",
            AfterForm::Yes => "&shown=1",
        };
        format!("{}?flow={}{shown}", self.path("next"), id.as_str())
    }

    /// Who is in this browser, if anybody has said so within the hour.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let browser = self.browser.as_ref()?.hash();
        self.flow.kept.get()?.cookies.identity(&self.visit.cookies, &self.app.name, &browser, self.now)
    }

    /// The attempt of this id, if it is this app's and this browser's.
    pub(crate) async fn attempt(&self, id: &str) -> Result<(Opaque, Attempt), Trouble> {
        let id = Opaque::parse(id).ok_or(Ending::Expired)?;
        let attempt: Option<Attempt> =
            self.kept()?.rows.read(Sort::Attempt, &id).await.map_err(|fault| self.down(&fault))?;
        let attempt = attempt.filter(|attempt| attempt.app == self.app.name).ok_or(Ending::Expired)?;
        let is_same = self.browser.as_ref().is_some_and(|browser| browser.hash().is(&attempt.browser));
        if is_same { Ok((id, attempt)) } else { Err(Ending::OtherBrowser.into()) }
    }

    /// Writes an attempt down, for another hour.
    pub(crate) async fn keep_attempt(&self, id: &Opaque, attempt: &Attempt) -> Result<(), Trouble> {
        let kept = self.kept()?.rows.keep((Sort::Attempt, id), attempt, limits::FLOW_LIFETIME).await;
        kept.map_err(|fault| Trouble { attempt: Some(Box::new((id.clone(), attempt.clone()))), ..self.down(&fault) })
    }

    /// Begins an attempt, and sends the browser to its first step.
    pub(crate) async fn begin(&self, attempt: impl FnOnce(Hash) -> Attempt) -> Result<Outcome, Trouble> {
        let mut cookies = Vec::new();
        let browser = if let Some(browser) = &self.browser {
            browser.clone()
        } else {
            let (browser, field) = self.kept()?.cookies.new_browser().map_err(|fault| self.down(&fault.into()))?;
            cookies.extend(field);
            browser
        };
        let id = Opaque::fresh().map_err(|fault| self.down(&fault.into()))?;
        self.keep_attempt(&id, &attempt(browser.hash())).await?;
        let after_form = if self.visit.is_post { AfterForm::Yes } else { AfterForm::No };
        Ok(Outcome::See(self.next_path(&id, after_form), cookies))
    }

    /// The value that a form of this page carries.
    pub(crate) fn form_value(&self, action: &'static str, who: (i64, i64)) -> String {
        let (Some(browser), Ok(kept)) = (self.browser.as_ref().map(Opaque::hash), self.kept()) else {
            return String::new();
        };
        kept.forms.seal(Purpose { app: &self.app.name, action, browser: &browser, who }, self.now)
    }

    /// Whether the form that came is the gateway's own.
    pub(crate) fn is_own_form(&self, action: &'static str, who: (i64, i64), fields: &Fields) -> bool {
        let (Some(browser), Ok(kept)) = (self.browser.as_ref().map(Opaque::hash), self.kept()) else { return false };
        let purpose = Purpose { app: &self.app.name, action, browser: &browser, who };
        kept.forms.is_own(self.visit, purpose, fields.value("form"), self.now)
    }

    /// The store, or the system, is down: the log says why.
    pub(crate) fn down(&self, fault: &RowFault) -> Trouble {
        tracing::error!(%fault, app = self.app.name, request_id = self.visit.request_id, "a page cannot be served");
        Ending::Down.into()
    }

    /// A sentence about a user, with what it names.
    pub(crate) fn say(&self, say: Say, who: Option<(i64, i64)>, fill: &[(&str, &str)]) -> String {
        let [account, user] =
            who.map_or([String::new(), String::new()], |(account, user)| [account, user].map(|id| id.to_string()));
        let app = self.flow.brand.name.as_deref().unwrap_or(&self.app.name);
        let mut fills = vec![("app", app), ("account", account.as_str()), ("user", user.as_str())];
        fills.extend_from_slice(fill);
        self.language.say(say, &fills)
    }

    /// What stands at the foot of a page.
    fn facts(&self, who: Option<(i64, i64)>) -> Vec<(String, String)> {
        let mut facts = vec![(self.language.say(Say::App, &[]), self.app.name.clone())];
        if let Some((account, user)) = who {
            facts.push((self.language.say(Say::Account, &[]), account.to_string()));
            facts.push((self.language.say(Say::User, &[]), user.to_string()));
        }
        facts.push((self.language.say(Say::Request, &[]), self.visit.request_id.clone()));
        facts
    }

    /// A page with this title, for this user.
    pub(crate) fn screen(&self, title: String, who: Option<(i64, i64)>) -> Screen {
        Screen { title, facts: self.facts(who), help: self.language.say(Say::Help, &[]), ..Screen::default() }
    }

    /// The way back to monday.com without having finished.
    pub(crate) fn way_back(&self, attempt: &Attempt) -> Option<Link> {
        match &attempt.end {
            End::BackTo(url) => {
                Some(Link { text: self.language.say(Say::BackToMonday, &[]), href: url.clone(), is_main: false })
            }
            End::Done | End::Connections => None,
        }
    }

    /// The answer of a visit.
    pub(crate) fn answer(&self, outcome: Result<Outcome, Trouble>) -> Admission {
        let answer = match outcome {
            Ok(Outcome::Onwards) => return Admission::Onwards,
            Ok(Outcome::Page(screen, status)) => self.page(&screen, status),
            Ok(Outcome::See(location, cookies)) => see(&location, cookies),
            Ok(Outcome::Json(status, value)) => whole(status, "application/json", value.to_string()),
            Err(trouble) => self.page(&self.ending(&trouble), trouble.ending.status()),
        };
        Admission::Answer(Box::new(answer))
    }

    fn ending(&self, trouble: &Trouble) -> Screen {
        let Trouble { ending, attempt } = trouble;
        let who = attempt.as_ref().map(|known| (known.1.account, known.1.user));
        let who = who.or_else(|| self.visit.caller.as_ref().map(|caller| (caller.account, caller.user)));
        let fills = ending.fills();
        let fills: Vec<(&str, &str)> = fills.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (title, sentences) = ending.says();
        let mut screen = self.screen(self.say(title, who, &fills), who);
        screen.paragraphs = sentences.iter().map(|say| self.say(*say, who, &fills)).collect();
        let Some(known) = attempt else { return screen };
        let (id, attempt) = (&known.0, &known.1);
        if matches!(ending, Ending::SomebodyElse { .. }) {
            let href = format!("{}?flow={}", self.path("switch"), id.as_str());
            screen.links.push(Link { text: self.language.say(Say::Switch, &[]), href, is_main: true });
        }
        if ending.can_try_again() {
            let is_main = screen.links.is_empty();
            let href = self.next_path(id, AfterForm::Yes);
            screen.links.push(Link { text: self.language.say(Say::TryAgain, &[]), href, is_main });
        }
        screen.links.extend(self.way_back(attempt));
        screen
    }

    fn page(&self, screen: &Screen, status: StatusCode) -> Response<Bytes> {
        let html = screen.html(&self.flow.brand, self.language.tongue());
        let mut response = whole(status, "text/html; charset=utf-8", html);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, self.flow.brand.policy(screen.forms()));
        response
    }
}

/// Whether a form has just been sent: browsers then follow no redirect to another origin, so that a page has to come between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterForm {
    /// No form.
    No,
    /// A form.
    Yes,
}

/// Whose an attempt is.
pub(crate) fn who(attempt: &Attempt) -> Who {
    Who { app: attempt.app.clone(), account: attempt.account, user: attempt.user }
}

fn whole(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let length = HeaderValue::from(response.body().len());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// 303 (RFC 9110, section 15.4.4): the browser asks for the next page with GET, whatever it has sent here.
fn see(location: &str, cookies: Vec<HeaderValue>) -> Response<Bytes> {
    let mut response = whole(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
