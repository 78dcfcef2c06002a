//! A person's browser, for a demo that nobody watches: keeps cookies, follows redirects one by one, presses buttons and links by their words.
//! Everything is at 127.0.0.1, and cookies know no port: there is one jar. Believes the demo's own authority and no other.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request};
use http_body_util::Full;
use url::Url;

use crate::commands::demo::story::html;
use crate::commands::send::http::{Answer, SendFault, Trust, send};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Redirects in a row.
const REDIRECTS: usize = 10;

/// One browser.
#[derive(Debug)]
pub(super) struct Browser {
    authority: PathBuf,
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    is_secure: bool,
}

/// What it shows.
#[derive(Debug)]
pub(super) struct Page {
    /// Where that is.
    pub(super) url: Url,
    /// The status.
    pub(super) status: u16,
    /// The document.
    pub(super) html: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Astray {
    /// No answer.
    #[error("no answer from {host}: {fault}")]
    Unanswered {
        /// Whose.
        host: String,
        /// Why.
        fault: SendFault,
    },
    /// An address that is none.
    #[error("this is no address: {0}")]
    Address(String),
    /// A link or button that is not there.
    #[error("there is no `{words}` on the page `{title}` (status {status})")]
    Words {
        /// What was looked for.
        words: String,
        /// Where.
        title: String,
        /// The page's status.
        status: u16,
    },
    /// In circles.
    #[error("more than {REDIRECTS} redirects in a row")]
    Redirects,
}

/// How a page is asked for.
struct Ask {
    url: Url,
    form: Option<String>,
    site: &'static str,
}

impl Page {
    /// Its title.
    pub(super) fn title(&self) -> String {
        html::title(&self.html)
    }

    /// One line about it.
    pub(super) fn line(&self) -> String {
        let items = html::items(&self.html);
        let status = if self.status == 200 { String::new() } else { format!(" (status {})", self.status) };
        if items.is_empty() {
            format!("{}{status}", self.title())
        } else {
            format!("{}{status} [{}]", self.title(), items.join(" | "))
        }
    }
}

impl Browser {
    /// A new one, which believes the authority of this file.
    pub(super) const fn new(authority: PathBuf) -> Self {
        Self { authority, cookies: Vec::new() }
    }

    /// Opens an address that somebody typed, or clicked elsewhere.
    pub(super) async fn open(&mut self, address: &str) -> Result<Page, Astray> {
        let url = Url::parse(address).map_err(|_why| Astray::Address(address.to_owned()))?;
        self.follow(Ask { url, form: None, site: "none" }).await
    }

    /// Presses the link or the button of these words.
    pub(super) async fn press(&mut self, page: &Page, words: &str) -> Result<Page, Astray> {
        let (address, form) = match (html::link(&page.html, words), html::form(&page.html, words)) {
            (Some(address), _) => (address, None),
            (None, Some(form)) => {
                let fields = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form.fields).finish();
                (form.action, Some(fields))
            }
            (None, None) => {
                return Err(Astray::Words { words: words.to_owned(), title: page.title(), status: page.status });
            }
        };
        let url = page.url.join(&address).map_err(|_why| Astray::Address(address))?;
        let site = if url.origin() == page.url.origin() { "same-origin" } else { "cross-site" };
        self.follow(Ask { url, form, site }).await
    }

    async fn follow(&mut self, mut ask: Ask) -> Result<Page, Astray> {
        for _ in 0..REDIRECTS {
            let answer = self.ask(&ask).await?;
            let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            let Some(to) = to.filter(|_| answer.status.is_redirection()) else {
                let html = String::from_utf8_lossy(&answer.body).into_owned();
                return Ok(Page { url: ask.url, status: answer.status.as_u16(), html });
            };
            let url = ask.url.join(to).map_err(|_why| Astray::Address(to.to_owned()))?;
            let site = if url.origin() == ask.url.origin() { ask.site } else { "cross-site" };
            ask = Ask { url, form: None, site };
        }
        Err(Astray::Redirects)
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Answer, Astray> {
        let is_secure = ask.url.scheme() == "https";
        let method = if ask.form.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(ask.url.as_str())
            .header("accept", "text/html")
            .header("accept-language", "en")
            .header("sec-fetch-site", ask.site)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let cookies = self.cookies.iter().filter(|cookie| is_secure || !cookie.is_secure);
        let cookies: Vec<String> = cookies.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if ask.form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(ask.form.clone().unwrap_or_default()));
        let request = request.body(body).map_err(|_why| Astray::Address(ask.url.to_string()))?;
        let answer = send(request, &Trust::File(&self.authority), PATIENCE).await;
        let answer = answer.map_err(|fault| Astray::Unanswered { host: ask.url.authority().to_owned(), fault })?;
        for line in answer.headers.get_all(SET_COOKIE) {
            self.keep(line.to_str().unwrap_or_default());
        }
        Ok(answer)
    }

    fn keep(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let attributes: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let is = |attribute: &str| attributes.iter().any(|one| one == attribute);
        self.cookies.retain(|cookie| cookie.name != name);
        if !is("max-age=0") {
            self.cookies.push(Cookie { name: name.to_owned(), value: value.to_owned(), is_secure: is("secure") });
        }
    }
}
