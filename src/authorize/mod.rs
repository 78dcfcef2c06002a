//! The Authorization URL that the gateway serves: the flow, its one-time state, where `backToUrl` may lead, and its pages.

pub(crate) mod back_to;
pub(crate) mod door;
pub(crate) mod flow;
pub(crate) mod opaque;
