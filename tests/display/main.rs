//! Display of types, stimuli, and the committed notebooks.

#[path = "../common/mod.rs"]
mod common;
mod debug;
mod display;
mod image_files;
mod notebook_types;
mod notebooks;
mod sound_files;
mod sounds;
mod stimuli;
