"""Tests widgets: messages between a front end and the handlers in the cells' process.

.venv/bin/python kernel-spec/tests/python/test_widgets.py
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import struct
import tempfile
import time
import unittest
import uuid
from contextlib import suppress
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

TIMEOUT = 180
Message = dict[str, Any]
VIEW = "application/vnd.jupyter.widget-view+json"
USE = "use metamers::prelude::widgets::*;\n"


class FrontEnd:
    """The part of a front end that keeps the state of widgets."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self.models: dict[str, dict[str, Any]] = {}
        self.buffers: dict[str, dict[str, bytes]] = {}
        self.echoes: list[tuple[str, dict[str, Any]]] = []
        self.closed: list[str] = []
        self.opened: list[Message] = []
        self.replies: list[Message] = []

    def receive(self, timeout: float = TIMEOUT) -> Message:
        """Receives a message and applies it to the models."""
        message = self.client.get_iopub_msg(timeout=timeout)
        content = message["content"]
        kind, data = message["msg_type"], content.get("data", {})
        if kind == "comm_open":
            self.opened.append(message)
            self.models[content["comm_id"]] = dict(data["state"])
            self.put_buffers(content["comm_id"], message)
        elif kind == "comm_msg" and data["method"] == "update":
            self.models[content["comm_id"]].update(data["state"])
            self.put_buffers(content["comm_id"], message)
        elif kind == "comm_msg" and data["method"] == "echo_update":
            self.echoes.append((content["comm_id"], data["state"]))
        elif kind == "comm_msg":
            self.replies.append(message)
        elif kind == "comm_close":
            self.closed.append(content["comm_id"])
        return message

    def put_buffers(self, comm_id: str, message: Message) -> None:
        for path, buffer in zip(message["content"]["data"]["buffer_paths"], message["buffers"]):
            self.buffers.setdefault(comm_id, {})[path[0]] = bytes(buffer)

    def until_idle(self, request: str) -> list[Message]:
        return self.until("idle", request)

    def until(self, status: str, request: str) -> list[Message]:
        """Receives all messages up to this status of a request; returns those that belong to it."""
        found = []
        while True:
            message = self.receive()
            if message["parent_header"].get("msg_id") != request:
                continue
            found.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == status:
                return found

    def run_cell(self, code: str) -> list[Message]:
        """Runs a cell that must succeed; returns its messages."""
        request = self.client.execute(code)
        messages = self.until_idle(request)
        errors = [m["content"] for m in messages if m["msg_type"] == "error"]
        assert not errors, errors
        return messages

    def send(self, kind: str, content: Message, buffers: list[bytes] | None = None) -> str:
        message = self.client.session.msg(kind, content)
        self.client.session.send(self.client.shell_channel.socket, message, buffers=buffers)
        return message["header"]["msg_id"]

    def update(self, comm_id: str, **state: Any) -> str:
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.send("comm_msg", {"comm_id": comm_id, "data": data})

    def click(self, comm_id: str) -> str:
        data = {"method": "custom", "content": {"event": "click"}}
        return self.send("comm_msg", {"comm_id": comm_id, "data": data})

    def find(self, model: str, **state: Any) -> str:
        """The id of the newest widget of this model with this state."""
        for comm_id, values in reversed(self.models.items()):
            if values["_model_name"] == model and all(values[name] == value for name, value in state.items()):
                return comm_id
        raise AssertionError(f"no {model} with {state}")

    def texts(self) -> list[str]:
        """The values of all HTML widgets."""
        return [model["value"] for model in self.models.values() if model["_model_name"] == "HTMLModel"]


def start() -> tuple[KernelManager, BlockingKernelClient]:
    environment = dict(os.environ, METAMERS_HISTORY="off")
    return start_new_kernel(kernel_name="metamers", startup_timeout=TIMEOUT, env=environment)


