//! Any text is a configuration or has mistakes that can be shown; a secret written into it is never shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::mistakes;

const CANARY: &str = "canary-0123456789abcdef0123456789abcdef";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = mistakes(text);
    if !text.contains(CANARY) {
        let with_secret = format!("[apps.canary]\nsigning_secret = \"{CANARY}\"\n{text}");
        let shown = mistakes(&with_secret).unwrap_or_default();
        assert!(!shown.contains(CANARY), "a mistake shows a secret:\n{shown}");
    }
});
