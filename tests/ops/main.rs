//! Operations and the compiled engine against PyTorch, float64 finite differences and the layer-by-layer run.

#[path = "../common/mod.rs"]
mod common;
mod deep_networks;
mod engine_gradients;
mod equal_pytorch;
mod equals_layer_by_layer;
mod fallback;
mod gradients;
mod isa;
mod layers;
mod pools;
mod tangents;
mod taps;
