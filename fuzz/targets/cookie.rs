//! No `Cookie` field says who is in a browser but one that was sealed here, of which there is none; a browser's own value is in the field, once.
//! A form is read in one way or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::flow::{browser_cookie, form_field, is_identified};

fuzz_target!(|input: &[u8]| {
    let _ = form_field(input, "form");
    let Ok(field) = std::str::from_utf8(input) else { return };
    assert!(!is_identified(field), "an identity that nobody sealed");
    if let Some(browser) = browser_cookie(field) {
        assert_eq!(browser.len(), 43);
        let named = |pair: &&str| pair.trim_matches([' ', '\t']).starts_with("__Host-gateway-browser=");
        assert_eq!(field.split(';').filter(named).count(), 1, "two cookies, and one was chosen");
    }
});
