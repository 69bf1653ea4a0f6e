//! Messages as they come: fields that the protocol lets a client leave out get the values that it gives them.

use jupyter_protocol::{JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection};
use serde_json::{Value, json};
use zeromq::SocketRecv;

/// Why there is no message.
pub enum Trouble {
    /// The connection failed.
    Connection(String),
    /// What came is not believed, or not understood.
    Message(String),
}

/// Waits for the next message.
pub async fn next(connection: &mut RouterRecvConnection) -> Result<JupyterMessage, Trouble> {
    let parts = connection.socket.recv().await.map_err(|error| Trouble::Connection(error.to_string()))?;
    let raw = RawMessage::from_multipart(parts, &connection.mac)
        .map_err(|error| Trouble::Message(format!("its signature or its form is wrong ({error})")))?;
    message(raw).map_err(|error| Trouble::Message(error.to_string()))
}

fn message(raw: RawMessage) -> serde_json::Result<JupyterMessage> {
    let header: jupyter_protocol::Header = serde_json::from_slice(&raw.jparts[0])?;
    let mut content: Value = serde_json::from_slice(&raw.jparts[3])?;
    complete(&header.msg_type, &mut content);
    let content =
        JupyterMessageContent::from_type_and_content(&header.msg_type, content.clone()).unwrap_or_else(|_| {
            // Whoever asked gets an answer all the same.
            JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: header.msg_type.clone(), content })
        });
    Ok(JupyterMessage {
        zmq_identities: raw.zmq_identities,
        header,
        // Without a parent it is an empty object.
        parent_header: serde_json::from_slice(&raw.jparts[1]).ok(),
        metadata: serde_json::from_slice(&raw.jparts[2])?,
        content,
        buffers: raw.jparts[4..].to_vec(),
        channel: None,
    })
}

/// Fills in what was left out.
fn complete(kind: &str, content: &mut Value) {
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
        let given = content.entry(name).or_insert(Value::Null);
        if given.is_null() {
            *given = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jupyter_protocol::HistoryRequest;

    fn read(kind: &str, content: Value) -> JupyterMessageContent {
        let header = json!({ "msg_id": "1", "username": "", "session": "s", "date": "2026-01-01T00:00:00Z", "msg_type": kind, "version": "5.4" });
        let parts = [header, json!({}), json!({}), content];
        let jparts = parts.iter().map(|part| serde_json::to_vec(part).unwrap().into()).collect();
        message(RawMessage { zmq_identities: Vec::new(), jparts }).unwrap().content
    }

    #[test]
    fn what_a_client_leaves_out_has_the_protocols_value() {
        let search = json!({ "hist_access_type": "search", "pattern": "a*" });
        let JupyterMessageContent::HistoryRequest(HistoryRequest::Search { n, unique, .. }) =
            read("history_request", search)
        else {
            panic!("a search");
        };
        assert_eq!((n, unique), (i32::MAX, false));
        let JupyterMessageContent::ExecuteRequest(request) = read("execute_request", json!({ "code": "1" })) else {
            panic!("a cell");
        };
        assert!(request.store_history && request.stop_on_error && !request.silent);
    }

    #[test]
    fn what_is_given_is_kept_and_what_is_not_understood_is_still_a_message() {
        let tail = json!({ "hist_access_type": "tail", "n": 3, "output": true, "session": null });
        let JupyterMessageContent::HistoryRequest(HistoryRequest::Tail { n, output, .. }) =
            read("history_request", tail)
        else {
            panic!("a tail");
        };
        assert_eq!((n, output), (3, true));
        assert!(matches!(read("execute_request", json!({ "code": 7 })), JupyterMessageContent::UnknownMessage(_)));
    }
}
