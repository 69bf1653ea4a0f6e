//! The still form of widgets, for a notebook without a kernel, a PDF and a terminal.

use serde_json::Value;

use super::protocol::Class;
use super::widget::Widget;
use crate::display::{Figure, MimeBundle, Panel, Raster};

/// The number of choices that are listed.
const MAX_CHOICES: usize = 12;
/// The width of a figure of controls, in CSS pixels.
const WIDTH: f64 = 720.0;

/// The still form: a picture of the controls with their values, and the same in words.
pub(super) fn bundle(widget: &Widget) -> MimeBundle {
    let text = text(widget);
    let figure = rows(widget).into_iter().fold(Figure::new(&text).width(WIDTH), Figure::row);
    figure.bundle(text)
}

/// A widget in words.
pub(super) fn text(widget: &Widget) -> String {
    match widget.class() {
        Class::HBOX | Class::VBOX | Class::TAB => {
            let lines: Vec<String> = widget.parts().iter().map(text).filter(|line| !line.is_empty()).collect();
            lines.join("\n")
        }
        Class::BUTTON => format!("[{}]", string(widget, "description")),
        Class::IMAGE => string(widget, "tooltip"),
        Class::HTML | Class::LABEL => plain(&string(widget, "value")),
        _ => match string(widget, "description") {
            name if name.is_empty() => value(widget),
            name => format!("{name}: {}", value(widget)),
        },
    }
}

/// The panels of a widget, row by row.
fn rows(widget: &Widget) -> Vec<Vec<Panel>> {
    match widget.class() {
        Class::VBOX | Class::TAB => widget.parts().iter().flat_map(rows).collect(),
        Class::HBOX => vec![widget.parts().iter().flat_map(rows).flatten().collect()],
        Class::IMAGE => picture(widget).map(|picture| vec![Panel::picture("", picture)]).into_iter().collect(),
        Class::BUTTON | Class::HTML | Class::LABEL => vec![vec![Panel::text("", text(widget))]],
        _ => vec![vec![Panel::text(string(widget, "description"), value(widget))]],
    }
}

/// The value of a control, and the values that it can have.
fn value(widget: &Widget) -> String {
    match widget.class() {
        Class::SELECTION_SLIDER | Class::DROPDOWN | Class::TOGGLE_BUTTONS => {
            let Value::Array(labels) = widget.get("_options_labels") else { return String::new() };
            let labels: Vec<&str> = labels.iter().filter_map(Value::as_str).collect();
            let chosen = widget.get("index").as_u64().and_then(|index| labels.get(index as usize).copied());
            let more = if labels.len() > MAX_CHOICES { ", …" } else { "" };
            let listed = labels[..labels.len().min(MAX_CHOICES)].join(", ");
            format!("{} (of {listed}{more})", chosen.unwrap_or("none"))
        }
        Class::CHECKBOX => if widget.get("value") == true { "on" } else { "off" }.into(),
        Class::TEXT => string(widget, "value"),
        _ => format!("{} ({} to {})", widget.get("value"), widget.get("min"), widget.get("max")),
    }
}

fn string(widget: &Widget, name: &str) -> String {
    widget.get(name).as_str().unwrap_or_default().to_owned()
}

fn picture(widget: &Widget) -> Option<Raster> {
    let image = image::load_from_memory(&widget.bytes("value")?).ok()?.to_rgb8();
    Some(Raster::from_rgb(image.width() as usize, image.height() as usize, image.into_raw()))
}

/// The text of HTML, without its tags.
fn plain(html: &str) -> String {
    let mut text = String::new();
    for (index, piece) in html.split('<').enumerate() {
        text += if index == 0 { piece } else { piece.split_once('>').map_or("", |(_, rest)| rest) };
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text, |text, (entity, letter)| text.replace(entity, letter)).trim().to_owned()
}
