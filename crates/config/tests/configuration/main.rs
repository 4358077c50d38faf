//! The configuration as its users meet it: texts in, snapshots or every problem out.

mod encoders;
mod examples;
mod keys;
mod learned;
mod media;
mod models;
mod policy;
mod properties;
mod providers;
mod schema;
mod steps;
mod structure;
mod support;
mod syntax;
