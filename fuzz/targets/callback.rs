//! A callback's query is read in one way or not at all: a state that is accepted is in it, once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use monday_gateway::internals::flow::callback_state;

fuzz_target!(|input: &[u8]| {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let Some(state) = callback_state(query) else { return };
    assert_eq!(state.len(), 87);
    let (attempt, step) = state.split_once('.').expect("two values");
    assert!(attempt.len() == 43 && step.len() == 43);
    let named = query.split('&').filter(|pair| pair.split('=').next() == Some("state")).count();
    assert!(named <= 1, "two states, and one was chosen");
});