class Widgets(unittest.TestCase):
    manager: KernelManager
    client: BlockingKernelClient
    front: FrontEnd

    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start()
        cls.front = FrontEnd(cls.client)
        cls.front.run_cell(USE + "use std::sync::{Arc, Mutex};")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()

    def comms(self, target: str | None = None) -> dict[str, Any]:
        content = {} if target is None else {"target_name": target}
        request = self.front.send("comm_info_request", content)
        while True:
            reply = self.client.get_shell_msg(timeout=TIMEOUT)
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"]["comms"]

    def text_of(self, code: str) -> str:
        messages = self.front.run_cell(code)
        return next(m["content"]["data"]["text/plain"] for m in messages if m["msg_type"] == "execute_result")

    def test_a_widget_opens_before_it_is_shown_and_has_a_still_form(self) -> None:
        messages = self.front.run_cell('let opened = Slider::int("opened", 0..=9); opened')
        kinds = [m["msg_type"] for m in messages]
        self.assertLess(max(i for i, kind in enumerate(kinds) if kind == "comm_open"), kinds.index("display_data"))
        shown = next(m for m in messages if m["msg_type"] == "display_data")["content"]["data"]
        self.assertEqual(shown["text/plain"], "opened: 0 (0 to 9)")
        self.assertTrue(shown["image/png"].startswith("iVBO"))
        root = shown[VIEW]
        self.assertEqual((root["version_major"], root["version_minor"]), (2, 0))
        opening = next(m for m in self.front.opened if m["content"]["comm_id"] == root["model_id"])
        self.assertEqual(opening["content"]["target_name"], "jupyter.widget")
        self.assertEqual(opening["metadata"]["version"], "2.1.0")
        # Each part is known before the widget that refers to it.
        known: set[str] = set()
        for message in messages:
            if message["msg_type"] == "comm_open":
                state = json.dumps(message["content"]["data"]["state"])
                named = {part.split('"')[0] for part in state.split("IPY_MODEL_")[1:]}
                self.assertLessEqual(named, known)
                known.add(message["content"]["comm_id"])
        slider = self.front.models[self.front.find("IntSliderModel", description="opened")]
        self.assertEqual((slider["min"], slider["max"], slider["value"]), (0, 9, 0))
        self.assertIn(root["model_id"], self.comms("jupyter.widget"))
        self.assertEqual(self.comms("another"), {})

    def test_an_update_runs_the_handler_and_is_echoed(self) -> None:
        self.front.run_cell(
            'let follow = Slider::int("leader", 0..=9); let label = Label::new("none");\n'
            '{ let label = label.clone(); follow.on_change(move |value| label.set(&format!("got {value}"))); }\n'
            "VBox::new([follow.widget(), label.widget()])"
        )
        slider = self.front.find("IntSliderModel", description="leader")
        request = self.front.update(slider, value=7)
        messages = self.front.until_idle(request)
        states = [m["content"]["execution_state"] for m in messages if m["msg_type"] == "status"]
        self.assertEqual(states, ["busy", "idle"])
        self.assertIn((slider, {"value": 7}), self.front.echoes)
        self.front.find("LabelModel", value="got 7")
        self.assertEqual(self.text_of("follow.value()"), "7")

    def test_the_program_changes_a_widget_and_a_picture_travels_as_a_buffer(self) -> None:
        self.front.run_cell(
            'let picture = Picture::new(&metamers::display::Raster::from_gray(2, 2, &[0.0; 4]), "black"); picture'
        )
        image = self.front.find("ImageModel", tooltip="black")
        self.assertTrue(self.front.buffers[image]["value"].startswith(b"\x89PNG"))
        before = self.front.buffers[image]["value"]
        self.front.run_cell('picture.set(&metamers::display::Raster::from_gray(2, 2, &[1.0; 4]), "white");')
        self.assertEqual(self.front.models[image]["tooltip"], "white")
        self.assertNotEqual(self.front.buffers[image]["value"], before)

    def test_several_widgets_have_handlers_of_their_own(self) -> None:
        self.front.run_cell(
            'let one = Button::new("one"); let two = Button::new("two");\n'
            "let log = Arc::new(Mutex::new(String::new()));\n"
            "{ let log = log.clone(); one.on_click(move || log.lock().unwrap().push('1')); }\n"
            "{ let log = log.clone(); two.on_click(move || log.lock().unwrap().push('2')); }\n"
            "HBox::new([one.widget(), two.widget()])"
        )
        one, two = (self.front.find("ButtonModel", description=name) for name in ("one", "two"))
        for button in (one, two, two, one):
            self.front.until_idle(self.front.click(button))
        self.assertEqual(self.text_of("log.lock().unwrap().clone()"), '"1221"')

    def test_of_1000_events_none_is_lost_and_the_last_value_wins(self) -> None:
        # The first drawing after an event takes until all events have arrived.
        with tempfile.NamedTemporaryFile() as file:
            self.front.run_cell(
                'let burst = Slider::int("burst", 0..=1000); let sum = Arc::new(Mutex::new((0, 0)));\n'
                "{ let sum = sum.clone(); burst.on_change(move |value| { let mut sum = sum.lock().unwrap(); "
                "sum.0 += 1; sum.1 += value; }); }\n"
                "let draws = Arc::new(Mutex::new(0));\n"
                "interact(burst.clone(), { let draws = draws.clone(); move |value| { *draws.lock().unwrap() += 1; "
                f"while value > 0 && std::path::Path::new({json.dumps(file.name)}).exists() "
                '{ std::thread::sleep(Duration::from_millis(5)); } format!("drawn {value}") } })?'
            )
            slider = self.front.find("IntSliderModel", description="burst")
            begun = time.monotonic()
            requests = [self.front.update(slider, value=value) for value in range(1, 1001)]
            self.front.until("busy", requests[-1])
        self.front.until_idle(requests[-1])
        seconds = time.monotonic() - begun
        self.assertEqual(self.text_of("*sum.lock().unwrap()"), "(1000, 500500)")
        self.assertTrue(any("drawn 1000" in text for text in self.front.texts()))
        echoed = [state["value"] for comm_id, state in self.front.echoes if comm_id == slider]
        self.assertEqual(echoed, list(range(1, 1001)))
        draws = int(self.text_of("*draws.lock().unwrap()"))
        print(f"\n  1000 events take {seconds:.1f} s and {draws} drawings")
        # Those that have arrived are drawn once, or every tenth of a second.
        self.assertLess(draws, 500)

    def test_an_event_is_handled_while_a_cell_runs(self) -> None:
        self.front.run_cell(
            'let during = Button::new("during"); let seen = Label::new("waiting");\n'
            '{ let seen = seen.clone(); during.on_click(move || seen.set("clicked")); }\n'
            "VBox::new([during.widget(), seen.widget()])"
        )
        button = self.front.find("ButtonModel", description="during")
        # The cell runs until the event has been handled, however slow the machine is.
        with tempfile.NamedTemporaryFile() as file:
            running = self.client.execute(
                f'println!("running"); while std::path::Path::new({json.dumps(file.name)}).exists() '
                "{ std::thread::sleep(Duration::from_millis(10)); }"
            )
            while self.front.receive()["content"].get("text") != "running\n":
                pass
            begun = time.monotonic()
            self.front.until_idle(self.front.click(button))
            print(f"\n  a click while a cell runs is handled within {1e3 * (time.monotonic() - begun):.1f} ms")
            self.front.find("LabelModel", value="clicked")
        self.front.until_idle(running)

    def test_a_stop_button_ends_a_running_synthesis(self) -> None:
        self.front.run_cell("let stop = Button::stop(); stop")
        button = self.front.find("ButtonModel", description="stop")
        self.front.run_cell(
            'let net = zoo::cochcnn_words()?; let word = Sound::open("speech/seven.wav")?;\n'
            'let mut run = Synthesis::new(&net, "relu2", &word)?.seed(1).start()?;'
        )
        running = self.client.execute(
            'run.step(1)?; println!("running"); println!("{:?}", run.run_for(Duration::from_secs(120))?.stop_reason);'
        )
        while "running" not in self.front.receive()["content"].get("text", ""):
            pass
        time.sleep(1)
        begun = time.monotonic()
        self.front.click(button)
        messages = self.front.until_idle(running)
        print(f"\n  a synthesis stops {time.monotonic() - begun:.1f} s after the click")
        # Not the end of its time.
        printed = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
        self.assertIn("Interrupted", printed)
        self.assertEqual(self.text_of("run.steps() > 0"), "true")

    def test_a_handler_that_fails_or_panics_says_so_and_lives_on(self) -> None:
        self.front.run_cell(
            'let bad = Button::new("bad"); let mut clicks = 0;\n'
            'bad.on_click(move || { clicks += 1; match clicks { 1 => Err("no such file".to_string()), '
            '2 => panic!("the second click"), _ => Ok(()) } });\nbad'
        )
        button = self.front.find("ButtonModel", description="bad")
        self.front.until_idle(self.front.click(button))
        self.assertTrue(any("error: no such file" in text for text in self.front.texts()))
        self.front.until_idle(self.front.click(button))
        alerts = [text for text in self.front.texts() if "panicked: the second click" in text]
        self.assertTrue(alerts and 'role="alert"' in alerts[0])
        self.front.until_idle(self.front.click(button))
        self.assertFalse(any("the second click" in text for text in self.front.texts()))

    def test_interact_draws_while_no_cell_runs(self) -> None:
        self.front.run_cell(
            "let photos = shipped_photos()?.iter().take(5).map(Image::open).collect::<Result<Vec<_>>>()?;\n"
            "let photos: Vec<Image> = photos.iter().map(|p| p.resize_shorter_side(224)).collect::<Result<_>>()?;\n"
            'interact((Slider::int("photo", 0..=4), Dropdown::new("side", ["64", "224"])), '
            "move |(index, side)| photos[index as usize].resize_shorter_side(side.parse().unwrap()))?"
        )
        slider = self.front.find("IntSliderModel", description="photo")
        side = self.front.find("DropdownModel", description="side")
        seconds = []
        for value in [1, 2, 3, 4] * 5:
            before = self.front.texts()
            begun = time.monotonic()
            messages = self.front.until_idle(self.front.update(slider, value=value))
            seconds.append(time.monotonic() - begun)
            self.assertNotEqual(self.front.texts(), before)
            self.assertNotIn("execute_input", [message["msg_type"] for message in messages])
        self.front.until_idle(self.front.update(side, index=1))
        median = statistics.median(seconds)
        print(f"\n  a picture follows its slider within {1e3 * median:.1f} ms (median of {len(seconds)})")

    def test_a_page_that_is_loaded_again_gets_all_states(self) -> None:
        self.front.run_cell('let again = Slider::names("again", ["stem", "block5"]); again.set("block5"); again')
        slider = self.front.find("SelectionSliderModel", description="again")
        control = uuid.uuid4().hex
        self.front.send("comm_open", {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}})
        data = {"method": "request_states"}
        self.front.until_idle(self.front.send("comm_msg", {"comm_id": control, "data": data}))
        reply = self.front.replies[-1]["content"]["data"]
        self.assertEqual(reply["method"], "update_states")
        entry = reply["states"][slider]
        self.assertEqual((entry["model_name"], entry["model_module_version"]), ("SelectionSliderModel", "2.0.0"))
        self.assertEqual(entry["state"]["index"], 1)
        self.assertEqual(len(reply["buffer_paths"]), len(self.front.replies[-1]["buffers"]))
        self.front.until_idle(self.front.send("comm_close", {"comm_id": control, "data": {}}))
        request = {"method": "request_state"}
        self.front.models[slider]["index"] = 0
        self.front.until_idle(self.front.send("comm_msg", {"comm_id": slider, "data": request}))
        self.assertEqual(self.front.models[slider]["index"], 1)

    def test_a_closed_widget_is_gone_and_can_be_shown_again(self) -> None:
        self.front.run_cell('let closing = Slider::int("closing", 0..=9); closing')
        slider = self.front.find("IntSliderModel", description="closing")
        self.front.until_idle(self.front.send("comm_close", {"comm_id": slider, "data": {}}))
        self.assertNotIn(slider, self.comms())
        # A message to a closed comm is answered by another close.
        self.front.until_idle(self.front.update(slider, value=3))
        self.assertIn(slider, self.front.closed)
        self.assertEqual(self.text_of("closing.value()"), "0")
        self.front.run_cell("closing")
        self.assertIn(slider, self.comms())

    def test_invalid_updates_change_nothing(self) -> None:
        self.front.run_cell('let firm = Slider::int("firm", 0..=9); firm')
        slider = self.front.find("IntSliderModel", description="firm")
        for state in ({"value": "5"}, {"value": [5]}, {"_model_name": "X"}, {"unknown": 1}, {"value": 1e300}):
            self.front.until_idle(self.front.update(slider, **state))
        for data in ({}, {"method": "update"}, {"method": "update", "state": 7}, {"method": 5}, {"method": "custom"}):
            self.front.until_idle(self.front.send("comm_msg", {"comm_id": slider, "data": data}))
        self.assertEqual(self.text_of("firm.value()"), "9")

    def test_a_front_end_cannot_create_widgets(self) -> None:
        for target in ("jupyter.widget", "unknown"):
            comm_id = uuid.uuid4().hex
            request = self.front.send("comm_open", {"comm_id": comm_id, "target_name": target, "data": {"state": {}}})
            self.front.until_idle(request)
            self.assertIn(comm_id, self.front.closed)
            self.assertNotIn(comm_id, self.comms())

    def test_a_peer_without_the_nonce_is_refused(self) -> None:
        address = json.loads(self.text_of('std::env::var("METAMERS_COMM").unwrap()'))
        port, nonce = address.split(" ")
        self.front.run_cell('let safe = Slider::int("safe", 0..=9); safe')
        slider = self.front.find("IntSliderModel", description="safe")
        forged = {
            "op": "msg",
            "comm_id": slider,
            "data": {"method": "update", "state": {"value": 5}, "buffer_paths": []},
        }
        for hello in ({"nonce": "guessed"}, {"nonce": None}, {}, forged, {"nonce": nonce}):
            with socket.create_connection(("127.0.0.1", int(port)), timeout=TIMEOUT) as peer:
                for header in (hello, forged):
                    text = json.dumps(header).encode()
                    try:
                        peer.sendall(struct.pack("<II", len(text), 0) + text)
                    except OSError:
                        break
                # The last one knows the nonce, but the library is connected already: it is refused after 15 s.
                with suppress(ConnectionResetError):
                    self.assertEqual(peer.recv(1), b"", hello)
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as peer:
            peer.sendall(b"\xff" * 64)
            with suppress(ConnectionResetError):
                self.assertEqual(peer.recv(1), b"")
        self.front.until_idle(self.front.update(slider, value=4))
        self.assertEqual(self.text_of("safe.value()"), "4")
        self.assertEqual(self.front.models[slider]["value"], 0, "a forged update was published")


