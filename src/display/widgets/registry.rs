//! The widgets that the front end knows, and the messages between both.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use serde_json::{Map, Value, json};

use super::channel::{Channel, lock};
use super::frame::Frame;
use super::protocol::CONTROL_TARGET;
use super::widget::{Event, Widget};

fn widgets() -> &'static Mutex<BTreeMap<String, Widget>> {
    static WIDGETS: OnceLock<Mutex<BTreeMap<String, Widget>>> = OnceLock::new();
    WIDGETS.get_or_init(Mutex::default)
}

/// Keeps a widget until the front end closes it.
pub(super) fn add(widget: &Widget) {
    lock(widgets()).insert(widget.id().to_owned(), widget.clone());
}

/// Handles a message of the front end.
pub(super) fn handle(channel: &Channel, frame: &Frame) {
    let header = &frame.header;
    let comm_id = header["comm_id"].as_str().unwrap_or_default();
    let data = &header["data"];
    match header["op"].as_str() {
        // Widgets are made here and never by a front end.
        Some("open") if header["target_name"] != CONTROL_TARGET => {
            channel.send("close", comm_id, json!({}), Vec::new())
        }
        Some("close") => {
            let closed = lock(widgets()).remove(comm_id);
            if let Some(widget) = closed {
                widget.forget();
            }
        }
        Some("msg") => {
            let widget = lock(widgets()).get(comm_id).cloned();
            match widget {
                Some(widget) => handle_message(channel, &widget, data),
                None if data["method"] == "request_states" => send_states(channel, comm_id),
                None => {}
            }
        }
        _ => {}
    }
}

fn handle_message(channel: &Channel, widget: &Widget, data: &Value) {
    match data["method"].as_str() {
        Some("update") => {
            let empty = Map::new();
            let accepted = widget.apply(data["state"].as_object().unwrap_or(&empty));
            if accepted.is_empty() {
                return;
            }
            let names: Vec<String> = accepted.keys().cloned().collect();
            // Several front ends may show one widget; the echo tells them the order of their changes.
            let echo = json!({ "method": "echo_update", "state": accepted, "buffer_paths": [] });
            channel.send("msg", widget.id(), echo, Vec::new());
            widget.dispatch(&Event::Changed(&names));
        }
        Some("request_state") => {
            let state = widget.state();
            let (paths, buffers) = state.buffers(&[]);
            let update = json!({ "method": "update", "state": state.values, "buffer_paths": paths });
            channel.send("msg", widget.id(), update, buffers);
        }
        Some("custom") => widget.dispatch(&Event::Custom(&data["content"])),
        _ => {}
    }
}

/// Sends all widgets to a front end that has just loaded the page.
fn send_states(channel: &Channel, comm_id: &str) {
    let all: Vec<Widget> = lock(widgets()).values().cloned().collect();
    let (mut states, mut paths, mut buffers) = (Map::new(), Vec::new(), Vec::new());
    for widget in all {
        let state = widget.state();
        let (own_paths, own_buffers) = state.buffers(&[widget.id(), "state"]);
        paths.extend(own_paths);
        buffers.extend(own_buffers);
        states.insert(widget.id().to_owned(), widget.class().entry(state.values));
    }
    let data = json!({ "method": "update_states", "states": states, "buffer_paths": paths });
    channel.send("msg", comm_id, data, buffers);
}
