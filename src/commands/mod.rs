//! What can be typed: one file a command.

pub(crate) mod check;
pub(crate) mod effective;
pub(crate) mod register;
pub(crate) mod schema;
