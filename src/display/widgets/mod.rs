//! Widgets: sliders, menus and buttons that act while a notebook is read.
//!
//! They speak the protocol of ipywidgets 8, so that JupyterLab, Notebook and VS Code draw them with the code that they have. A closure given
//! to a widget stays in the process of the cells: an event runs it there, on one thread, in order, also while a cell runs. No cell is compiled
//! for an event. Widgets end with that process, and the notebook says so.
//!
//! Outside the metamers kernel, and where a notebook is shown without one, a widget has a still form: a picture and a text.
//!
//! ```
//! use metamers::prelude::*;
//! use metamers::display::widgets::{Dropdown, Slider, interact};
//!
//! let net = zoo::efficientnet_lite0()?;
//! let stage = Slider::stages(&net);                               // a slider over the names of the stages
//! stage.on_change(|stage| println!("{stage}"));
//! interact((Slider::int("seed", 0..=9), Dropdown::new("side", ["32", "64"])), |(seed, side)| {
//!     let side = side.parse().unwrap_or(32);
//!     Image::noise(side, side, Noise::Uniform { low: 0.0, high: 1.0 }, seed as u64)
//! })?;
//! # Ok::<(), metamers::Error>(())
//! ```

mod channel;
mod compare;
mod container;
mod control;
mod events;
mod frame;
mod interact;
mod protocol;
mod registry;
mod still;
mod widget;

pub(crate) use compare::shrunk;
pub use compare::{Comparable, Compare, Exhibit, View};
pub use container::{HBox, Html, Label, Picture, Tab, VBox};
pub use control::{
    Button, Checkbox, Control, Dropdown, FloatSlider, HandlerResult, IntSlider, Play, SelectionSlider, Slider, Text,
    ToggleButtons,
};
pub use interact::{Controls, Drawing, Interaction, interact};
pub use widget::Widget;
