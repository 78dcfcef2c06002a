//! No answer of a token endpoint panics, an accepted token can stand in a header field, and a fault never quotes what was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::token_answer;

const SENT: &str = "canary-refresh-token";
const PRESETS: [&str; 7] = ["github", "google", "microsoft", "slack", "jira", "hubspot", "salesforce"];

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    let preset = PRESETS[usize::from(*first) % PRESETS.len()];
    for status in [200, 400, 401, 403, 429, 500] {
        match token_answer(preset, status, body, SENT) {
            Some(Ok(token)) => assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())),
            Some(Err(told)) => assert!(!told.contains(SENT), "{told}"),
            None => panic!("a preset is unknown"),
        }
    }
});
