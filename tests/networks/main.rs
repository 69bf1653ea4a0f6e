//! Networks: checkpoints, ONNX, custom modules, the zoo and hearing front ends.

mod checkpoint_layouts;
mod checkpoints;
#[path = "../common/mod.rs"]
mod common;
mod custom_module;
mod efficient_word_net;
mod equals_pytorch;
mod grey;
mod hearing;
mod inspect;
mod log_mel;
mod onnx;
mod pth;
mod word_networks;
mod zoo;
mod zoo_equals_pytorch;
mod zoo_gradients_equal_pytorch;
