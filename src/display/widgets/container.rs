//! Boxes, texts and pictures: widgets that the user does not change.

use serde_json::json;

use super::control::widget_types;
use super::protocol::{Class, reference};
use super::widget::Widget;
use crate::display::{MimeBundle, Raster, Show};

widget_types! {
    /// Widgets in a row, which wraps where there is no room.
    HBox;
    /// Widgets one below the other.
    VBox;
    /// Widgets of which one is shown, with a tab for each.
    Tab;
    /// A picture. (ipywidgets calls it Image, as the prelude calls a stimulus.)
    Picture;
    /// HTML that the program makes.
    Html;
    /// A text that the program makes.
    Label;
}

fn parts<W: Into<Widget>>(widgets: impl IntoIterator<Item = W>) -> Vec<Widget> {
    widgets.into_iter().map(Into::into).collect()
}

impl HBox {
    /// A row of widgets.
    #[must_use]
    pub fn new<W: Into<Widget>>(widgets: impl IntoIterator<Item = W>) -> Self {
        let row = Widget::container(Class::HBOX, json!({ "box_style": "" }), parts(widgets));
        row.layout("flex_flow", "row wrap");
        Self(row)
    }
}

impl VBox {
    /// A column of widgets.
    #[must_use]
    pub fn new<W: Into<Widget>>(widgets: impl IntoIterator<Item = W>) -> Self {
        Self(Widget::container(Class::VBOX, json!({ "box_style": "" }), parts(widgets)))
    }
}

impl Tab {
    /// Titled widgets, of which the first is shown.
    #[must_use]
    pub fn new<N: Into<String>, W: Into<Widget>>(widgets: impl IntoIterator<Item = (N, W)>) -> Self {
        let (titles, parts): (Vec<String>, Vec<Widget>) =
            widgets.into_iter().map(|(n, w)| (n.into(), w.into())).unzip();
        let state = json!({ "box_style": "", "titles": titles, "selected_index": (!parts.is_empty()).then_some(0) });
        Self(Widget::container(Class::TAB, state, parts))
    }
}

impl Picture {
    /// A picture with an alternative text.
    #[must_use]
    pub fn new(picture: &Raster, alt: &str) -> Self {
        let state = json!({ "format": "png", "width": picture.width().to_string(), "height": "", "tooltip": "" });
        let shown = Self(Widget::new(Class::IMAGE, state));
        shown.set(picture, alt);
        shown
    }

    /// Replaces the picture.
    pub fn set(&self, picture: &Raster, alt: &str) {
        self.0.set("tooltip", alt);
        self.0.set_bytes("value", picture.png());
    }
}

impl Html {
    /// A place for HTML. Its scripts do not run.
    #[must_use]
    pub fn new(html: &str) -> Self {
        Self(Widget::new(Class::HTML, json!({ "value": html, "description": "", "placeholder": "" })))
    }

    /// Replaces the HTML.
    pub fn set(&self, html: &str) {
        self.0.set("value", html);
    }

    /// Replaces the HTML by the representation of `thing`.
    pub fn show(&self, thing: &(impl Show + ?Sized)) {
        self.set(&html_of(&thing.mime_bundles()));
    }
}

impl Label {
    /// A text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Widget::new(Class::LABEL, json!({ "value": text, "description": "", "placeholder": "" })))
    }

    /// Replaces the text.
    pub fn set(&self, text: &str) {
        self.0.set("value", text);
    }
}

/// Outputs as HTML, one below the other, with the styles that JupyterLab has for tables in outputs.
pub(super) fn html_of(bundles: &[MimeBundle]) -> String {
    bundles
        .iter()
        .map(|bundle| {
            format!(r#"<div class="jp-RenderedHTMLCommon" style="overflow-x:auto">{}</div>"#, bundle.to_html())
        })
        .collect()
}

impl Widget {
    /// Makes the front end keep a value of another widget equal to that of this one.
    pub(super) fn link(&self, other: &Widget, value: &str) {
        let end = |widget: &Widget| json!([reference(widget.id()), value]);
        let link = Widget::new(Class::LINK, json!({ "source": end(self), "target": end(other) }));
        self.attach([other.clone(), link]);
    }
}
