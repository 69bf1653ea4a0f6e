//! Live protocol v1: what the library asks the kernel to show while a cell runs.
//!
//! The library writes one line to stdout, `<nonce> <json>\n`. The nonce is the kernel's secret of this session, handed over in
//! [`NONCE_VAR`], so that printed text is never taken for a picture.

use crate::cell::Cell;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The environment variable that carries the nonce to the library.
pub const NONCE_VAR: &str = "METAMERS_LIVE";

/// One request of the library.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Frame {
    /// Show something new.
    DisplayData(Bundle),
    /// Replace what was shown under a display id.
    UpdateDisplayData(Bundle),
    /// Show something at the place of this name in the current cell: new the first time in a cell, replaced afterwards.
    /// The same name in another cell is another place.
    Place(Bundle),
    /// Remove the cell's outputs, at once or when the next one arrives.
    ClearOutput {
        /// Whether to wait for the next output.
        #[serde(default)]
        wait: bool,
    },
    /// Whether the code that runs now ends by itself after an interrupt.
    Listening {
        /// It does.
        on: bool,
    },
}

/// What is shown: one representation for each MIME type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Bundle {
    /// The representations by MIME type.
    pub data: Map<String, Value>,
    /// Sizes and the like, by MIME type.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
    /// The name under which it can be replaced.
    #[serde(default)]
    pub display_id: Option<String>,
}

impl Bundle {
    fn content(self) -> Value {
        let mut transient = Map::new();
        if let Some(id) = self.display_id {
            transient.insert("display_id".into(), id.into());
        }
        json!({ "data": self.data, "metadata": self.metadata.unwrap_or_default(), "transient": transient })
    }
}

impl Frame {
    /// Reads the JSON part of a frame.
    pub fn parse(json: &str) -> Option<Frame> {
        serde_json::from_str(json).ok()
    }

    /// The IOPub message that shows this frame in a cell, as type and content; none for a frame that shows nothing.
    pub fn message(self, cell: &mut Cell) -> Option<(&'static str, Value)> {
        match self {
            Frame::DisplayData(bundle) => Some(("display_data", bundle.content())),
            Frame::UpdateDisplayData(bundle) => Some(("update_display_data", bundle.content())),
            Frame::Place(bundle) => {
                let (known, id) = cell.place(bundle.display_id.as_deref().unwrap_or_default());
                let kind = if known { "update_display_data" } else { "display_data" };
                Some((kind, Bundle { display_id: Some(id), ..bundle }.content()))
            }
            Frame::ClearOutput { wait } => Some(("clear_output", json!({ "wait": wait }))),
            Frame::Listening { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_data_metadata_and_display_id() {
        let frame = Frame::parse(
            r#"{"op":"display_data","data":{"image/png":"iVBO","text/plain":"a picture"},
                "metadata":{"image/png":{"width":224}},"display_id":"run-1","wait":false}"#,
        );
        let (kind, content) = frame.unwrap().message(&mut Cell::default()).unwrap();
        assert_eq!(kind, "display_data");
        assert_eq!(content["data"]["image/png"], "iVBO");
        assert_eq!(content["metadata"]["image/png"]["width"], 224);
        assert_eq!(content["transient"]["display_id"], "run-1");
    }

    #[test]
    fn a_frame_without_an_id_or_metadata_has_empty_ones() {
        let frame = r#"{"op":"display_data","data":{"text/plain":"x"},"metadata":null,"display_id":null,"wait":false}"#;
        let (_, content) = Frame::parse(frame).unwrap().message(&mut Cell::default()).unwrap();
        assert_eq!(content["metadata"], json!({}));
        assert_eq!(content["transient"], json!({}));
    }

    #[test]
    fn clear_and_listening_need_only_what_they_mean() {
        assert_eq!(Frame::parse(r#"{"op":"clear_output","wait":true}"#), Some(Frame::ClearOutput { wait: true }));
        let full = r#"{"op":"clear_output","data":{},"metadata":{},"display_id":null,"wait":false}"#;
        assert_eq!(Frame::parse(full), Some(Frame::ClearOutput { wait: false }));
        assert_eq!(Frame::parse(r#"{"op":"listening","on":true}"#), Some(Frame::Listening { on: true }));
    }

    #[test]
    fn a_place_is_new_once_in_each_cell() {
        let mut cell = Cell::default();
        let show = |cell: &mut Cell| {
            let frame = Frame::parse(r#"{"op":"place","data":{"text/plain":"x"},"display_id":"run"}"#).unwrap();
            let (kind, content) = frame.message(cell).unwrap();
            (kind, content["transient"]["display_id"].as_str().unwrap().to_owned())
        };
        cell.begin();
        let (first, again) = (show(&mut cell), show(&mut cell));
        assert_eq!((first.0, again.0), ("display_data", "update_display_data"));
        assert_eq!(first.1, again.1);
        cell.begin();
        let next = show(&mut cell);
        assert_eq!(next.0, "display_data");
        assert_ne!(next.1, first.1, "an update must not reach back into an earlier cell");
    }

    #[test]
    fn what_is_no_frame_is_none() {
        for text in ["", "{", "[]", "null", r#"{"op":"format_disk"}"#, r#"{"op":"display_data"}"#] {
            assert_eq!(Frame::parse(text), None, "{text}");
        }
    }
}
