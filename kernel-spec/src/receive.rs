//! Receiving of messages; optional fields that a client omits get the protocol's default values.

use crate::recent_signatures::RecentSignatures;
use crate::sync::lock;
use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection, RuntimeError};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Mutex;
use zeromq::{SocketRecv, ZmqError};

/// The part between a message's identities and its signature.
const DELIMITER: &[u8] = b"<IDS|MSG>";

/// Failure to receive a message.
#[derive(Debug)]
pub enum ReceiveError {
    /// The connection failed.
    Connection(ZmqError),
    /// The message is incomplete or its signature is wrong.
    Signature(RuntimeError),
    /// A message with this signature was received before.
    Replayed,
    /// A part of the message is not the JSON that the protocol requires.
    Json(serde_json::Error),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReceiveError::Connection(error) => write!(f, "connection failed: {error}"),
            ReceiveError::Signature(error) => write!(f, "incomplete message or wrong signature: {error}"),
            ReceiveError::Replayed => write!(f, "the same signed message was received before"),
            ReceiveError::Json(error) => write!(f, "invalid message: {error}"),
        }
    }
}

impl std::error::Error for ReceiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReceiveError::Connection(error) => Some(error),
            ReceiveError::Signature(error) => Some(error),
            ReceiveError::Replayed => None,
            ReceiveError::Json(error) => Some(error),
        }
    }
}

/// Receives the next message, and refuses one whose signature is among the recent ones.
pub async fn receive(
    connection: &mut RouterRecvConnection,
    recent: &Mutex<RecentSignatures>,
) -> Result<JupyterMessage, ReceiveError> {
    let parts = connection.socket.recv().await.map_err(ReceiveError::Connection)?;
    let signature = parts.iter().skip_while(|part| &part[..] != DELIMITER).nth(1).map(|part| part.to_vec());
    let raw = RawMessage::from_multipart(parts, &connection.mac).map_err(ReceiveError::Signature)?;
    if connection.mac.is_some() && !lock(recent).insert(signature.unwrap_or_default()) {
        return Err(ReceiveError::Replayed);
    }
    parse(raw).map_err(ReceiveError::Json)
}

/// Parses a message whose frames hold any bytes.
pub fn parse(raw: RawMessage) -> serde_json::Result<JupyterMessage> {
    let header: jupyter_protocol::Header = serde_json::from_slice(&raw.jparts[0])?;
    let mut content: Value = serde_json::from_slice(&raw.jparts[3])?;
    fill_defaults(&header.msg_type, &mut content);
    let content =
        JupyterMessageContent::from_type_and_content(&header.msg_type, content.clone()).unwrap_or_else(|_| {
            // A request with invalid content still gets a reply.
            JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: header.msg_type.clone(), content })
        });
    Ok(JupyterMessage {
        zmq_identities: raw.zmq_identities,
        header,
        // An empty object if there is no parent.
        parent_header: serde_json::from_slice(&raw.jparts[1]).ok(),
        metadata: serde_json::from_slice(&raw.jparts[2])?,
        content,
        buffers: raw.jparts[4..].to_vec(),
        channel: None,
    })
}

/// Sets the fields that the client omitted.
fn fill_defaults(kind: &str, content: &mut Value) {
    let defaults = match kind {
        "execute_request" => json!({
            "silent": false, "store_history": true, "user_expressions": {}, "allow_stdin": true, "stop_on_error": true,
        }),
        "inspect_request" => json!({ "detail_level": 0 }),
        "history_request" => json!({
            "output": false, "raw": true, "hist_access_type": "tail", "session": 0, "start": 0, "stop": i32::MAX, "n": i32::MAX,
            "pattern": "*", "unique": false,
        }),
        _ => return,
    };
    let (Some(content), Value::Object(defaults)) = (content.as_object_mut(), defaults) else { return };
    for (name, value) in defaults {
        let field = content.entry(name).or_insert(Value::Null);
        if field.is_null() {
            *field = value;
        }
    }
}

#[cfg(test)]
#[path = "../../fuzz/src/damage.rs"]
mod damage;

#[cfg(test)]
mod tests {
    use super::damage::damaged;
    use super::*;
    use jupyter_protocol::HistoryRequest;

    fn parsed(kind: &str, content: Value) -> JupyterMessageContent {
        let header = json!({ "msg_id": "1", "username": "", "session": "s", "date": "2026-01-01T00:00:00Z", "msg_type": kind, "version": "5.4" });
        let parts = [header, json!({}), json!({}), content];
        let jparts = parts.iter().map(|part| serde_json::to_vec(part).unwrap().into()).collect();
        parse(RawMessage { zmq_identities: Vec::new(), jparts }).unwrap().content
    }

