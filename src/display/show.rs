//! What a thing looks like, and where it is shown.

use std::io::{self, Write};
use std::path::Path;

use super::{Bundle, evcxr_protocol, html, live};
use crate::Result;

/// A thing that can be looked at: in a notebook, in a terminal, in a file.
///
/// ```
/// use metamers::display::{Bundle, Show};
///
/// struct Seed(u64);
/// impl Show for Seed {
///     fn mime_bundles(&self) -> Vec<Bundle> {
///         vec![Bundle::text(format!("seed {}", self.0))]
///     }
/// }
/// Seed(7).show();
/// ```
pub trait Show {
    /// What this looks like: one bundle an output, in the order in which they are shown.
    fn mime_bundles(&self) -> Vec<Bundle>;

    /// Shows this now: live in our kernel, at the end of the cell in another evcxr kernel (which shows the last of several), as text in
    /// a terminal.
    fn show(&self) {
        show_bundles(&self.mime_bundles());
    }

    /// Writes this to a file, which its ending chooses: `.html` is a page that needs no other file, `.png` the picture (an error if this
    /// has none; several are stacked), `.txt` the text. The file appears whole or not at all.
    fn save(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        html::save(&self.mime_bundles(), path.as_ref())
    }
}

impl Show for Bundle {
    fn mime_bundles(&self) -> Vec<Bundle> {
        vec![self.clone()]
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn mime_bundles(&self) -> Vec<Bundle> {
        (**self).mime_bundles()
    }
}

impl<T: Show + ?Sized> Show for Box<T> {
    fn mime_bundles(&self) -> Vec<Bundle> {
        (**self).mime_bundles()
    }
}

impl<T: Show> Show for [T] {
    fn mime_bundles(&self) -> Vec<Bundle> {
        self.iter().flat_map(Show::mime_bundles).collect()
    }
}

impl<T: Show> Show for Vec<T> {
    fn mime_bundles(&self) -> Vec<Bundle> {
        self.as_slice().mime_bundles()
    }
}

/// What `evcxr_display` of [`show_in_notebooks!`](crate::show_in_notebooks) does, and [`Show::show`].
#[doc(hidden)]
pub fn show_bundles(bundles: &[Bundle]) {
    if live::nonce().is_some() {
        bundles.iter().for_each(|bundle| live::display(bundle, None));
    } else if evcxr_protocol::is_on() {
        evcxr_protocol::send(bundles);
    } else {
        let text: String = bundles.iter().map(|bundle| format!("{}\n", bundle.plain())).collect();
        // A closed pipe means that nobody looks, which is no reason to panic as `println!` would.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
}

/// Makes a type show itself when it is the last value of a notebook cell, as its [`Show`] says.
///
/// ```
/// use metamers::display::{Bundle, Show, show_in_notebooks};
///
/// pub struct Seed(u64);
/// impl Show for Seed {
///     fn mime_bundles(&self) -> Vec<Bundle> {
///         vec![Bundle::text(format!("seed {}", self.0))]
///     }
/// }
/// show_in_notebooks!(Seed);
/// ```
#[macro_export]
macro_rules! show_in_notebooks {
    ($($type:ty),+ $(,)?) => {$(
        impl $type {
            /// What a notebook calls when this is the last value of a cell.
            pub fn evcxr_display(&self) {
                $crate::display::show_bundles(&$crate::display::Show::mime_bundles(self));
            }
        }
    )+};
}
