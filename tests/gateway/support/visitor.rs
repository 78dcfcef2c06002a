//! A browser made of code: it keeps cookies as RFC 6265 and the `__Host-` rules say, follows redirects one by one, fills in
//! forms, and says of each request what browsers say (`Origin`, `Sec-Fetch-*`). It knows the gateway as `gw.test` and servers
//! on loopback; any other host is where the walk ends.

use url::{Origin, Url};

use super::answer::Answer;
use super::gateway::Gateway;
use super::html::{self, Form};
use super::raw::Raw;

/// Where a walk came to.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    /// None where the walk left the machine: nothing was asked there.
    pub(crate) answer: Option<Answer>,
}

impl Page {
    /// Its status; 0 where the walk left the machine.
    pub(crate) fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status)
    }

    /// Its HTML.
    pub(crate) fn text(&self) -> String {
        self.answer.as_ref().map_or_else(String::new, Answer::text)
    }

    /// What a reader sees.
    pub(crate) fn words(&self) -> String {
        html::words(&self.text())
    }

    /// A field of the answer.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.answer.as_ref().and_then(|answer| answer.field(name))
    }

    /// It is the gateway's own.
    pub(crate) fn is_gateways(&self) -> bool {
        self.url.host_str() == Some("gw.test")
    }

    /// The form with a button of those words.
    fn form_with(&self, button: &str) -> Option<(Form, html::Button)> {
        html::forms(&self.text()).into_iter().find_map(|form| {
            let found = form.buttons.iter().find(|b| b.text.contains(button)).cloned();
            found.map(|found| (form, found))
        })
    }
}

#[derive(Clone, Debug)]
struct Cookie {
    host: String,
    name: String,
    value: String,
    path: String,
    lax_or_strict: bool,
}

/// One browser, with one jar of cookies.
#[derive(Clone)]
pub(crate) struct Visitor<'a> {
    gateway: &'a Gateway,
    cookies: Vec<Cookie>,
    pub(crate) languages: String,
    /// Every address it was at or was sent to, in order.
    pub(crate) trail: Vec<String>,
    /// Every answer of the gateway.
    pub(crate) answers: Vec<Answer>,
}

/// How a request comes to be.
struct Ask<'a> {
    method: &'a str,
    body: String,
    from: Option<&'a Page>,
}

impl<'a> Visitor<'a> {
    /// A new browser.
    pub(crate) fn new(gateway: &'a Gateway) -> Self {
        Self { gateway, cookies: Vec::new(), languages: "en".into(), trail: Vec::new(), answers: Vec::new() }
    }

    /// A path of the gateway, or an address, and wherever it leads.
    pub(crate) async fn visit(&mut self, address: &str) -> Page {
        let url = Url::parse("https://gw.test").unwrap().join(address).unwrap();
        let page = self.once(url, Ask { method: "GET", body: String::new(), from: None }).await;
        self.follow(page).await
    }

    /// A path of the gateway, or an address, and nothing after it.
    pub(crate) async fn look(&mut self, address: &str) -> Page {
        let url = Url::parse("https://gw.test").unwrap().join(address).unwrap();
        self.once(url, Ask { method: "GET", body: String::new(), from: None }).await
    }

    /// Presses a button of a page and goes wherever it leads.
    pub(crate) async fn press(&mut self, page: &Page, button: &str) -> Page {
        self.fill_in(page, button, &[]).await
    }

    /// Fills in fields of a form, presses its button, and goes wherever it leads.
    pub(crate) async fn fill_in(&mut self, page: &Page, button: &str, values: &[(&str, &str)]) -> Page {
        let next = self.submit(page, button, values).await;
        self.follow(next).await
    }

    /// As `fill_in`, and nothing after the answer. A link of these words will do.
    pub(crate) async fn submit(&mut self, page: &Page, button: &str, values: &[(&str, &str)]) -> Page {
        let Some((form, pressed)) = page.form_with(button) else {
            let link = html::links(&page.text()).into_iter().find(|(_, words)| words.contains(button));
            let (address, _) = link.unwrap_or_else(|| panic!("no `{button}`: {} {}", page.url, page.text()));
            let url = page.url.join(&address).unwrap();
            return self.once(url, Ask { method: "GET", body: String::new(), from: Some(page) }).await;
        };
        let mut fields = form.fields.clone();
        for (name, value) in values {
            let field = fields.iter_mut().find(|(n, _)| n == name);
            field.unwrap_or_else(|| panic!("no field {name}: {form:?}")).1 = (*value).to_owned();
        }
        if let Some(name) = pressed.name {
            fields.push((name, pressed.value));
        }
        let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let mut url = page.url.join(pressed.action.as_ref().unwrap_or(&form.action)).unwrap();
        if form.method == "post" {
            return self.once(url, Ask { method: "POST", body: written, from: Some(page) }).await;
        }
        url.set_query(Some(&written));
        self.once(url, Ask { method: "GET", body: String::new(), from: Some(page) }).await
    }

