//! MIME bundles: the representations of one output.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub(crate) const TEXT: &str = "text/plain";
pub(crate) const HTML: &str = "text/html";
pub(crate) const PNG: &str = "image/png";

/// One output in several MIME types, with metadata such as the width and the alternative text of a picture. A front end shows the richest
/// type that it supports.
///
/// A front end prefers HTML to a picture. A bundle should therefore have either HTML or a picture beside its text: HTML would hide the
/// picture.
///
/// ```
/// use metamers::display::MimeBundle;
///
/// let bundle = MimeBundle::text("rho 0.98").html("<b>ρ</b> 0.98");
/// assert_eq!(bundle.data()["text/plain"], "rho 0.98");
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
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
    /// Creates an output with plain text, the fallback for terminals and screen readers.
    pub fn text(text: impl Into<String>) -> Self {
        Self { data: BTreeMap::from([(TEXT.into(), text.into())]), metadata: BTreeMap::new() }
    }

    /// Adds a PNG picture with its display size in CSS pixels and its alternative text.
    ///
    /// A picture with text or lines should have twice the pixels of its CSS size, which is sharp on high-density screens.
    pub fn png(mut self, png: impl AsRef<[u8]>, width: u32, height: u32, alt: impl Into<String>) -> Self {
        self.data.insert(PNG.into(), STANDARD.encode(png));
        self.metadata.insert(PNG.into(), json!({ "width": width, "height": height, "alt": alt.into() }));
        self
    }

    /// Adds HTML. It should be self-contained, because notebooks are moved, mailed and shown by servers without access to other files.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.data.insert(HTML.into(), html.into());
        self
    }

    /// Adds the representation in another MIME type.
    pub(crate) fn with(mut self, mime: &str, data: String) -> Self {
        self.data.insert(mime.into(), data);
        self
    }

    /// Adds the picture of another output.
    pub(crate) fn with_picture_of(mut self, other: &Self) -> Self {
        self.data.extend(other.data.get(PNG).map(|png| (PNG.to_owned(), png.clone())));
        self.metadata.extend(other.metadata.get(PNG).map(|about| (PNG.to_owned(), about.clone())));
        self
    }

    /// The output without its HTML.
    pub(crate) fn without_html(&self) -> Self {
        let mut other = self.clone();
        other.data.remove(HTML);
        other
    }

    /// Adds metadata of the whole output.
    pub(crate) fn with_metadata(mut self, name: &str, value: Value) -> Self {
        self.metadata.insert(name.into(), value);
        self
    }

    /// Adds text before the plain text.
    pub(crate) fn with_text_before(mut self, text: &str) -> Self {
        let plain = format!("{text}\n{}", self.plain());
        self.data.insert(TEXT.into(), plain);
        self
    }

    /// The data by MIME type: text verbatim, binary formats in base64. `text/plain` is always present.
    #[must_use]
    pub fn data(&self) -> &BTreeMap<String, String> {
        &self.data
    }

    /// The metadata by MIME type: for a picture its `width` and `height` in CSS pixels and its `alt`.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The plain text of this output.
    #[must_use]
    pub fn plain(&self) -> &str {
        &self.data[TEXT]
    }

    /// The PNG file, if this output has a picture.
    #[must_use]
    pub fn png_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.data.get(PNG)?).ok()
    }

    /// Returns `{"data": .., "metadata": ..}`, the content of Jupyter's `display_data` message.
    #[must_use]
    pub fn to_json(&self) -> Value {
        // JSON is an object in a message, and not its text.
        let value = |(mime, text): (&String, &String)| {
            let json = mime.ends_with("+json").then(|| serde_json::from_str(text).ok()).flatten();
            (mime.clone(), json.unwrap_or_else(|| Value::from(text.as_str())))
        };
        let data: serde_json::Map<String, Value> = self.data.iter().map(value).collect();
        json!({ "data": data, "metadata": self.metadata })
    }

    /// Returns this output as HTML: its HTML, else its picture as an `<img>`, else its text.
    pub(crate) fn to_html(&self) -> String {
        if let Some(html) = self.data.get(HTML) {
            return html.clone();
        }
        let Some(png) = self.data.get(PNG) else {
            return format!("<pre>{}</pre>", escape(self.plain()));
        };
        let about = &self.metadata[PNG];
        let width = about["width"].as_u64().unwrap_or_default();
        // On a phone a wide figure is scrolled rather than shrunk until its text is illegible.
        let min_width = if width > 300 { format!("min-width:{}px;", (width * 3 / 4).max(300)) } else { String::new() };
        format!(
            r#"<img src="data:image/png;base64,{png}" width="{width}" alt="{}" style="max-width:100%;{min_width}height:auto">"#,
            escape(about["alt"].as_str().unwrap_or_default()),
        )
    }
}

/// Escapes text for HTML, in an element or in a quoted attribute.
#[must_use]
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
