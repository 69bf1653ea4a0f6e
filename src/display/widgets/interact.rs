//! Functions of controls, drawn again when a control changes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::channel::lock;
use super::container::{Html, VBox, html_of};
use super::control::Control;
use super::events::{self, Redraw};
use super::widget::{Event, Widget, panic_text};
use crate::display::{MimeBundle, Show};
use crate::{Error, Result};

/// A control, or a tuple of up to five: the arguments of [`interact`].
pub trait Controls {
    /// Their values.
    type Values;

    /// The current values.
    #[doc(hidden)]
    fn values(&self) -> Self::Values;

    /// The controls.
    #[doc(hidden)]
    fn widgets(&self) -> Vec<Widget>;
}

impl<C: Control> Controls for C {
    type Values = C::Value;

    fn values(&self) -> C::Value {
        self.value()
    }

    fn widgets(&self) -> Vec<Widget> {
        vec![self.clone().into()]
    }
}

macro_rules! tuples {
    ($(($($control:ident $index:tt),+);)+) => {$(
        impl<$($control: Control),+> Controls for ($($control,)+) {
            type Values = ($($control::Value,)+);

            fn values(&self) -> Self::Values {
                ($(self.$index.value(),)+)
            }

            fn widgets(&self) -> Vec<Widget> {
                vec![$(self.$index.clone().into()),+]
            }
        }
    )+};
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
}

/// The result of a function for [`interact`]: anything that can be shown, or a `Result` with it.
pub trait Drawing {
    /// The outputs, or the error as text.
    #[doc(hidden)]
    fn into_outputs(self) -> std::result::Result<Vec<MimeBundle>, String>;
}

impl<S: Show> Drawing for S {
    fn into_outputs(self) -> std::result::Result<Vec<MimeBundle>, String> {
        Ok(self.mime_bundles())
    }
}

impl<S: Show, E: std::fmt::Display> Drawing for std::result::Result<S, E> {
    fn into_outputs(self) -> std::result::Result<Vec<MimeBundle>, String> {
        self.map(|thing| thing.mime_bundles()).map_err(|error| error.to_string())
    }
}

/// Controls with the output of a function of their values, made by [`interact`].
#[derive(Clone)]
pub struct Interaction {
    root: VBox,
    controls: Vec<Widget>,
    outputs: Arc<Mutex<Vec<MimeBundle>>>,
}

/// Shows controls with the output of `draw` below, which is drawn again whenever a control changes.
///
/// No cell is compiled or run for that: the closure stays in the process of the cells. Of several changes that arrive during a drawing, only
/// the last is drawn. An error or a panic is shown below the controls, which live on.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::display::widgets::{Dropdown, Slider, interact};
///
/// let photos = ["dog", "giant_panda"];
/// let shown = interact((Dropdown::new("photo", photos), Slider::int("side", 8..=64)), |(photo, side)| {
///     Image::open(format!("photos/{photo}.jpg"))?.resize_shorter_side(side as usize)
/// })?;
/// # Ok::<(), metamers::Error>(())
/// ```
///
/// # Errors
/// When the first drawing fails.
pub fn interact<C, D>(controls: C, draw: impl FnMut(C::Values) -> D + Send + 'static) -> Result<Interaction>
where
    C: Controls + Send + Sync + 'static,
    D: Drawing,
{
    let mut draw = draw;
    let first = draw(controls.values()).into_outputs().map_err(|error| Error::invalid("interact", error))?;
    let place = Html::new(&html_of(&first));
    let widgets = controls.widgets();
    let root = VBox::new(widgets.iter().cloned().chain([place.widget()]));
    let outputs = Arc::new(Mutex::new(first));
    let drawn = Arc::new(Drawn {
        draw: Mutex::new(Box::new(move || draw(controls.values()).into_outputs())),
        place,
        alert: root.widget(),
        outputs: Arc::clone(&outputs),
    });
    for widget in &widgets {
        let drawn = Arc::clone(&drawn);
        widget.on_event(move |_, event| {
            if matches!(event, Event::Changed(names) if names.iter().any(|name| name == "value" || name == "index")) {
                events::request(drawn.clone());
            }
            Ok(())
        });
    }
    Ok(Interaction { root, controls: widgets, outputs })
}

type Draw = Box<dyn FnMut() -> std::result::Result<Vec<MimeBundle>, String> + Send>;

/// The function of an interaction and the place for its output.
struct Drawn {
    draw: Mutex<Draw>,
    place: Html,
    alert: Widget,
    outputs: Arc<Mutex<Vec<MimeBundle>>>,
}

impl Redraw for Drawn {
    fn redraw(&self) {
        // As for handlers, a panic can leave only the closure's own state half-changed.
        match catch_unwind(AssertUnwindSafe(|| lock(&self.draw)())) {
            Ok(Ok(outputs)) => {
                self.place.set(&html_of(&outputs));
                *lock(&self.outputs) = outputs;
                self.alert.report(&[]);
            }
            Ok(Err(error)) => self.alert.report(&[format!("error: {error}")]),
            Err(panic) => self.alert.report(&[format!("panicked: {}", panic_text(&*panic))]),
        }
    }
}

impl Show for Interaction {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let outputs = lock(&self.outputs).clone();
        vec![self.root.0.view_of(&self.controls, &outputs)]
    }
}

impl std::fmt::Debug for Interaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Interaction({:?})", self.controls)
    }
}

crate::show_in_notebooks!(Interaction);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::widgets::Slider;

    #[test]
    fn a_drawing_follows_its_controls_and_survives_errors() {
        let seed = Slider::int("seed", 0..=9);
        let shown = interact(seed.clone(), |seed| match seed {
            7 => Err(Error::invalid("seed", "is 7")),
            8 => panic!("eight"),
            seed => Ok(MimeBundle::text(format!("drawn {seed}"))),
        });
        let shown = shown.unwrap();
        let text = |shown: &Interaction| shown.mime_bundles()[0].plain().to_owned();
        assert_eq!(text(&shown), "seed: 0 (0 to 9)\ndrawn 0");
        let place = Html::new("");
        shown.root.0.alert_in(&place.0);
        for (value, drawn, alert) in [(3, 3, ""), (7, 3, "seed: is 7"), (8, 3, "panicked: eight"), (4, 4, "")] {
            seed.set(value);
            seed.0.dispatch(&Event::Changed(&["value".into()]));
            events::redraw_all();
            assert!(text(&shown).ends_with(&format!("drawn {drawn}")), "{value}");
            assert!(place.0.get("value").as_str().unwrap().contains(alert), "{value}");
        }
        assert_eq!(place.0.get("value"), "");
    }

    #[test]
    fn the_first_drawing_must_succeed() {
        let error = interact(Slider::int("a", 0..=1), |_| Err::<MimeBundle, _>("nothing to draw")).unwrap_err();
        assert!(error.to_string().contains("nothing to draw"));
    }
}
