//! OAuth 2.0 as a client (RFC 6749, 7636, 8414, 9207): what a provider is, where its endpoints are, what is sent to them and what their
//! answers mean. Stores nothing and knows no user; runs on the control plane.

pub(crate) mod provider;

pub(crate) mod api_key;
pub(crate) mod authorize;
pub(crate) mod callback;
pub(crate) mod monday;
pub(crate) mod presets;
pub(crate) mod token;

pub(crate) mod answer;
pub(crate) mod discovery;
pub(crate) mod fault;
pub(crate) mod reach;
pub(crate) mod web;

#[cfg(test)]
mod fakes;
