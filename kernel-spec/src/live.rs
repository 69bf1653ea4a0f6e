//! Live protocol v1: display requests of the library while a cell runs.
//!
//! The library writes one line to stdout, `<nonce> <json>\n`. The nonce is a secret of the session, passed in [`NONCE_VAR`], so that
//! printed text cannot be mistaken for a frame.

use crate::cell::Cell;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Environment variable that carries the nonce to the library.
pub const NONCE_VAR: &str = "METAMERS_LIVE";

/// A display request from the library.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Frame {
    /// Creates an output.
    DisplayData(MimeBundle),
    /// Updates the output with this display id.
    UpdateDisplayData(MimeBundle),
    /// Fills a display slot of the current cell: creates an output the first time, updates it afterwards. The same name in another cell
    /// is another slot.
    Place(MimeBundle),
    /// Clears the cell's outputs, immediately or when the next one arrives.
    ClearOutput {
        /// True to wait for the next output.
        #[serde(default)]
        wait: bool,
    },
    /// Declares that the running code returns, or no longer returns, by itself after SIGINT.
    Listening {
        /// True if it returns by itself.
        on: bool,
    },
}

/// A MIME bundle: one representation for each MIME type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MimeBundle {
    /// The representations by MIME type.
    pub data: Map<String, Value>,
    /// Metadata by MIME type, such as width and height.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
    /// Name under which the output can be updated.
    #[serde(default)]
    pub display_id: Option<String>,
}

impl MimeBundle {
    fn into_content(self) -> Value {
        let mut transient = Map::new();
        if let Some(id) = self.display_id {
            transient.insert("display_id".into(), id.into());
        }
        json!({ "data": self.data, "metadata": self.metadata.unwrap_or_default(), "transient": transient })
    }
}

impl Frame {
    /// Parses the JSON part of a frame.
    #[must_use]
    pub fn parse(json: &str) -> Option<Frame> {
        serde_json::from_str(json).ok()
    }

    /// Converts the frame to an IOPub message, as type and content; `None` if it has no output.
    pub fn into_message(self, cell: &mut Cell) -> Option<(&'static str, Value)> {
        match self {
            Frame::DisplayData(bundle) => Some(("display_data", bundle.into_content())),
            Frame::UpdateDisplayData(bundle) => Some(("update_display_data", bundle.into_content())),
            Frame::Place(bundle) => {
                let (filled, id) = cell.display_slot(bundle.display_id.as_deref().unwrap_or_default());
                let kind = if filled { "update_display_data" } else { "display_data" };
                Some((kind, MimeBundle { display_id: Some(id), ..bundle }.into_content()))
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
    fn an_image_keeps_its_data_metadata_and_display_id() {
        let frame = Frame::parse(
            r#"{"op":"display_data","data":{"image/png":"iVBO","text/plain":"a picture"},
                "metadata":{"image/png":{"width":224}},"display_id":"run-1","wait":false}"#,
        );
        let (kind, content) = frame.unwrap().into_message(&mut Cell::default()).unwrap();
        assert_eq!(kind, "display_data");
        assert_eq!(content["data"]["image/png"], "iVBO");
        assert_eq!(content["metadata"]["image/png"]["width"], 224);
        assert_eq!(content["transient"]["display_id"], "run-1");
    }

    #[test]
    fn a_frame_without_an_id_or_metadata_has_empty_ones() {
        let frame = r#"{"op":"display_data","data":{"text/plain":"x"},"metadata":null,"display_id":null,"wait":false}"#;
        let (_, content) = Frame::parse(frame).unwrap().into_message(&mut Cell::default()).unwrap();
        assert_eq!(content["metadata"], json!({}));
        assert_eq!(content["transient"], json!({}));
    }

    #[test]
    fn clear_output_and_listening_need_only_their_own_fields() {
        assert_eq!(Frame::parse(r#"{"op":"clear_output","wait":true}"#), Some(Frame::ClearOutput { wait: true }));
        let full = r#"{"op":"clear_output","data":{},"metadata":{},"display_id":null,"wait":false}"#;
        assert_eq!(Frame::parse(full), Some(Frame::ClearOutput { wait: false }));
        assert_eq!(Frame::parse(r#"{"op":"listening","on":true}"#), Some(Frame::Listening { on: true }));
    }

    #[test]
    fn a_display_slot_is_created_once_in_each_cell() {
        let mut cell = Cell::default();
        let show = |cell: &mut Cell| {
            let frame = Frame::parse(r#"{"op":"place","data":{"text/plain":"x"},"display_id":"run"}"#).unwrap();
            let (kind, content) = frame.into_message(cell).unwrap();
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
    fn invalid_frames_are_rejected() {
        for text in ["", "{", "[]", "null", r#"{"op":"format_disk"}"#, r#"{"op":"display_data"}"#] {
            assert_eq!(Frame::parse(text), None, "{text}");
        }
    }
}
