//! Controls: sliders, menus, buttons and texts.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::protocol::Class;
use super::widget::{Event, Widget};
use crate::display::{MimeBundle, Show};

/// The result of a handler: nothing, or a `Result` whose error is shown beside the widget.
pub trait HandlerResult {
    /// The error as text.
    #[doc(hidden)]
    fn into_result(self) -> Result<(), String>;
}

impl HandlerResult for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T, E: std::fmt::Display> HandlerResult for Result<T, E> {
    fn into_result(self) -> Result<(), String> {
        self.map(drop).map_err(|error| error.to_string())
    }
}

/// A control with a value, which [`interact`](super::interact()) and handlers read.
pub trait Control: Into<Widget> + Clone {
    /// The type of the value.
    type Value;

    /// The current value.
    fn value(&self) -> Self::Value;
}

macro_rules! widget_types {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(pub(crate) Widget);

        impl $name {
            /// This as a widget, to put it into a box.
            #[must_use]
            pub fn widget(&self) -> Widget {
                self.0.clone()
            }
        }

        impl From<$name> for Widget {
            fn from(widget: $name) -> Self {
                widget.0
            }
        }

        impl From<&$name> for Widget {
            fn from(widget: &$name) -> Self {
                widget.0.clone()
            }
        }

        impl Show for $name {
            fn mime_bundles(&self) -> Vec<MimeBundle> {
                self.0.mime_bundles()
            }
        }

        crate::show_in_notebooks!($name);
    )+};
}
pub(super) use widget_types;

macro_rules! controls {
    ($($name:ident: $value:ty, $read:expr;)+) => {$(
        impl Control for $name {
            type Value = $value;

            fn value(&self) -> $value {
                $read(&self.0)
            }
        }

        impl $name {
            /// The current value.
            #[must_use]
            pub fn value(&self) -> $value {
                Control::value(self)
            }

            /// Calls `handler` with the new value whenever the user changes it. It runs on the thread of all handlers, one after the other,
            /// also while a cell runs. If it fails or panics, the message is shown below the widget.
            pub fn on_change<O: HandlerResult>(&self, mut handler: impl FnMut($value) -> O + Send + 'static) {
                self.0.on_event(move |widget, event| match event {
                    Event::Changed(names) if names.iter().any(|name| name == "value" || name == "index") => {
                        handler($read(widget)).into_result()
                    }
                    _ => Ok(()),
                });
            }
        }
    )+};
}

widget_types! {
    /// A slider over whole numbers.
    ///
    /// ```
    /// use metamers::display::widgets::Slider;
    ///
    /// let seed = Slider::int("seed", 0..=9);
    /// seed.on_change(|seed| println!("seed {seed}"));
    /// seed.set(3);
    /// assert_eq!(seed.value(), 3);
    /// ```
    IntSlider;
    /// A slider over real numbers.
    FloatSlider;
    /// A slider over names, such as the stages of a network.
    SelectionSlider;
    /// A menu of names.
    ///
    /// ```
    /// use metamers::display::widgets::Dropdown;
    ///
    /// let stage = Dropdown::new("stage", ["block2", "block10"]);
    /// assert_eq!(stage.value(), "block2");
    /// ```
    Dropdown;
    /// A row of buttons, one of which is pressed.
    ToggleButtons;
    /// A box to tick.
    Checkbox;
    /// A button.
    ///
    /// ```
    /// use metamers::display::widgets::Button;
    ///
    /// let go = Button::new("go");
    /// go.on_click(|| println!("clicked"));
    /// ```
    Button;
    /// A line of text that the user types.
    Text;
    /// Buttons that play through whole numbers, for instance those of a slider.
    ///
    /// ```
    /// use metamers::display::widgets::{HBox, Play, Slider};
    ///
    /// let seed = Slider::int("seed", 0..=9);
    /// let player = HBox::new([Play::new(0..=9).drives(&seed).widget(), seed.widget()]);
    /// ```
    Play;
}

controls! {
    IntSlider: i64, int;
    Play: i64, int;
    FloatSlider: f64, float;
    SelectionSlider: String, choice;
    Dropdown: String, choice;
    ToggleButtons: String, choice;
    Checkbox: bool, |widget: &Widget| widget.get("value") == true;
    Text: String, |widget: &Widget| widget.get("value").as_str().unwrap_or_default().to_owned();
}

/// A whole number within the control's bounds, whatever a front end has sent.
fn int(widget: &Widget) -> i64 {
    let number = |name: &str| widget.get(name).as_f64().unwrap_or_default();
    number("value").clamp(number("min"), number("max")) as i64
}

fn float(widget: &Widget) -> f64 {
    let number = |name: &str| widget.get(name).as_f64().unwrap_or_default();
    number("value").clamp(number("min"), number("max"))
}

/// The chosen name; empty if none is.
fn choice(widget: &Widget) -> String {
    let label = widget.get("index").as_u64().and_then(|index| {
        let labels = widget.get("_options_labels");
        labels.get(index as usize).and_then(Value::as_str).map(str::to_owned)
    });
    label.unwrap_or_default()
}