    /// Goes on while it is sent on.
    pub(crate) async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..20 {
            let Some(answer) = &page.answer else { return page };
            let (301..=303 | 307 | 308, Some(to)) = (answer.status, answer.field("location")) else { return page };
            assert!(answer.status <= 303, "a redirect that keeps the method: {answer:?}");
            let url = page.url.join(to).unwrap();
            let from = page.clone();
            page = self.once(url, Ask { method: "GET", body: String::new(), from: Some(&from) }).await;
        }
        panic!("too many redirects: {:?}", self.trail)
    }

    /// The names and values of the gateway's cookies.
    pub(crate) fn cookies(&self) -> Vec<(String, String)> {
        self.cookies
            .iter()
            .filter(|cookie| cookie.host == "gw.test")
            .map(|cookie| (cookie.name.clone(), cookie.value.clone()))
            .collect()
    }

    /// Puts a cookie in, as the gateway would.
    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.keep_cookie("gw.test", &format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax"));
    }

    async fn once(&mut self, url: Url, ask: Ask<'_>) -> Page {
        self.trail.push(url.to_string());
        let host = url.host_str().unwrap_or_default().to_owned();
        let loopback = url.scheme() == "http" && matches!(host.as_str(), "127.0.0.1" | "localhost");
        let gateways = url.scheme() == "https" && host == "gw.test";
        if !loopback && !gateways {
            return Page { url, answer: None };
        }
        let request = self.request(&url, &ask);
        let mut connection = if gateways {
            self.gateway.connect().await
        } else {
            let address = url.socket_addrs(|| None).unwrap().into_iter().find(std::net::SocketAddr::is_ipv4).unwrap();
            Raw::plain(address).await
        };
        connection.patience *= 2;
        connection.send(request.as_bytes()).await;
        let answer = connection.answer().await;
        for line in answer.all("set-cookie") {
            self.keep_cookie(&host, line);
        }
        if gateways {
            self.answers.push(answer.clone());
        }
        Page { url, answer: Some(answer) }
    }

    fn request(&self, url: &Url, ask: &Ask<'_>) -> String {
        use std::fmt::Write as _;
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let host = url.host_str().unwrap_or_default();
        let from = ask.from.map(|page| page.url.origin());
        let site = match &from {
            None => "none",
            Some(from) if *from == url.origin() => "same-origin",
            Some(_) => "cross-site",
        };
        let mut text = format!(
            "{} {target} HTTP/1.1\r\nHost: {host}{port}\r\nConnection: close\r\nAccept: text/html\r\nAccept-Language: {}\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Site: {site}\r\n",
            ask.method, self.languages
        );
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.host == host && url.path().starts_with(&cookie.path))
            .filter(|cookie| ask.method == "GET" || site != "cross-site" || !cookie.lax_or_strict)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !cookies.is_empty() {
            write!(text, "Cookie: {}\r\n", cookies.join("; ")).unwrap();
        }
        if ask.method == "POST" {
            // A page that sends no referrer has the origin `null`: Fetch, "append a request `Origin` header".
            let silent = ask.from.and_then(|page| page.field("referrer-policy")) == Some("no-referrer");
            let origin =
                from.filter(|_| !silent).as_ref().map_or_else(|| "null".to_owned(), Origin::ascii_serialization);
            let length = ask.body.len();
            write!(
                text,
                "Origin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            )
            .unwrap();
        }
        format!("{text}\r\n{}", ask.body)
    }

    fn keep_cookie(&mut self, host: &str, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes: Vec<(String, String)> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let get = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let path = get("path").unwrap_or("/").to_owned();
        if host == "gw.test" {
            assert!(name.starts_with("__Host-"), "{line}");
            assert!(get("secure").is_some() && get("domain").is_none() && path == "/", "{line}");
            assert!(get("httponly").is_some(), "{line}");
            assert!(get("samesite").is_some_and(|value| value.eq_ignore_ascii_case("lax")), "{line}");
        }
        self.cookies.retain(|cookie| cookie.host != host || cookie.name != name);
        let gone = get("max-age").is_some_and(|age| age.parse::<i64>().is_ok_and(|age| age <= 0));
        if !gone {
            self.cookies.push(Cookie {
                host: host.to_owned(),
                name: name.to_owned(),
                value: value.to_owned(),
                path,
                lax_or_strict: get("samesite").is_some_and(|value| !value.eq_ignore_ascii_case("none")),
            });
        }
    }
}
