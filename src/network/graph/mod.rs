//! The graph of layers and named stages, and its builder.

mod builder;
mod layer;
mod receptive_field;
mod stage;

pub(crate) use builder::ancestors;
pub(in crate::network) use builder::check_classes;
pub use builder::{Builder, NodeId};
pub use layer::Layer;
pub use receptive_field::ReceptiveField;
pub use stage::Stage;