fn choices<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

/// The state of a control that chooses among names; without any it has an empty one, because a slider needs a position.
fn choice_state(description: &str, names: Vec<String>) -> Value {
    let names = if names.is_empty() { vec![String::new()] } else { names };
    json!({ "description": description, "_options_labels": names, "index": 0, "disabled": false })
}

/// Selects a name; an unknown one changes nothing.
fn choose(widget: &Widget, name: &str) {
    let labels = widget.get("_options_labels");
    if let Some(index) = labels.as_array().and_then(|labels| labels.iter().position(|label| label == name)) {
        widget.set("index", index);
    }
}

/// The bounds in ascending order, as JavaScript represents them exactly.
fn int_bounds(range: &RangeInclusive<i64>) -> [i64; 2] {
    const EXACT: i64 = 1 << 53;
    let [a, b] = [*range.start(), *range.end()].map(|bound| bound.clamp(-EXACT, EXACT));
    [a.min(b), a.max(b)]
}

/// Constructors of sliders.
///
/// ```
/// use metamers::prelude::*;
/// use metamers::display::widgets::Slider;
///
/// let stage = Slider::stages(&zoo::cochcnn_words()?);
/// assert_eq!(stage.value(), "cochleagram");
/// # Ok::<(), metamers::Error>(())
/// ```
pub struct Slider;

impl Slider {
    /// A slider over whole numbers, which starts at the first. Bounds in the wrong order are exchanged.
    #[must_use]
    pub fn int(description: &str, range: RangeInclusive<i64>) -> IntSlider {
        let [min, max] = int_bounds(&range);
        IntSlider(Widget::new(
            Class::INT_SLIDER,
            json!({ "description": description, "value": min, "min": min, "max": max, "step": 1, "disabled": false }),
        ))
    }

    /// A slider over real numbers, which starts at the first and has a hundred steps. Bounds in the wrong order are exchanged; one that is
    /// not finite becomes 0 or 1.
    #[must_use]
    pub fn float(description: &str, range: RangeInclusive<f64>) -> FloatSlider {
        let finite = |bound: f64, otherwise: f64| if bound.is_finite() { bound } else { otherwise };
        let (a, b) = (finite(*range.start(), 0.0), finite(*range.end(), 1.0));
        let (min, max) = (a.min(b), a.max(b));
        let step = ((max - min) / 100.0).max(f64::MIN_POSITIVE);
        FloatSlider(Widget::new(
            Class::FLOAT_SLIDER,
            json!({
                "description": description, "value": min, "min": min, "max": max, "step": step, "disabled": false,
                "readout_format": ".3~g",
            }),
        ))
    }

    /// A slider over names, which starts at the first.
    #[must_use]
    pub fn names<N: Into<String>>(description: &str, names: impl IntoIterator<Item = N>) -> SelectionSlider {
        SelectionSlider(Widget::new(Class::SELECTION_SLIDER, choice_state(description, choices(names))))
    }
}

impl IntSlider {
    /// Moves the slider; a number outside its range is clamped.
    pub fn set(&self, value: i64) {
        let bound = |name: &str| self.0.get(name).as_i64().unwrap_or_default();
        self.0.set("value", value.clamp(bound("min"), bound("max")));
    }
}

impl FloatSlider {
    /// Moves the slider; a number outside its range is clamped, and NaN changes nothing.
    pub fn set(&self, value: f64) {
        let bound = |name: &str| self.0.get(name).as_f64().unwrap_or_default();
        if !value.is_nan() {
            self.0.set("value", value.clamp(bound("min"), bound("max")));
        }
    }
}

impl SelectionSlider {
    /// Moves the slider to a name; an unknown one changes nothing.
    pub fn set(&self, name: &str) {
        choose(&self.0, name);
    }
}

impl Dropdown {
    /// A menu of names, of which the first is chosen.
    #[must_use]
    pub fn new<N: Into<String>>(description: &str, names: impl IntoIterator<Item = N>) -> Self {
        Self(Widget::new(Class::DROPDOWN, choice_state(description, choices(names))))
    }

    /// Chooses a name; an unknown one changes nothing.
    pub fn set(&self, name: &str) {
        choose(&self.0, name);
    }
}

impl ToggleButtons {
    /// A button for each name, of which the first is pressed.
    #[must_use]
    pub fn new<N: Into<String>>(description: &str, names: impl IntoIterator<Item = N>) -> Self {
        let mut state = choice_state(description, choices(names));
        state["button_style"] = "".into();
        state["tooltips"] = json!([]);
        state["icons"] = json!([]);
        Self(Widget::new(Class::TOGGLE_BUTTONS, state))
    }

    /// Presses the button with a name; an unknown one changes nothing.
    pub fn set(&self, name: &str) {
        choose(&self.0, name);
    }
}

