//! The Authorization URL that the gateway serves: the flow, its one-time state, where `backToUrl` may lead, and its pages.
