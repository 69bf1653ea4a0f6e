//! The committed notebooks are executed and small, and their outputs are accessible.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hound::WavReader;
use serde_json::Value;

/// The maximum size of a notebook, for loading times and for reviews.
const MAX_BYTES: usize = 3_000_000;

fn notebooks() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("notebooks");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        // Notebooks left behind by a failed run are not part of the course.
        .filter(|(name, _)| name.ends_with(".ipynb") && !name.ends_with(".failed.ipynb"))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    found.sort();
    assert!(found.len() >= 2, "{} notebooks", found.len());
    found
}

/// A value that a notebook stores as one string or as a list of lines.
fn text(value: &Value) -> String {
    match value {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn code_cells(notebook: &[u8]) -> Vec<Value> {
    let notebook: Value = serde_json::from_slice(notebook).unwrap();
    let cells = notebook["cells"].as_array().unwrap().clone();
    cells.into_iter().filter(|cell| cell["cell_type"] == "code").collect()
}

#[test]
fn every_notebook_is_below_three_megabytes() {
    for (name, bytes) in notebooks() {
        assert!(bytes.len() < MAX_BYTES, "{name} has {} bytes", bytes.len());
    }
}

#[test]
fn every_cell_was_executed_in_order_without_an_error() {
    for (name, bytes) in notebooks() {
        for (index, cell) in code_cells(&bytes).iter().enumerate() {
            assert_eq!(cell["execution_count"], index + 1, "{name}: {}", text(&cell["source"]));
            for output in cell["outputs"].as_array().unwrap() {
                assert_ne!(output["output_type"], "error", "{name}: {}", text(&cell["source"]));
            }
        }
    }
}

#[test]
fn every_image_decodes_and_has_a_size_an_alt_text_and_plain_text() {
    let mut images = 0;
    for (name, bytes) in notebooks() {
        for cell in code_cells(&bytes) {
            for output in cell["outputs"].as_array().unwrap() {
                let Some(png) = output["data"].get("image/png") else { continue };
                let png = STANDARD.decode(text(png).replace('\n', "")).unwrap();
                let image = image::load_from_memory(&png).unwrap_or_else(|e| panic!("{name}: {e}"));
                let metadata = &output["metadata"]["image/png"];
                let [width, height] = ["width", "height"].map(|side| metadata[side].as_u64().unwrap_or(0) as u32);
                let (across, down) = (image.width(), image.height());
                assert!(width > 0 && across >= width && width <= 900, "{name}: shown {width} wide");
                assert!(height > 0 && down >= height, "{name}: shown {height} high");
                // The aspect ratio is preserved to a pixel.
                let fitting = f64::from(down) * f64::from(width) / f64::from(across);
                assert!((fitting - f64::from(height)).abs() <= 1.0, "{name}: {across} x {down} as {width} x {height}");
                assert!(!text(&metadata["alt"]).is_empty(), "{name}: no alt text after {}", text(&cell["source"]));
                assert!(!text(&output["data"]["text/plain"]).is_empty(), "{name}: no text");
                // HTML is shown instead of the image, so it must have a picture itself.
                let html = output["data"].get("text/html");
                assert!(html.is_none_or(|html| text(html).contains("<img ")), "{name}: HTML would hide the image");
                images += 1;
            }
        }
    }
    assert!(images >= 8, "{images} images");
}

/// Returns the text of HTML after a sanitizer such as GitHub's has removed active content.
fn visible_text(html: &str) -> String {
    const WHOLE: [&str; 8] = ["style", "script", "audio", "video", "iframe", "object", "svg", "canvas"];
    let mut html = html.to_owned();
    for tag in WHOLE {
        while let Some(begin) = html.find(&format!("<{tag}")) {
            let close = format!("</{tag}>");
            let end = html[begin..].find(&close).map_or(html.len(), |at| begin + at + close.len());
            html.replace_range(begin..end, "");
        }
    }
    let texts = html
        .split('<')
        .enumerate()
        .map(|(i, piece)| if i == 0 { piece } else { piece.split_once('>').map_or("", |p| p.1) });
    texts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether text has content and is not a placeholder such as `<IPython.core.display.HTML object>`.
fn has_content(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphanumeric()).count();
    letters >= 3 && !(text.trim().starts_with('<') && text.trim().ends_with('>'))
}

/// Returns the reason why this output would be invisible on GitHub.
fn invisibility_reason(output: &Value) -> Option<String> {
    if output["output_type"] == "stream" {
        return None;
    }
    let data = &output["data"];
    let get = |mime: &str| data.get(mime).map(text);
    // A removed progress line leaves an empty output.
    if data.as_object().is_some_and(|forms| forms.len() == 1) && get("text/plain").is_some_and(|text| text.is_empty()) {
        return None;
    }
    if !["text/plain", "text/markdown"].iter().filter_map(|mime| get(mime)).any(|text| has_content(&text)) {
        return Some(format!("there is no text besides {:?}", data.as_object().map(|d| d.keys().collect::<Vec<_>>())));
    }
    // GitHub shows sanitized HTML instead of the text.
    let html = get("text/html")?;
    (!has_content(&visible_text(&html))).then(|| format!("its HTML has no visible text: {:.80}", html))
}

#[test]
fn every_output_has_visible_text_after_html_sanitizing() {
    for (name, bytes) in notebooks() {
        for cell in code_cells(&bytes) {
            for output in cell["outputs"].as_array().unwrap() {
                if let Some(reason) = invisibility_reason(output) {
                    panic!("{name}: {reason} after {}", text(&cell["source"]));
                }
            }
        }
    }
}

#[test]
fn outputs_without_visible_text_are_detected() {
    let output = |data: Value| serde_json::json!({ "output_type": "display_data", "data": data });
    let player = "<style>p { margin: 0 }</style><audio controls src=\"data:,\">no players here</audio>";
    let frame = "<iframe srcdoc=\"&lt;p&gt;a page&lt;/p&gt;\"></iframe>";
    for html in [player, frame, "<script>draw()</script>", "<div></div>"] {
        assert!(
            invisibility_reason(&output(serde_json::json!({ "text/html": html, "text/plain": "a sound" }))).is_some(),
            "{html}"
        );
    }
    assert!(
        invisibility_reason(&output(serde_json::json!({ "text/html": "<table><tr><td>42 stages</td></tr></table>" })))
            .is_some()
    );
    let stand_in =
        serde_json::json!({ "text/html": "<p>a page</p>", "text/plain": "<IPython.core.display.HTML object>" });
    assert!(invisibility_reason(&output(stand_in)).is_some());
    let named = serde_json::json!({ "text/html": format!("<div>seven</div>{player}"), "text/plain": "sound: seven" });
    assert_eq!(invisibility_reason(&output(named)), None);
    assert_eq!(invisibility_reason(&output(serde_json::json!({ "image/png": "AAAA", "text/plain": "a dog" }))), None);
}

#[test]
fn every_player_holds_an_audible_sound() {
    const SOURCE: &str = "src=\"data:audio/wav;base64,";
    let mut players = 0;
    for (name, bytes) in notebooks() {
        for cell in code_cells(&bytes) {
            for output in cell["outputs"].as_array().unwrap() {
                let html = text(&output["data"]["text/html"]);
                let found: Vec<&str> = html.split("<audio ").skip(1).collect();
                for player in &found {
                    let sound =
                        player.split_once(SOURCE).unwrap_or_else(|| panic!("{name}: a player without sound data")).1;
                    let sound = STANDARD.decode(sound.split('"').next().unwrap()).unwrap();
                    let mut sound = WavReader::new(sound.as_slice()).unwrap_or_else(|e| panic!("{name}: {e}"));
                    let spec = sound.spec();
                    assert_eq!((spec.channels, spec.bits_per_sample), (1, 16), "{name}");
                    let stated = sound.duration();
                    let seconds = f64::from(stated) / f64::from(spec.sample_rate);
                    assert!(seconds > 0.2, "{name}: a sound of {seconds} s");
                    let samples: Vec<i16> = sound.samples().collect::<Result<_, _>>().unwrap();
                    assert_eq!(samples.len(), stated as usize, "{name}: truncated");
                    let peak = samples.iter().map(|&v| f64::from(v).abs() / 32_767.0).fold(0.0, f64::max);
                    assert!(peak > 0.0 && peak <= 1.0, "{name}: a sound with a peak of {peak}");
                }
                players += found.len();
            }
        }
    }
    assert!(players >= 4, "{players} players");
}
