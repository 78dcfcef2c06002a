//! What `measure.py` runs under valgrind. `unit NAME COUNT` runs one unit of work so many times, for callgrind to count its
//! instructions. Any other arguments are the gateway's: it then serves with the system's allocator, whose calls valgrind
//! counts (the shipped binary's own allocator is invisible to it; how often it is asked is the same).
#![expect(
    clippy::expect_used,
    clippy::missing_docs_in_private_items,
    reason = "a measurement stops at what it did not expect, and its functions say what they measure"
)]

use std::hint::black_box;
use std::process::ExitCode;

use monday_gateway::internals::measured::Parts;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "unit", name, count] => repeat(name, count.parse().expect("a number")),
        // What `cargo bench` starts it with: there is nothing to measure without valgrind.
        [_] | [_, "--bench", ..] => ExitCode::SUCCESS,
        _ => monday_gateway::main(),
    }
}

fn repeat(name: &str, count: usize) -> ExitCode {
    let parts = Parts::new().expect("the request passes every step");
    for _ in 0..count {
        let mut request = parts.request();
        let done = match name {
            "judge_head" => parts.judge_head(),
            "check" => parts.check(request),
            "route" => parts.route(),
            "verify" => parts.verify(),
            "strip" => parts.strip(request.headers_mut()) > 0,
            "inject" => parts.inject(request.headers_mut()),
            _ => false,
        };
        assert!(black_box(done), "no such unit, or it refused the request: {name}");
    }
    ExitCode::SUCCESS
}
