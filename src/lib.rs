//! The auth gateway for monday.com apps. The modules are the layers, highest first; a module names only later ones.
#![forbid(unsafe_code)]

mod commands;

mod pipeline;

mod config;

mod monday;

mod jwt;

mod clock;
mod limits;
mod secret;
