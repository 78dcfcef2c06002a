//! The pages of a listing: how many grants, after which. A cursor says no more than the listing itself.

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
                "after" => page.after = Some(place(&value)?),
                _ => return Err(Problem::BadRequest),
            }
            seen.push(name);
        }
        Ok(page)
    }
}

/// The cursor after a row: the part of its key behind the account.
pub(super) fn cursor(row: &str) -> String {
    row.splitn(3, '/').nth(2).unwrap_or_default().to_owned()
}

/// `user/provider`, whether or not there is such a row: a grant may have gone since.
fn place(cursor: &str) -> Result<String, Problem> {
    let (user, provider) = cursor.split_once('/').ok_or(Problem::BadRequest)?;
    let is_user = user == "-" || ((1..=19).contains(&user.len()) && user.bytes().all(|byte| byte.is_ascii_digit()));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_provider = (1..=64).contains(&provider.len()) && provider.bytes().all(is_name);
    if is_user && is_provider { Ok(cursor.to_owned()) } else { Err(Problem::BadRequest) }
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
        for query in [
            "limit=0",
            "limit=201",
            "limit=",
            "limit=+1",
            "limit=1&limit=1",
            "after=%21",
            "after=",
            "x=1",
            "after=77",
            "after=77/",
            "after=a/b",
            "after=1/b/c",
        ] {
            assert_eq!(Page::read(Some(query)), Err(Problem::BadRequest), "{query}");
        }
    }
}
