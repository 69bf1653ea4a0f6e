//! Export to files: HTML pages, PNG pictures and plain text.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage, imageops};

use super::MimeBundle;
use super::mime::escape;
use crate::{Error, Result};

/// Maximum number of pixels of several pictures in one file; as bytes they take 3 GB.
const MAX_PIXELS: u64 = 1 << 30;

/// Content security policy of a page, which runs no script, loads nothing and sends nothing.
const POLICY: &str = "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// Writes `bundles` to `path`; the extension selects the format.
pub(crate) fn export(bundles: &[MimeBundle], path: &Path) -> Result<()> {
    let bytes = match crate::fs::extension::lowercase_extension(path).as_str() {
        "html" | "htm" => page(bundles, &title(bundles, path)).into_bytes(),
        "png" => picture(bundles, path)?,
        "txt" => text(bundles).into_bytes(),
        _ => {
            let reason = "`export` writes .html (a page), .png (a picture) or .txt (text); \
                          to write an object in its own file format, call `save`";
            return Err(Error::file(path, reason));
        }
    };
    crate::fs::atomic::write(path, &bytes)
}

fn title(bundles: &[MimeBundle], path: &Path) -> String {
    let line = bundles.iter().flat_map(|bundle| bundle.plain().lines()).map(str::trim).find(|line| !line.is_empty());
    match line {
        Some(line) => line.chars().take(120).collect(),
        None => path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
    }
}

fn text(bundles: &[MimeBundle]) -> String {
    bundles.iter().map(|bundle| format!("{}\n", bundle.plain())).collect()
}

/// The bundle as HTML that runs no script: a frame whose document has one is dead under the policy, and gives way to its picture or text.
fn still_html(bundle: &MimeBundle) -> String {
    let html = bundle.to_html();
    let has_script = html.contains("<iframe ") && html.contains("&lt;script");
    if has_script { bundle.without_html().to_html() } else { html }
}

/// Formats a self-contained page, with the white background of the pictures and no wider than the screen.
fn page(bundles: &[MimeBundle], title: &str) -> String {
    let body: String =
        bundles.iter().map(|bundle| format!("<section>\n{}\n</section>\n", still_html(bundle))).collect();
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{}</title>
<style>
body {{ margin: 1.5rem auto; padding: 0 1rem; max-width: 60rem; background: #fff; color: #222; font: 1rem/1.5 system-ui, sans-serif; }}
section {{ margin: 0 0 1.5rem; overflow-x: auto; }}
img {{ max-width: 100%; height: auto; }}
audio {{ max-width: 100%; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding-bottom: 0.4rem; }}
th, td {{ padding: 0.25rem 0.75rem; border-bottom: 1px solid #ddd; }}
thead th {{ border-bottom: 2px solid #888; }}
[align=right] {{ white-space: nowrap; }}
</style>
</head>
<body>
{body}</body>
</html>
"#,
        escape(title)
    )
}

/// Returns the pictures of `bundles` as one PNG file, stacked vertically.
fn picture(bundles: &[MimeBundle], path: &Path) -> Result<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = bundles.iter().filter_map(MimeBundle::png_bytes).collect();
    if files.is_empty() {
        return Err(Error::file(path, "there is no picture to export; use .html or .txt"));
    }
    if files.len() == 1 {
        return Ok(files.swap_remove(0));
    }
    let unreadable = |reason: image::ImageError| Error::file(path, reason);
    let pictures = files
        .iter()
        .map(|file| Ok(image::load_from_memory_with_format(file, ImageFormat::Png)?.to_rgb8()))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let width = pictures.iter().map(RgbImage::width).max().unwrap_or(1);
    let all: u64 = pictures.iter().map(|picture| u64::from(picture.height())).sum();
    let height = match u32::try_from(all) {
        Ok(height) if u64::from(width) * all <= MAX_PIXELS => height,
        _ => {
            let reason = format!("the pictures have {width} x {all} pixels together, above {MAX_PIXELS}; use .html");
            return Err(Error::file(path, reason));
        }
    };
    let mut sheet = RgbImage::from_pixel(width, height, Rgb([255; 3]));
    let mut top = 0;
    for picture in &pictures {
        imageops::replace(&mut sheet, picture, 0, top);
        top += i64::from(picture.height());
    }
    let mut file = Cursor::new(Vec::new());
    sheet.write_to(&mut file, ImageFormat::Png).map_err(unreadable)?;
    Ok(file.into_inner())
}

/// Replaces each `{{name}}` in a template; inserted text is not searched again.
pub(crate) fn fill_template(template: &str, parts: &[(&str, String)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        page += parts.iter().find(|part| part.0 == name).map_or("", |part| &part.1);
        page += rest;
    }
    page
}
