//! The pages of a listing: how many grants, after which. A cursor is opaque and says no more than the listing itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::gateway::internal::answers::Problem;
use crate::limits;

/// Which page is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The part of a row's key behind its account.
    pub(super) after: Option<String>,
    /// How many.
    pub(super) limit: usize,
}

impl Page {
    /// Reads a query; what is not known, or there twice, is refused.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Problem> {
        let (usual, most) = limits::INTERNAL_PAGE;
        let mut page = Self { after: None, limit: usual };
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if seen.contains(&name) {
                return Err(Problem::BadRequest);
            }
            match name.as_ref() {
                "limit" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    page.limit = value.parse().ok().filter(|n| (1..=most).contains(n)).ok_or(Problem::BadRequest)?;
                }
                "after" => page.after = Some(decode(&value)?),
                _ => return Err(Problem::BadRequest),
            }
            seen.push(name);
        }
        Ok(page)
    }
}

/// The cursor after a row.
pub(super) fn cursor(row: &str) -> String {
    URL_SAFE_NO_PAD.encode(row.splitn(3, '/').nth(2).unwrap_or_default())
}

fn decode(cursor: &str) -> Result<String, Problem> {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // `user/provider`, as `cursor` makes it.
    decoded
        .filter(|row| row.len() <= limits::KID_BYTES && row.split('/').count() == 2 && row.is_ascii())
        .ok_or(Problem::BadRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        let cursor = cursor("planner/1/77/github");
        let page = Page::read(Some(&format!("after={cursor}&limit=7"))).unwrap();
        assert_eq!(page, Page { after: Some("77/github".to_owned()), limit: 7 });
        assert_eq!(Page::read(None).unwrap(), Page { after: None, limit: 50 });
        for query in
            ["limit=0", "limit=201", "limit=", "limit=+1", "limit=1&limit=1", "after=%21", "after=", "x=1", "after=YQ"]
        {
            assert_eq!(Page::read(Some(query)), Err(Problem::BadRequest), "{query}");
        }
    }
}
