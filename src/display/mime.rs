//! One output of a cell: the same thing in several MIME types.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub(crate) const TEXT: &str = "text/plain";
pub(crate) const HTML: &str = "text/html";
pub(crate) const PNG: &str = "image/png";

/// One output: the same thing in several MIME types, of which a front end shows the richest that it can, with what it should know about
/// them (the width of a picture, its alternative text).
///
/// A front end prefers HTML to a picture, so a bundle holds a picture or HTML beside its text, not both: HTML would hide the picture.
///
/// ```
/// use metamers::display::MimeBundle;
///
/// let bundle = MimeBundle::text("rho 0.98").html("<b>ρ</b> 0.98");
/// assert_eq!(bundle.data()["text/plain"], "rho 0.98");
/// ```
#[derive(Clone, PartialEq)]
pub struct MimeBundle {
    data: BTreeMap<String, String>,
    metadata: BTreeMap<String, Value>,
}

impl std::fmt::Debug for MimeBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.plain().lines().next().unwrap_or_default();
        write!(f, "MimeBundle({first:?}, as {})", self.data.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

impl MimeBundle {
    /// An output as text: what a terminal shows, what a screen reader says when there is nothing better.
    pub fn text(text: impl Into<String>) -> Self {
        Self { data: BTreeMap::from([(TEXT.into(), text.into())]), metadata: BTreeMap::new() }
    }

    /// Adds a PNG picture, to be shown `width` by `height` CSS pixels large; `alt` says what it shows to those who cannot see it.
    ///
    /// Give a picture of text and lines twice the pixels of its CSS size: it stays sharp on a dense screen.
    pub fn png(mut self, png: impl AsRef<[u8]>, width: u32, height: u32, alt: impl Into<String>) -> Self {
        self.data.insert(PNG.into(), STANDARD.encode(png));
        self.metadata.insert(PNG.into(), json!({ "width": width, "height": height, "alt": alt.into() }));
        self
    }

    /// Adds HTML. It should stand alone: a notebook is moved, mailed and shown by servers that know no files of ours.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.data.insert(HTML.into(), html.into());
        self
    }

    /// The contents by MIME type: text as it is, binary formats in base64. `text/plain` is always there.
    pub fn data(&self) -> &BTreeMap<String, String> {
        &self.data
    }

    /// What a front end should know about a content, by MIME type: for a picture `width` and `height` in CSS pixels and `alt`.
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The text of this output.
    pub fn plain(&self) -> &str {
        &self.data[TEXT]
    }

    /// The picture's file, if this output has a picture.
    pub fn png_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.data.get(PNG)?).ok()
    }

    /// `{"data": .., "metadata": ..}`, as Jupyter's `display_data` has it.
    pub fn to_json(&self) -> Value {
        json!({ "data": self.data, "metadata": self.metadata })
    }

    /// This output as a piece of a page: its HTML, else its picture as an `<img>`, else its text.
    pub(crate) fn to_html(&self) -> String {
        if let Some(html) = self.data.get(HTML) {
            return html.clone();
        }
        let Some(png) = self.data.get(PNG) else {
            return format!("<pre>{}</pre>", escape(self.plain()));
        };
        let about = &self.metadata[PNG];
        let width = about["width"].as_u64().unwrap_or_default();
        // On a phone a wide figure is moved sideways rather than shrunk until its letters are illegible.
        let least = if width > 300 { format!("min-width:{}px;", (width * 3 / 4).max(300)) } else { String::new() };
        format!(
            r#"<img src="data:image/png;base64,{png}" width="{width}" alt="{}" style="max-width:100%;{least}height:auto">"#,
            escape(about["alt"].as_str().unwrap_or_default()),
        )
    }
}

/// Text as HTML that shows exactly this text, in an element or in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(letter),
        }
    }
    html
}
