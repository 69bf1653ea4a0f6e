//! The widget protocol of ipywidgets 8: names, versions, and state with binary buffers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

/// The comm target of widgets.
pub(super) const TARGET: &str = "jupyter.widget";
/// The comm target by which a front end asks for all widgets at once.
pub(super) const CONTROL_TARGET: &str = "jupyter.widget.control";
/// The version of the protocol.
pub(super) const VERSION: &str = "2.1.0";
/// The MIME type of an output that shows a widget.
pub(super) const VIEW: &str = "application/vnd.jupyter.widget-view+json";

const BASE: (&str, &str) = ("@jupyter-widgets/base", "2.0.0");
const CONTROLS: (&str, &str) = ("@jupyter-widgets/controls", "2.0.0");

/// The class of a widget: the names of its model, view and style in ipywidgets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Class {
    model: &'static str,
    /// `None` for a model that is not shown itself.
    view: Option<&'static str>,
    /// The model of its style; `None` for containers and pictures.
    pub style: Option<&'static str>,
}

macro_rules! classes {
    ($($name:ident = $model:literal, $view:expr, $style:expr;)+) => {
        impl Class {
            $(pub const $name: Self = Self { model: $model, view: $view, style: $style };)+
        }
    };
}

classes! {
    INT_SLIDER = "IntSliderModel", Some("IntSliderView"), Some("SliderStyleModel");
    FLOAT_SLIDER = "FloatSliderModel", Some("FloatSliderView"), Some("SliderStyleModel");
    SELECTION_SLIDER = "SelectionSliderModel", Some("SelectionSliderView"), Some("SliderStyleModel");
    DROPDOWN = "DropdownModel", Some("DropdownView"), Some("DescriptionStyleModel");
    TOGGLE_BUTTONS = "ToggleButtonsModel", Some("ToggleButtonsView"), Some("ToggleButtonsStyleModel");
    CHECKBOX = "CheckboxModel", Some("CheckboxView"), Some("CheckboxStyleModel");
    BUTTON = "ButtonModel", Some("ButtonView"), Some("ButtonStyleModel");
    TEXT = "TextModel", Some("TextView"), Some("TextStyleModel");
    PLAY = "PlayModel", Some("PlayView"), Some("DescriptionStyleModel");
    IMAGE = "ImageModel", Some("ImageView"), None;
    HTML = "HTMLModel", Some("HTMLView"), Some("HTMLStyleModel");
    LABEL = "LabelModel", Some("LabelView"), Some("LabelStyleModel");
    HBOX = "HBoxModel", Some("HBoxView"), None;
    VBOX = "VBoxModel", Some("VBoxView"), None;
    TAB = "TabModel", Some("TabView"), None;
    LINK = "LinkModel", None, None;
}

impl Class {
    /// The layout of a widget: margins, sizes, alignment.
    pub const LAYOUT: Self = Self { model: "LayoutModel", view: Some("LayoutView"), style: None };

    /// The style with this model.
    pub const fn style(model: &'static str) -> Self {
        Self { model, view: Some("StyleView"), style: None }
    }

    /// Returns whether this is a widget with a place on the page, rather than a layout, a style or a link.
    pub fn is_shown(self) -> bool {
        !matches!(self.view, None | Some("LayoutView" | "StyleView"))
    }

    fn model_module(self) -> (&'static str, &'static str) {
        if self == Self::LAYOUT { BASE } else { CONTROLS }
    }

    /// The part of the state that names the class.
    pub fn state(self) -> Map<String, Value> {
        let (module, version) = self.model_module();
        let (view_module, view_version) =
            if matches!(self.view, Some("LayoutView" | "StyleView")) { BASE } else { CONTROLS };
        let state = json!({
            "_model_name": self.model, "_model_module": module, "_model_module_version": version,
            "_view_name": self.view, "_view_module": view_module, "_view_module_version": view_version,
        });
        match state {
            Value::Object(state) => state,
            _ => Map::new(),
        }
    }

    /// The entry of a model in the answer to a request for all states.
    pub fn entry(self, state: Map<String, Value>) -> Value {
        let (module, version) = self.model_module();
        json!({ "model_name": self.model, "model_module": module, "model_module_version": version, "state": state })
    }
}

/// The state of a widget, whose binary values travel as buffers.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub values: Map<String, Value>,
    pub buffers: BTreeMap<String, Arc<Vec<u8>>>,
}

impl State {
    /// The paths of the buffers, each below `prefix`, and the buffers.
    pub fn buffers(&self, prefix: &[&str]) -> (Vec<Value>, Vec<Vec<u8>>) {
        let path = |name: &String| prefix.iter().copied().chain([name.as_str()]).collect::<Vec<_>>().into();
        self.buffers.iter().map(|(name, bytes)| (path(name), bytes.to_vec())).unzip()
    }
}

/// Returns whether a front end may replace the value `old` by `new`: both are of the same type, or `null` is one of them.
pub(super) fn is_compatible(old: &Value, new: &Value) -> bool {
    old.is_null() || new.is_null() || std::mem::discriminant(old) == std::mem::discriminant(new)
}

/// The reference to a model in another one's state.
pub(super) fn reference(id: &str) -> Value {
    format!("IPY_MODEL_{id}").into()
}
