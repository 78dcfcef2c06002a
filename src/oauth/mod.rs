//! OAuth 2.0 as a client (RFC 6749, 7636, 8414, 9207): what a provider is, where its endpoints are, what is sent to them and what their
//! answers mean. Stores nothing and knows no user; runs on the control plane.

pub(crate) mod provider;
