//! Outputs with a script of their own: a document in a frame, above a picture for viewers that remove frames.

use std::io::Cursor;

use base64::{Engine, engine::general_purpose::STANDARD};
use image::codecs::jpeg::JpegEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::html::fill_template;
use super::{Figure, MimeBundle, Raster, escape};

/// Quality of the still picture as JPEG, of 100.
const STILL_QUALITY: u8 = 75;

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; script-src 'sha256-{{script_sha256}}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>{{title}}</title>
<style>
{{style}}
</style>
</head>
<body hidden>
{{body}}
<script type="application/json" id="content">{{content}}</script>
<script>{{script}}</script>
</body>
</html>
"#;

/// Shows the document, which without scripts stays hidden and transparent over the still picture.
const SHOW: &str = r##""use strict";
document.body.hidden = false;
document.documentElement.style.background = "#fff";
"##;

/// Makes the frame as high as its content where the document has the origin of the notebook. In an exported page it has none, and the frame
/// keeps its height.
const FIT: &str = r"
(() => {
    const frame = window.frameElement;
    const fit = () => { frame.style.height = `${document.documentElement.offsetHeight + 8}px`; };
    if (frame) new ResizeObserver(fit).observe(document.documentElement);
})();
";

/// A document that runs in a notebook, in an exported page and without a kernel.
pub(crate) struct ScriptPage<'a> {
    pub title: &'a str,
    pub style: &'a str,
    pub body: &'a str,
    pub script: &'a str,
    /// Height of the frame, in CSS pixels.
    pub height: u32,
}

impl ScriptPage<'_> {
    /// The document with the content that its script reads.
    pub fn document(&self, content: &impl Serialize) -> String {
        // In JSON, `<` occurs only in strings. Escaped, it cannot end the script or start a comment.
        let json = serde_json::to_string(content).unwrap_or_default().replace('<', "\\u003c");
        let script = format!("{SHOW}{}{FIT}", self.script);
        let parts = [
            ("title", escape(self.title)),
            ("style", self.style.into()),
            ("body", self.body.into()),
            ("content", json),
            ("script_sha256", STANDARD.encode(Sha256::digest(&script))),
            ("script", script),
        ];
        fill_template(PAGE, &parts)
    }

    /// The document as an output, with a still picture and a text.
    pub fn bundle(&self, content: &impl Serialize, still: &Figure, text: &str) -> MimeBundle {
        let bundle = still.bundle(text);
        // Both take the same place: where the frame is removed or runs no script, the picture below it is seen.
        let place = "grid-area:1/1";
        let picture = bundle.png_bytes().and_then(|png| image::load_from_memory(&png).ok()).map(|picture| {
            let picture = picture.to_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            // The figure has two pixels for each CSS pixel; the fallback needs one.
            let half =
                Raster::from_rgb(width, height, picture.into_raw()).resized(width.div_ceil(2), height.div_ceil(2));
            let (data, alt) = (jpeg_url(&half, STILL_QUALITY), escape(text));
            format!(r#"<img src="{data}" alt="{alt}" style="{place};max-width:100%;height:auto">"#)
        });
        let html = format!(
            r#"<div style="display:grid;grid-template-columns:minmax(0,1fr);background:#fff">{}<iframe srcdoc="{}" title="{}" style="{place};width:100%;height:{}px;border:0"></iframe></div><p style="margin:4px 0">{}</p>"#,
            picture.unwrap_or_default(),
            escape(&self.document(content)),
            escape(self.title),
            self.height,
            // Seen even where frames and pictures are removed.
            escape(text.lines().next().unwrap_or(self.title))
        );
        bundle.html(html)
    }
}

/// A picture as a data URL of a JPEG file, with a quality from 1 to 100: metamers are noise, which PNG hardly compresses.
pub(crate) fn jpeg_url(picture: &Raster, quality: u8) -> String {
    let mut file = Cursor::new(Vec::new());
    let encoded = JpegEncoder::new_with_quality(&mut file, quality).encode_image(&picture.image());
    // A picture too large for JPEG, above 65,535 pixels, has no place in a page.
    if encoded.is_err() {
        String::new()
    } else {
        format!("data:image/jpeg;base64,{}", STANDARD.encode(file.into_inner()))
    }
}
