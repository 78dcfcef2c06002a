//! The program: parses arguments, runs a command, returns its exit code.

use std::process::ExitCode;

/// Requests make many small values and drop them on the same thread: what this allocator is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    monday_gateway::main()
}
