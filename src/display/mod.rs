//! Display in notebooks and terminals: figures, plots, tables, audio players and progress.
//!
//! A type implements [`Show`] by returning one [`MimeBundle`] for each output: the same content in several MIME types. It can then be shown
//! in a notebook (in the metamers kernel also [live](Live)), printed in a terminal, or exported as a page or a picture. This module draws
//! plain data and does not depend on networks or synthesis.
//!
//! ```
//! use metamers::display::{Figure, LinePlot, Panel, Raster, Show};
//!
//! let photo = Raster::from_planar(8, 8, &[0.5; 3 * 8 * 8]);
//! let loss = LinePlot::new("loss").x_label("gradient evaluations").log_y().series("", vec![(1.0, 0.9), (2.0, 0.02)]);
//! let figure = Figure::new("A grey square and a falling loss").row([Panel::picture("original", photo), loss.into()]);
//! assert!(figure.mime_bundles()[0].data().contains_key("image/png"));
//! ```

mod axis;
mod bars;
mod canvas;
mod chart;
mod colors;
mod evcxr_protocol;
mod figure;
mod format;
mod heat_map;
mod html;
mod legend;
mod line_plot;
pub mod live;
mod live_view;
mod mime;
mod panel;
mod player;
mod plotters_backend;
mod polyline;
mod progress_bar;
mod raster;
pub(crate) mod script_page;
mod show;
mod table;
mod tensor;
#[cfg(test)]
mod tests;
mod text;
pub mod widgets;

pub use crate::show_in_notebooks;
pub use bars::Bars;
pub use colors::Palette;
pub use figure::Figure;
pub use heat_map::HeatMap;
pub(crate) use html::fill_template;
pub use line_plot::LinePlot;
pub use live::Live;
pub(crate) use live_view::LiveView;
pub use mime::{MimeBundle, escape};
pub use panel::Panel;
pub use player::{Player, Players};
pub use progress_bar::{ProgressBar, duration};
pub use raster::Raster;
pub use show::Show;
#[doc(hidden)]
pub use show::show_bundles;
pub use table::{Align, Table};
#[doc(hidden)]
pub use tensor::NotebookDisplay;