    #[test]
    fn omitted_fields_get_the_protocols_defaults() {
        let search = json!({ "hist_access_type": "search", "pattern": "a*" });
        let JupyterMessageContent::HistoryRequest(HistoryRequest::Search { n, unique, .. }) =
            parsed("history_request", search)
        else {
            panic!("a search");
        };
        assert_eq!((n, unique), (i32::MAX, false));
        let JupyterMessageContent::ExecuteRequest(request) = parsed("execute_request", json!({ "code": "1" })) else {
            panic!("a cell");
        };
        assert!(request.store_history && request.stop_on_error && !request.silent);
    }

    /// The frames of messages, one a request.
    fn requests() -> Vec<Vec<Vec<u8>>> {
        let contents = [
            ("kernel_info_request", json!({})),
            ("execute_request", json!({ "code": "1 + 1", "silent": false, "user_expressions": { "a": "b" } })),
            ("complete_request", json!({ "code": "pri", "cursor_pos": 3 })),
            ("inspect_request", json!({ "code": "println", "cursor_pos": 7, "detail_level": 1 })),
            ("history_request", json!({ "hist_access_type": "range", "session": 0, "start": 1, "stop": 9 })),
            ("is_complete_request", json!({ "code": "fn main() {" })),
            (
                "comm_open",
                json!({ "comm_id": "c", "target_name": "jupyter.widget", "data": { "state": { "value": 3 } } }),
            ),
            ("comm_msg", json!({ "comm_id": "c", "data": { "method": "update", "state": { "value": 4 } } })),
            ("shutdown_request", json!({ "restart": true })),
            ("input_reply", json!({ "value": "yes", "status": "ok" })),
        ];
        let frames = |(kind, content): (&str, Value)| {
            let header = json!({ "msg_id": "1", "username": "", "session": "s", "date": "2026-01-01T00:00:00Z", "msg_type": kind, "version": "5.4" });
            let parts = [header, json!({}), json!({}), content];
            let mut frames = vec![b"identity".to_vec(), DELIMITER.to_vec(), Vec::new()];
            frames.extend(parts.iter().map(|part| serde_json::to_vec(part).unwrap()));
            frames.push(vec![0; 16]);
            frames
        };
        contents.into_iter().map(frames).collect()
    }

    fn read_unsigned(frames: &[Vec<u8>]) -> bool {
        let mut message = zeromq::ZmqMessage::from(frames[0].clone());
        frames[1..].iter().for_each(|frame| message.push_back(frame.clone().into()));
        RawMessage::from_multipart(message, &None).is_ok_and(|raw| parse(raw).is_ok())
    }

    #[test]
    fn damaged_messages_end_nothing() {
        let requests = requests();
        assert!(requests.iter().all(|frames| read_unsigned(frames)), "undamaged ones are accepted");
        let mut state = 7u64;
        // xorshift64*, so that the inputs are the same on every machine.
        let mut below = |n: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
        };
        let mut accepted = 0;
        for _ in 0..20_000 {
            let mut frames = requests[below(requests.len())].clone();
            match below(8) {
                0 => drop(frames.remove(below(frames.len()))),
                1 => frames.insert(below(frames.len()), DELIMITER.to_vec()),
                _ => {
                    let (at, other) = (below(frames.len()), below(requests.len()));
                    let part = requests[other][below(requests[other].len())].clone();
                    frames[at] = damaged(&frames[at], &part, &mut below);
                }
            }
            accepted += usize::from(read_unsigned(&frames));
        }
        // Damage to an identity, a buffer or the content of a request leaves a message.
        assert!((1_000..19_000).contains(&accepted), "{accepted} of 20,000 are messages");
    }

    #[test]
    fn given_fields_are_kept_and_invalid_content_is_still_a_message() {
        let tail = json!({ "hist_access_type": "tail", "n": 3, "output": true, "session": null });
        let JupyterMessageContent::HistoryRequest(HistoryRequest::Tail { n, output, .. }) =
            parsed("history_request", tail)
        else {
            panic!("a tail");
        };
        assert_eq!((n, output), (3, true));
        assert!(matches!(parsed("execute_request", json!({ "code": 7 })), JupyterMessageContent::UnknownMessage(_)));
    }
}
