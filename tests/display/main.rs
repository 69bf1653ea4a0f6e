//! Display of types, stimuli, and the committed notebooks.

#[path = "../common/mod.rs"]
mod common;
mod debug;
mod display;
mod notebook_types;
mod notebooks;
mod sounds;
mod stimuli;
