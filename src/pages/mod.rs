//! The one layout of every page that a person sees from the gateway: plain HTML, light and dark, no script, nothing from outside.
//! Takes sentences, returns HTML in which every one of them is escaped, and the headers that keep a page from being framed,
//! stored or told to others. Knows no refusal and no flow. CSP level 3; WCAG 2.2 (contrast, language, headings).

pub(crate) mod brand;
pub(crate) mod screen;
pub(crate) mod style;
pub(crate) mod words;

use std::sync::LazyLock;

use askama::Template;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue};

/// What a page says.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ title }}</title>
<style>{{ crate::pages::style::plain()|safe }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
<p>{{ happened }}</p>
<p>{{ advice }}</p>
<footer>If you ask for help, give this number: <code>{{ request_id }}</code></footer>
</main>
</body>
</html>
"#
)]
pub(crate) struct Page<'a> {
    /// Title and heading.
    pub(crate) title: &'a str,
    /// What happened, in one sentence.
    pub(crate) happened: &'a str,
    /// What the reader can do now.
    pub(crate) advice: &'a str,
    /// Joins the page to the log's line.
    pub(crate) request_id: &'a str,
}

impl Page<'_> {
    /// The HTML. Empty if it cannot be written, which writing to memory never is.
    pub(crate) fn html(&self) -> String {
        self.render().unwrap_or_default()
    }
}

/// Sets the headers of a page beside those of every own answer.
pub(crate) fn set_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// Nothing may be loaded, run, framed or submitted; only the one style applies.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = style::hash(style::plain());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // base64 is ASCII; should it not be, the page loses its style and nothing else
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_is_escaped() {
        let evil = "<script>alert('1')</script>&\"";
        let html = Page { title: evil, happened: evil, advice: evil, request_id: evil }.html();
        assert!(!html.contains("<script"), "{html}");
        assert_eq!(html.matches("&#60;script").count(), 5, "{html}");
    }

    #[test]
    fn the_policy_names_the_style_that_the_page_has_and_forbids_frames() {
        let html = Page { title: "t", happened: "h", advice: "a", request_id: "r" }.html();
        let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("style");
        let hash = style::hash(style);
        let mut headers = HeaderMap::new();
        set_headers(&mut headers);
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.starts_with("default-src 'none'"), "{policy}");
    }

    #[test]
    fn a_page_loads_nothing_and_runs_nothing() {
        let html = Page { title: "t", happened: "h", advice: "a", request_id: "r" }.html();
        for mark in ["src=", "href=", "url(", "@import", "<script", " on", "http://", "https://"] {
            assert!(!html.contains(mark), "{mark}");
        }
    }
}
