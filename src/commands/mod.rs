//! What a person types: one file a command. Each has its arguments and `run`, which returns the exit code.

pub(crate) mod cert;
pub(crate) mod explain;
pub(crate) mod send;
pub(crate) mod token;

mod minting;
