//! `Referer`, where it would carry a token on: the page of an iframe has its session token in its address, and a browser
//! names that address with every request that the page makes. Takes the fields of a request; leaves the address without
//! its query then. Does not verify anything. RFC 9110, section 10.1.3, and RFC 6750, section 5.3.

use http::header::REFERER;
use http::{HeaderMap, HeaderValue};

/// Cuts the query off a `Referer` that has a token in it; one that is no text at all goes.
pub(crate) fn keep_tokens_out(fields: &mut HeaderMap) {
    let Some(referer) = fields.get(REFERER) else { return };
    let Some((page, query)) = referer.to_str().ok().map(|text| text.split_once('?').unwrap_or((text, ""))) else {
        fields.remove(REFERER);
        return;
    };
    if !query.split(['&', '#', ';']).any(is_token) {
        return;
    }
    match HeaderValue::from_str(page) {
        Ok(page) => fields.insert(REFERER, page),
        Err(_invalid) => fields.remove(REFERER),
    };
}

/// Whether a parameter is a session token by its name, or a JWT by its looks.
fn is_token(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    // Escapes hide a dot or a letter at most: what is left of a JWT is long, and begins like one.
    let is_jwt = value.starts_with("eyJ") && (value.matches('.').count() == 2 || value.contains("%2"));
    is_jwt || (name.eq_ignore_ascii_case("sessionToken") && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(referer: &str) -> Option<String> {
        let mut fields = HeaderMap::new();
        fields.insert(REFERER, HeaderValue::from_bytes(referer.as_bytes()).unwrap());
        keep_tokens_out(&mut fields);
        fields.get(REFERER).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_in_the_query_of_a_referer_takes_the_query_with_it() {
        for query in [
            "sessionToken=eyJh.eyJi.c",
            "sessiontoken=x",
            "a=1&token=eyJh.eyJi.c&b=2",
            "token=eyJh%2EeyJi%2Ec",
            "any=eyJh.eyJi.c#x",
        ] {
            let address = format!("https://gw.test/view/index.html?{query}");
            assert_eq!(kept(&address).as_deref(), Some("https://gw.test/view/index.html"), "{query}");
        }
    }

    #[test]
    fn a_referer_without_a_token_stays_as_it_is() {
        for address in ["https://gw.test/", "https://gw.test/?a=1&token=ship", "about:blank", "https://gw.test/?"] {
            assert_eq!(kept(address).as_deref(), Some(address));
        }
        assert_eq!(kept("https://gw.test/\u{e9}?sessionToken=x"), None);
    }
}