impl Checkbox {
    /// A box that is not ticked.
    #[must_use]
    pub fn new(description: &str) -> Self {
        let state = json!({ "description": description, "value": false, "indent": true, "disabled": false });
        Self(Widget::new(Class::CHECKBOX, state))
    }

    /// Ticks the box.
    pub fn tick(&self) {
        self.0.set("value", true);
    }

    /// Removes the tick.
    pub fn untick(&self) {
        self.0.set("value", false);
    }
}

impl Button {
    /// A button with a label.
    #[must_use]
    pub fn new(label: &str) -> Self {
        let state = json!({ "description": label, "button_style": "", "icon": "", "disabled": false });
        Self(Widget::new(Class::BUTTON, state))
    }

    /// Calls `handler` at each click. It runs on the thread of all handlers, one after the other, also while a cell runs; long work
    /// therefore belongs on a thread of its own. If it fails or panics, the message is shown below the button.
    pub fn on_click<O: HandlerResult>(&self, mut handler: impl FnMut() -> O + Send + 'static) {
        self.0.on_event(move |_, event| match event {
            Event::Custom(content) if content["event"] == "click" => handler().into_result(),
            _ => Ok(()),
        });
    }

    /// Makes the button clickable.
    pub fn enable(&self) {
        self.0.set("disabled", false);
    }

    /// Greys the button out.
    pub fn disable(&self) {
        self.0.set("disabled", true);
    }
}

impl Text {
    /// An empty line.
    #[must_use]
    pub fn new(description: &str) -> Self {
        let state = json!({
            "description": description, "value": "", "placeholder": "", "continuous_update": false, "disabled": false,
        });
        Self(Widget::new(Class::TEXT, state))
    }

    /// Replaces the text.
    pub fn set(&self, text: &str) {
        self.0.set("value", text);
    }
}

impl Play {
    /// Play, pause and stop buttons for a range of whole numbers, two a second.
    #[must_use]
    pub fn new(range: RangeInclusive<i64>) -> Self {
        let [min, max] = int_bounds(&range);
        let state = json!({
            "value": min, "min": min, "max": max, "step": 1, "interval": 500, "playing": false, "repeat": false,
            "show_repeat": true, "disabled": false, "description": "play",
        });
        Self(Widget::new(Class::PLAY, state))
    }

    /// Makes the buttons move a slider, in the front end alone.
    #[must_use]
    pub fn drives(self, slider: &IntSlider) -> Self {
        self.0.link(&slider.0, "value");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "a slider takes its bounds in either order")]
    fn values_of_a_front_end_stay_within_the_bounds() {
        let seed = Slider::int("seed", 9..=0);
        for (sent, expected) in [(json!(4), 4), (json!(1e300), 9), (json!(-7), 0), (json!("four"), 0), (json!(null), 0)]
        {
            seed.0.set("value", 0);
            if let Value::Object(update) = json!({ "value": sent, "_model_name": 5, "unknown": 1 }) {
                seed.0.apply(&update);
            }
            assert_eq!(seed.value(), expected, "{sent}");
        }
        assert_eq!(seed.0.get("_model_name"), "IntSliderModel");
    }

    #[test]
    fn a_front_end_does_not_change_the_bounds() {
        let (seed, gain) = (Slider::int("seed", 1..=9), Slider::float("gain", 0.5..=2.0));
        for bound in [json!(null), json!(-3), json!(100)] {
            if let Value::Object(update) = json!({ "min": bound, "max": bound }) {
                assert!(seed.0.apply(&update).is_empty() && gain.0.apply(&update).is_empty());
            }
            seed.set(20);
            gain.set(-1.0);
            assert_eq!((seed.value(), gain.value()), (9, 0.5));
        }
    }

    #[test]
    fn an_unknown_choice_and_no_choices_are_harmless() {
        let stage = Dropdown::new("stage", ["block2", "block10"]);
        stage.set("block10");
        stage.set("block99");
        assert_eq!(stage.value(), "block10");
        stage.0.set("index", 77);
        assert_eq!(stage.value(), "");
        assert_eq!(Slider::names("empty", Vec::<String>::new()).value(), "");
        assert_eq!(Slider::float("x", f64::NAN..=f64::INFINITY).value(), 0.0);
    }

    #[test]
    fn a_handler_that_panics_or_fails_says_so_and_lives_on() {
        let (button, place) = (Button::new("go"), Slider::int("place", 0..=1).0);
        button.0.alert_in(&place);
        let mut clicks = 0;
        button.on_click(move || {
            clicks += 1;
            match clicks {
                1 => Err("no <such> file"),
                2 => panic!("the second {}", "click"),
                _ => Ok(()),
            }
        });
        let click = json!({ "event": "click" });
        let said = || {
            button.0.dispatch(&Event::Custom(&click));
            place.get("value").as_str().unwrap().to_owned()
        };
        assert!(said().contains("error: no &lt;such&gt; file"));
        assert!(said().contains("panicked: the second click"));
        assert_eq!(said(), "", "the next success removes the message");
    }
}
