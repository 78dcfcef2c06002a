//! No token but one that the secret signed is accepted, whatever its form. The oracle: the fuzzer cannot know the signature, so
//! an accepted token is the one that was minted here, and its bytes are untouched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::verified_payload;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// HS256 over `{"alg":"HS256","typ":"JWT"}` and `{"exp":4102444800}` with SECRET; made with Python's hmac.
const TOKEN: &str = include_str!("../seeds/token/valid");

fuzz_target!(|input: &[u8]| {
    let Ok(token) = std::str::from_utf8(input) else { return };
    if verified_payload(token, SECRET).is_some() {
        assert_eq!(token, TOKEN, "a token that nobody signed is accepted");
    }
});
