//! Refuses requests that two servers could read differently. Two halves, since hyper never shows a service what it dropped:
//! `wire` sits between TLS and hyper, follows the boundaries of HTTP/1 messages and judges each head's raw bytes; `parsed`
//! judges what hyper parsed, for HTTP/1 and HTTP/2, and returns `Clean`, whose path bytes are the ones that are routed and
//! forwarded. After this step nobody looks at framing again. Knows no route and no token. RFC 9110, RFC 9112, RFC 9113.

pub(crate) mod chunked;
pub(crate) mod field;
pub(crate) mod head;
pub(crate) mod host;
pub(crate) mod parsed;
pub(crate) mod path;
pub(crate) mod watch;
pub(crate) mod wire;

#[cfg(test)]
mod corpus;
