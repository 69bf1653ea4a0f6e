//! The [`Show`] trait: display in a notebook or a terminal, and export to files.

use std::io::{self, Write};
use std::path::Path;

use super::{MimeBundle, evcxr_protocol, html, live};
use crate::Result;

/// A type with a visual representation, which can be displayed in a notebook or a terminal and exported to a file.
///
/// [`export`](Show::export) writes the representation: a page, a picture or a text. To save the object itself and load it again, use the
/// type's own `save` and `open`, if it has them: an [`Image`](crate::stimulus::Image) is saved as a PNG or JPEG
/// file, a [`Sound`](crate::stimulus::Sound) as a WAV file, a [`Metamer`](crate::synthesis::Metamer) as a `.metamer` file.
///
/// ```
/// use metamers::display::{MimeBundle, Show};
///
/// struct Seed(u64);
/// impl Show for Seed {
///     fn mime_bundles(&self) -> Vec<MimeBundle> {
///         vec![MimeBundle::text(format!("seed {}", self.0))]
///     }
/// }
/// Seed(7).show();
/// ```
pub trait Show {
    /// Returns the representation: one MIME bundle for each output, in display order.
    fn mime_bundles(&self) -> Vec<MimeBundle>;

    /// Displays this: immediately in the metamers kernel, at the end of the cell in the stock evcxr kernel (which shows only the last of
    /// several), as text in a terminal.
    fn show(&self) {
        show_bundles(&self.mime_bundles());
    }

    /// Writes the representation to a file; the extension selects the format: `.html` is a self-contained page that runs no
    /// script and loads nothing, `.png` the picture (several are stacked), `.txt` the text. The file is written atomically.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) for another extension, for `.png` if there is no picture, and when the file cannot be written.
    fn export(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        html::export(&self.mime_bundles(), path.as_ref())
    }
}

impl Show for MimeBundle {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.clone()]
    }
}

impl Show for str {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![MimeBundle::text(self)]
    }
}

impl Show for String {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        self.as_str().mime_bundles()
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        (**self).mime_bundles()
    }
}

impl<T: Show + ?Sized> Show for Box<T> {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        (**self).mime_bundles()
    }
}

impl<T: Show> Show for [T] {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        self.iter().flat_map(Show::mime_bundles).collect()
    }
}

impl<T: Show> Show for Vec<T> {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        self.as_slice().mime_bundles()
    }
}

/// Displays bundles; called by [`Show::show`] and by the `evcxr_display` of [`show_in_notebooks!`](crate::show_in_notebooks).
#[doc(hidden)]
pub fn show_bundles(bundles: &[MimeBundle]) {
    if live::nonce().is_some() {
        bundles.iter().for_each(|bundle| live::display(bundle, None));
    } else if evcxr_protocol::is_on() {
        evcxr_protocol::send(bundles);
    } else {
        let text: String = bundles.iter().map(|bundle| format!("{}\n", bundle.plain())).collect();
        // `println!` would panic if the reader has closed the pipe.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }
}

/// Makes a notebook display a type by its [`Show`] implementation when it is the last value of a cell.
///
/// ```
/// use metamers::display::{MimeBundle, Show, show_in_notebooks};
///
/// pub struct Seed(u64);
/// impl Show for Seed {
///     fn mime_bundles(&self) -> Vec<MimeBundle> {
///         vec![MimeBundle::text(format!("seed {}", self.0))]
///     }
/// }
/// show_in_notebooks!(Seed);
/// ```
#[macro_export]
macro_rules! show_in_notebooks {
    ($($type:ty),+ $(,)?) => {$(
        impl $type {
            /// Displays this; called by the notebook kernel when this is the last value of a cell.
            pub fn evcxr_display(&self) {
                $crate::display::show_bundles(&$crate::display::Show::mime_bundles(self));
            }
        }
    )+};
}
