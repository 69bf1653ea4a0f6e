//! Widgets of any class: state, children, handlers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use super::channel::{channel, lock};
use super::protocol::{Class, State, VIEW, is_compatible, reference};
use super::{registry, still};
use crate::display::live::unique_id;
use crate::display::{MimeBundle, Show, escape, evcxr_protocol};

/// A widget of any type: a slider, a button, a box of widgets. It is a handle, so a copy is the same widget.
///
/// A widget lives until its process ends, also when its variable is dropped or defined again, because the page may still show it.
///
/// ```
/// use metamers::display::widgets::{Slider, VBox, Widget};
///
/// let seed: Widget = Slider::int("seed", 0..=9).into();
/// let again = seed.clone().width("20em");
/// assert_eq!(VBox::new([seed, again]).widget().text(), "seed: 0 (0 to 9)\nseed: 0 (0 to 9)");
/// ```
#[derive(Clone)]
pub struct Widget(Arc<Inner>);

/// A change that a front end made: the names of the changed values, or the content of a custom message such as a click.
pub(crate) enum Event<'a> {
    Changed(&'a [String]),
    Custom(&'a Value),
}

/// Gets the widget, so that it does not hold it itself, which would be a cycle.
type Handler = Box<dyn FnMut(&Widget, &Event<'_>) -> Result<(), String> + Send>;

struct Inner {
    id: String,
    class: Class,
    state: Mutex<State>,
    /// Layout, style and, of a container, its parts.
    children: Mutex<Vec<Widget>>,
    /// Widgets that refer to this one, which the front end must know after it.
    attached: Mutex<Vec<Widget>>,
    handlers: Mutex<Vec<Arc<Mutex<Handler>>>>,
    /// The place for the errors of handlers.
    alert: Mutex<Option<Widget>>,
    /// True once the front end knows this widget. Held while messages are sent, so that none precedes the first.
    is_open: Mutex<bool>,
}

impl Widget {
    /// Creates a widget, with a layout and a style if it has a place on the page.
    pub(crate) fn new(class: Class, values: Value) -> Self {
        let mut state = class.state();
        if let Value::Object(values) = values {
            state.extend(values);
        }
        let mut children = Vec::new();
        if class.is_shown() {
            let parts = [("layout", Some(Class::LAYOUT)), ("style", class.style.map(Class::style))];
            for (name, part) in parts {
                let Some(part) = part.map(|class| Self::new(class, Value::Null)) else { continue };
                state.insert(name.into(), reference(part.id()));
                children.push(part);
            }
        }
        Self(Arc::new(Inner {
            id: unique_id(),
            class,
            state: Mutex::new(State { values: state, ..State::default() }),
            children: Mutex::new(children),
            attached: Mutex::default(),
            handlers: Mutex::default(),
            alert: Mutex::default(),
            is_open: Mutex::new(false),
        }))
    }

    /// Creates a container.
    pub(super) fn container(class: Class, values: Value, parts: Vec<Widget>) -> Self {
        let container = Self::new(class, values);
        let references: Vec<Value> = parts.iter().map(|part| reference(part.id())).collect();
        lock(&container.0.state).values.insert("children".into(), references.into());
        lock(&container.0.children).extend(parts);
        container
    }

    pub(super) fn id(&self) -> &str {
        &self.0.id
    }

    pub(super) fn class(&self) -> Class {
        self.0.class
    }

    /// Adds widgets that the front end must know together with this one.
    pub(super) fn attach(&self, widgets: impl IntoIterator<Item = Widget>) {
        lock(&self.0.attached).extend(widgets);
    }

    /// The widgets in this one.
    pub(super) fn parts(&self) -> Vec<Widget> {
        lock(&self.0.children).iter().filter(|child| child.class().is_shown()).cloned().collect()
    }

    /// A value of the state; `null` if there is none.
    pub(crate) fn get(&self, name: &str) -> Value {
        lock(&self.0.state).values.get(name).cloned().unwrap_or(Value::Null)
    }

    /// Sets a value of the state, here and in the front end.
    pub(crate) fn set(&self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_open = lock(&self.0.is_open);
        let before = lock(&self.0.state).values.insert(name.into(), value.clone());
        if *is_open
            && before.as_ref() != Some(&value)
            && let Some(channel) = channel()
        {
            let data = json!({ "method": "update", "state": { name: value }, "buffer_paths": [] });
            channel.send("msg", self.id(), data, Vec::new());
        }
    }

    /// Sets a binary value of the state, here and in the front end.
    pub(super) fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let is_open = lock(&self.0.is_open);
        lock(&self.0.state).buffers.insert(name.into(), Arc::new(bytes.clone()));
        if *is_open && let Some(channel) = channel() {
            let data = json!({ "method": "update", "state": {}, "buffer_paths": [[name]] });
            channel.send("msg", self.id(), data, vec![bytes]);
        }
    }

    /// A binary value of the state.
    pub(super) fn bytes(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        lock(&self.0.state).buffers.get(name).cloned()
    }

    /// The current state.
    pub(super) fn state(&self) -> State {
        lock(&self.0.state).clone()
    }

    /// Sets a property of the layout, such as `width`, to a CSS value.
    pub(crate) fn layout(&self, name: &str, value: &str) {
        let layout = lock(&self.0.children).iter().find(|child| child.class() == Class::LAYOUT).cloned();
        if let Some(layout) = layout {
            layout.set(name, value);
        }
    }

    /// Sets the width as a CSS length, such as `20em` or `100%`.
    #[must_use]
    pub fn width(self, css: &str) -> Self {
        self.layout("width", css);
        self
    }

    /// The widget in words: its description and its value.
    #[must_use]
    pub fn text(&self) -> String {
        still::text(self)
    }

    /// Adds a handler, which the library's handler thread runs after the front end has changed this widget.
    pub(crate) fn on_event(&self, handler: impl FnMut(&Widget, &Event<'_>) -> Result<(), String> + Send + 'static) {
        lock(&self.0.handlers).push(Arc::new(Mutex::new(Box::new(handler))));
    }

    /// Selects the place for the errors of the handlers of this widget and of all in it, unless they have one.
    pub(super) fn alert_in(&self, place: &Widget) {
        lock(&self.0.alert).get_or_insert_with(|| place.clone());
        self.parts().iter().for_each(|part| part.alert_in(place));
    }

    /// Runs the handlers. A handler that fails or panics says so beside the widget, and the others still run.
    pub(super) fn dispatch(&self, event: &Event<'_>) {
        // A copy, because a handler may add another one.
        let handlers = lock(&self.0.handlers).clone();
        let mut errors = Vec::new();
        for handler in &handlers {
            // A handler that panicked has broken no invariant of ours: its own state is all it can leave half-changed.
            let result = catch_unwind(AssertUnwindSafe(|| lock(handler)(self, event)));
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => errors.push(format!("error: {error}")),
                Err(panic) => errors.push(format!("panicked: {}", panic_text(&*panic))),
            }
        }
        if !handlers.is_empty() {
            self.report(&errors);
        }
    }

    /// Shows errors in this widget's place for them; without errors it is emptied.
    pub(super) fn report(&self, errors: &[String]) {
        let place = lock(&self.0.alert).clone();
        match place {
            Some(place) => place.set("value", alert_html(errors)),
            None => errors.iter().for_each(|error| eprintln!("{error}")),
        }
    }

    /// Applies an update of the front end. Returns the names of the values that it may change, and the values.
    pub(super) fn apply(&self, update: &Map<String, Value>) -> Map<String, Value> {
        let mut state = lock(&self.0.state);
        let accepts = |name: &str, value: &Value| {
            // The bounds are set here alone: the value of a control is clamped to them.
            let is_fixed = name.starts_with('_') || matches!(name, "min" | "max");
            !is_fixed && state.values.get(name).is_some_and(|old| is_compatible(old, value))
        };
        let accepted: Map<String, Value> =
            update.iter().filter(|(name, value)| accepts(name, value)).map(|(n, v)| (n.clone(), v.clone())).collect();
        state.values.extend(accepted.clone());
        accepted
    }

    /// Makes the front end know this widget, after those in it.
    pub(super) fn open(&self) {
        let Some(channel) = channel() else { return };
        let children = lock(&self.0.children).clone();
        children.iter().for_each(Widget::open);
        let mut is_open = lock(&self.0.is_open);
        if *is_open {
            return;
        }
        registry::add(self);
        let state = self.state();
        let (paths, buffers) = state.buffers(&[]);
        channel.send("open", self.id(), json!({ "state": state.values, "buffer_paths": paths }), buffers);
        *is_open = true;
        drop(is_open);
        let attached = lock(&self.0.attached).clone();
        attached.iter().for_each(Widget::open);
    }

    /// Records that the front end has closed this widget; shown again, it is opened again.
    pub(super) fn forget(&self) {
        *lock(&self.0.is_open) = false;
    }

    /// Returns whether the user can use this control.
    pub(crate) fn is_enabled(&self) -> bool {
        self.get("disabled") != true
    }

    /// The output that shows this widget; where there is no kernel, it is the text of `controls` and `outputs`, joined.
    pub(crate) fn view_of(&self, controls: &[Widget], outputs: &[MimeBundle]) -> MimeBundle {
        let words: Vec<String> = controls.iter().map(Widget::text).collect();
        self.view(evcxr_protocol::joined(outputs).with_text_before(&words.join("\n")))
    }

    /// The output that shows this widget, with `still` for places without a kernel.
    pub(super) fn view(&self, still: MimeBundle) -> MimeBundle {
        let Some(channel) = channel() else { return still };
        let place = Widget::new(Class::HTML, json!({ "value": "", "description": "", "placeholder": "" }));
        self.alert_in(&place);
        let place = lock(&self.0.alert).clone().unwrap_or(place);
        let root = Widget::container(Class::VBOX, json!({}), vec![self.clone(), place]);
        root.open();
        channel.sync();
        still.with(VIEW, json!({ "version_major": 2, "version_minor": 0, "model_id": root.id() }).to_string())
    }
}

impl Show for Widget {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![self.view(still::bundle(self))]
    }
}

impl std::fmt::Debug for Widget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Widget({:?})", self.text())
    }
}

crate::show_in_notebooks!(Widget);

/// The message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}

/// Errors as HTML that screen readers announce; empty without errors.
pub(super) fn alert_html(errors: &[String]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let text = escape(&errors.join("\n"));
    format!(
        r#"<div role="alert" style="white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid #b3261e;padding:2px 8px;color:#b3261e;background:#fff;line-height:1.4">{text}</div>"#
    )
}
