"""Tests the parts of the Jupyter protocol that jupyter_kernel_test does not cover.

.venv/bin/python kernel-spec/tests/python/test_protocol.py
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

KERNEL = "metamers"
TIMEOUT = 120
ASK = (
    'println!("EVCXR_INPUT_REQUEST{}:{}", "%s", "%s"); let mut line = String::new(); '
    "std::io::stdin().read_line(&mut line)?; line.trim_end().to_string()"
)
Message = dict[str, Any]


def start(history: str | Path = "off") -> tuple[KernelManager, BlockingKernelClient]:
    return start_new_kernel(
        kernel_name=KERNEL, startup_timeout=TIMEOUT, env=dict(os.environ, METAMERS_HISTORY=str(history))
    )


def stop(manager: KernelManager, client: BlockingKernelClient) -> None:
    client.stop_channels()
    manager.shutdown_kernel()


class Protocol(unittest.TestCase):
    manager: KernelManager
    client: BlockingKernelClient

    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start()

    @classmethod
    def tearDownClass(cls) -> None:
        stop(cls.manager, cls.client)

    def reply_to(self, request: str) -> Message:
        while True:
            reply = self.client.get_shell_msg(timeout=TIMEOUT)
            if reply["parent_header"].get("msg_id") == request:
                return reply

    def outputs_of(self, request: str) -> list[Message]:
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return outputs
            outputs.append(message)

    def wait_for_output(self, text: str) -> None:
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return

    def run_cell(self, code: str, **options: bool) -> tuple[Message, list[Message]]:
        request = self.client.execute(code, **options)
        return self.reply_to(request)["content"], self.outputs_of(request)

    @contextmanager
    def running_cell(self) -> Iterator[str]:
        """A cell that runs until the block ends, however slow the machine is, and then succeeds."""
        with tempfile.NamedTemporaryFile() as file:
            request = self.client.execute(
                f'println!("running"); while std::path::Path::new({json.dumps(file.name)}).exists() '
                "{ std::thread::sleep(Duration::from_millis(10)); }"
            )
            self.wait_for_output("running")
            yield request
            # It has not ended by itself.
            with self.assertRaises(Empty):
                self.client.get_shell_msg(timeout=0.1)
        self.assertEqual(self.reply_to(request)["content"]["status"], "ok")

    def result(self, code: str) -> str:
        reply, outputs = self.run_cell(code)
        self.assertEqual(reply["status"], "ok", reply)
        return next(m["content"]["data"]["text/plain"] for m in outputs if m["msg_type"] == "execute_result")

    def test_execution_count_starts_at_one_and_skips_unstored_cells(self) -> None:
        manager, client = start()
        self.client, own = client, self.client
        try:
            self.assertEqual(self.run_cell("1")[0]["execution_count"], 1)
            self.assertEqual(self.run_cell("2", store_history=False)[0]["execution_count"], 1)
            self.assertEqual(self.run_cell("3")[0]["execution_count"], 2)
        finally:
            self.client = own
            stop(manager, client)

    def test_silent_execution_publishes_only_what_it_prints(self) -> None:
        # The protocol says that it publishes nothing at all; ipykernel publishes printed text all the same.
        reply, outputs = self.run_cell('let quiet = 5; println!("x"); quiet', silent=True)
        self.assertEqual(reply["status"], "ok")
        self.assertEqual({message["msg_type"] for message in outputs}, {"status", "stream"})
        printed = [message["content"] for message in outputs if message["msg_type"] == "stream"]
        self.assertEqual(printed, [{"name": "stdout", "text": "x\n"}])
        self.assertEqual(self.result("quiet + 1"), "6")

    def test_a_silent_error_is_only_in_the_reply_and_aborts_nothing(self) -> None:
        failing = self.client.execute('std::thread::sleep(Duration::from_millis(300)); panic!("no");', silent=True)
        queued = self.client.execute("40 + 2")
        self.assertEqual(self.reply_to(failing)["content"]["ename"], "Panic")
        # On a busy machine its text may be taken for output.
        self.assertLessEqual({message["msg_type"] for message in self.outputs_of(failing)}, {"status", "stream"})
        self.assertEqual(self.reply_to(queued)["content"]["status"], "ok")

    def test_stop_on_error_aborts_queued_cells(self) -> None:
        first = self.client.execute('panic!("first");', stop_on_error=False)
        second = self.client.execute("40 + 2")
        self.assertEqual(self.reply_to(first)["content"]["status"], "error")
        self.assertEqual(self.reply_to(second)["content"]["status"], "ok")
        first = self.client.execute(
            'std::thread::sleep(Duration::from_millis(300)); panic!("first");', stop_on_error=True
        )
        second = self.client.execute("40 + 2")
        self.assertEqual(self.reply_to(first)["content"]["status"], "error")
        self.assertEqual(self.reply_to(second)["content"]["status"], "aborted")

    def ask(self, kind: str, prompt: str, answer: str) -> tuple[Message, list[str]]:
        request = self.client.execute(ASK % (kind, prompt), allow_stdin=True)
        question = self.client.get_stdin_msg(timeout=TIMEOUT)
        self.client.input(answer)
        reply = self.reply_to(request)
        self.assertEqual(reply["content"]["status"], "ok", reply)
        results = [
            m["content"]["data"]["text/plain"] for m in self.outputs_of(request) if m["msg_type"] == "execute_result"
        ]
        return question["content"], results

    def test_input_and_password_requests(self) -> None:
        question, results = self.ask("", "Your name? ", "Ada")
        self.assertEqual((question["prompt"], question["password"], results), ("Your name? ", False, ['"Ada"']))
        question, results = self.ask("_PASSWORD", "Secret: ", "x1")
        self.assertEqual((question["prompt"], question["password"], results), ("Secret: ", True, ['"x1"']))

    def test_without_stdin_an_input_request_gets_an_empty_line(self) -> None:
        reply, outputs = self.run_cell(ASK % ("", "Your name? "), allow_stdin=False)
        self.assertEqual(reply["status"], "ok")
        self.assertIn('""', [m["content"]["data"]["text/plain"] for m in outputs if m["msg_type"] == "execute_result"])

    def test_an_interrupt_ends_an_input_request(self) -> None:
        self.run_cell("let survives = 11;")
        request = self.client.execute(ASK % ("", "Your name? "), allow_stdin=True)
        self.client.get_stdin_msg(timeout=TIMEOUT)
        self.manager.interrupt_kernel()
        self.assertEqual(self.reply_to(request)["content"]["status"], "ok")
        self.assertEqual(self.result("survives"), "11")

    def test_completion_and_inspection_answer_while_a_cell_runs(self) -> None:
        with self.running_cell():
            start_time = time.monotonic()
            for asked in (
                self.client.complete("Tensor::ze"),
                self.client.inspect("Tensor", 3),
                self.client.is_complete("1 +"),
                self.client.history(n=1),
            ):
                self.assertIn(self.reply_to(asked)["content"].get("status"), ("ok", "incomplete"))
            print(f"\n  four answers while a cell runs within {time.monotonic() - start_time:.2f} s")

    def test_a_message_with_an_invalid_signature_is_ignored(self) -> None:
        key = self.client.session.key
        message = self.client.session.msg("execute_request", {"code": "std::process::exit(9)", "silent": False})
        try:
            self.client.session.key = b"guessed"
            self.client.shell_channel.send(message)
        finally:
            self.client.session.key = key
        self.assertEqual(self.result("1 + 1"), "2")
        with self.assertRaises(Empty):
            while True:
                reply = self.client.get_shell_msg(timeout=0.3)
                self.assertNotEqual(reply["parent_header"].get("msg_id"), message["header"]["msg_id"])

    def test_the_heartbeat_answers_while_a_cell_runs(self) -> None:
        heart = zmq.Context.instance().socket(zmq.REQ)
        heart.linger = 0
        heart.connect(self.client._make_url("hb"))
        try:
            with self.running_cell():
                for beat in (b"first", b"second \x00\xff"):
                    heart.send(beat)
                    self.assertTrue(heart.poll(1000 * TIMEOUT), f"no echo within {TIMEOUT} s")
                    self.assertEqual(heart.recv(), beat)
        finally:
            heart.close()

    def test_text_and_displays_keep_their_order(self) -> None:
        cell = (
            'print!("one "); Table::new(["a"]).show(); println!("two"); '
            'eprintln!("three"); Table::new(["b"]).show(); println!("four");'
        )
        _, outputs = self.run_cell(cell)
        kinds = [
            m["content"].get("text") or m["msg_type"] for m in outputs if m["msg_type"] in ("stream", "display_data")
        ]
        kinds = [kind for kind in kinds if kind != "three\n"]
        self.assertEqual(kinds, ["one ", "display_data", "two\n", "display_data", "four\n"])

    def test_after_a_request_beside_a_running_cell_the_status_is_busy_again(self) -> None:
        states: list[tuple[str, str]] = []
        with self.running_cell() as cell:
            asked = self.client.history(n=1)
            while (cell, "busy") not in states:
                message = self.client.get_iopub_msg(timeout=TIMEOUT)
                parent = message["parent_header"].get("msg_id")
                if message["msg_type"] == "status" and parent in (cell, asked):
                    states.append((parent, message["content"]["execution_state"]))
            self.reply_to(asked)
        self.assertEqual(states, [(asked, "busy"), (asked, "idle"), (cell, "busy")])

    def test_user_expressions_get_an_error_each(self) -> None:
        request = self.client.execute("1", user_expressions={"sum": "1 + 1"})
        content = self.reply_to(request)["content"]
        error = content["user_expressions"]["sum"]
        self.assertEqual((content["status"], error["status"], error["ename"]), ("ok", "error", "NotSupported"))
        self.assertEqual(error["traceback"], [])

    def click_button(self, handler: str) -> Message:
        """Shows a button with a handler and clicks it; returns the message of the click."""
        request = self.client.execute(
            "use metamers::prelude::widgets::*;\n"
            f'let slow = Button::new("slow"); slow.on_click(|| {{ {handler} }});\nslow'
        )
        opened = [m["content"] for m in self.outputs_of(request) if m["msg_type"] == "comm_open"]
        self.assertEqual(self.reply_to(request)["content"]["status"], "ok")
        button = next(c["comm_id"] for c in opened if c["data"]["state"]["_model_name"] == "ButtonModel")
        data = {"method": "custom", "content": {"event": "click"}}
        click = self.client.session.msg("comm_msg", {"comm_id": button, "data": data})
        self.client.shell_channel.send(click)
        return click

    def test_a_second_interrupt_ends_the_handler_of_a_widget(self) -> None:
        self.run_cell("let held = 1;")
        click = self.click_button("for _ in 0u64.. { std::thread::sleep(Duration::from_millis(5)); }")
        while self.client.get_iopub_msg(timeout=TIMEOUT)["parent_header"].get("msg_id") != click["header"]["msg_id"]:
            pass
        self.manager.interrupt_kernel()
        self.wait_for_output("the handler of a widget does not return")
        self.manager.interrupt_kernel()
        self.outputs_of(click["header"]["msg_id"])
        reply, _ = self.run_cell("held")
        self.assertEqual(reply["ename"], "ProcessEnded")
        self.assertIn("an interrupt ended the handler of a widget", reply["evalue"])
        self.assertEqual(self.result("1 + 1"), "2")

    def test_an_interrupt_reaches_the_handler_of_a_widget(self) -> None:
        self.run_cell("let untouched = 12;")
        with tempfile.TemporaryDirectory() as folder:
            begun = Path(folder) / "begun"
            script = json.dumps(f"touch '{begun}'; exec sleep 600")
            click = self.click_button(f'let _ = std::process::Command::new("sh").args(["-c", {script}]).status();')
            # An interrupt before the program has started does nothing.
            deadline = time.monotonic() + TIMEOUT
            while not begun.exists():
                self.assertLess(time.monotonic(), deadline, "the handler does not run")
                time.sleep(0.01)
            # One alone: a later one would end the handler in any case, and the process with it.
            self.manager.interrupt_kernel()
            self.outputs_of(click["header"]["msg_id"])
        self.assertEqual(self.result("untouched"), "12")


class History(unittest.TestCase):
    def inputs(self, client: BlockingKernelClient) -> list[str]:
        reply = client.history(hist_access_type="tail", n=10, output=False, reply=True, timeout=TIMEOUT)
        return [entry[2] for entry in reply["content"]["history"]]

    def test_history_survives_a_restart_and_can_be_switched_off(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "history.jsonl"
            manager, client = start(file)
            client.execute("1 + 100", reply=True, timeout=TIMEOUT)
            stop(manager, client)
            manager, client = start(file)
            self.assertEqual(self.inputs(client), ["1 + 100"])
            stop(manager, client)
            before = file.read_bytes()
            manager, client = start("off")
            client.execute("2 + 200", reply=True, timeout=TIMEOUT)
            self.assertEqual(self.inputs(client), ["2 + 200"])
            stop(manager, client)
            self.assertEqual(file.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