class Ends(unittest.TestCase):
    def test_widgets_end_with_their_process_and_say_so(self) -> None:
        manager, client = start()
        try:
            front = FrontEnd(client)
            front.run_cell(USE + 'let lost = Slider::int("lost", 0..=9); lost')
            slider = front.find("IntSliderModel", description="lost")
            request = client.execute("std::process::exit(3)")
            messages = front.until_idle(request)
            while slider not in front.closed:
                messages.append(front.receive())
            printed = ""
            while "Run their cells again" not in printed:
                message = messages.pop(0) if messages else front.receive()
                printed += message["content"].get("text", "")
            front.until_idle(front.update(slider, value=1))
            front.run_cell(USE + 'let found = Slider::int("found", 0..=9); found')
            found = front.find("IntSliderModel", description="found")
            front.until_idle(front.update(found, value=2))
            self.assertIn((found, {"value": 2}), front.echoes)
            # A restart of the kernel ends them too.
            manager.restart_kernel(now=False)
            client.wait_for_ready(timeout=TIMEOUT)
            front.closed.clear()
            front.until_idle(front.update(found, value=3))
            self.assertIn(found, front.closed)
        finally:
            client.stop_channels()
            manager.shutdown_kernel()


if __name__ == "__main__":
    unittest.main(verbosity=2)
