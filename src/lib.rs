//! The auth gateway for monday.com apps. The modules are the layers, highest first; a module names only later ones.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod internals;

mod commands;

mod pipeline;

mod config;

mod monday;
mod tls;

mod headers;
mod jwt;
mod pages;

mod clock;
mod json;
mod limits;
mod secret;
