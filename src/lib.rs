//! The auth gateway for monday.com apps. The modules are the layers, highest first; a module names only later ones.
#![forbid(unsafe_code)]

mod pipeline;

mod config;

mod monday;

mod headers;
mod jwt;

mod clock;
mod limits;
mod secret;
