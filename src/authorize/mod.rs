//! The Authorization URL that the gateway serves: the flow, its one-time state, where `backToUrl` may lead, and its pages.

pub(crate) mod attempt;
pub(crate) mod back_to;
mod callback;
mod connections;
pub(crate) mod cookies;
pub(crate) mod door;
mod ending;
mod enter;
pub(crate) mod flow;
pub(crate) mod forms;
mod here;
mod key_form;
pub(crate) mod opaque;
pub(crate) mod rows;
pub(crate) mod state;
mod status;
mod step;
#[cfg(test)]
mod tests;
mod ticket;
