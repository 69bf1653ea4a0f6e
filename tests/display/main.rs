//! Stimuli, what things look like, and the project's own files.

#[path = "../common/mod.rs"]
mod common;
mod debug;
mod display;
mod notebook_types;
mod notebooks;
mod sounds;
mod stimuli;
