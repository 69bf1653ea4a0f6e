"""What a front end may ask of the kernel beyond jupyter_kernel_test: .venv/bin/python kernel-spec/tests/python/test_protocol.py"""

import os
import tempfile
import time
import unittest
from pathlib import Path
from queue import Empty

import zmq
from jupyter_client.manager import start_new_kernel

KERNEL = "metamers"
PATIENCE = 120
ASK = 'println!("EVCXR_INPUT_REQUEST{}:{}", "%s", "%s"); let mut line = String::new(); std::io::stdin().read_line(&mut line)?; line.trim_end().to_string()'


def start(history="off"):
    return start_new_kernel(
        kernel_name=KERNEL, startup_timeout=PATIENCE, env=dict(os.environ, METAMERS_HISTORY=str(history))
    )


def stop(manager, client):
    client.stop_channels()
    manager.shutdown_kernel()


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.manager, cls.client = start()

    @classmethod
    def tearDownClass(cls):
        stop(cls.manager, cls.client)

    def reply_to(self, request, channel="shell"):
        while True:
            reply = getattr(self.client, f"get_{channel}_msg")(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == request:
                return reply

    def outputs_of(self, request):
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return outputs
            outputs.append(message)

    def until_printed(self, text):
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return

    def run_cell(self, code, **options):
        request = self.client.execute(code, **options)
        return self.reply_to(request)["content"], self.outputs_of(request)

    def result(self, code):
        reply, outputs = self.run_cell(code)
        self.assertEqual(reply["status"], "ok", reply)
        return next(m["content"]["data"]["text/plain"] for m in outputs if m["msg_type"] == "execute_result")

    def test_counts_from_one_and_only_what_is_stored(self):
        manager, client = start()
        self.client, own = client, self.client
        try:
            self.assertEqual(self.run_cell("1")[0]["execution_count"], 1)
            self.assertEqual(self.run_cell("2", store_history=False)[0]["execution_count"], 1)
            self.assertEqual(self.run_cell("3")[0]["execution_count"], 2)
        finally:
            self.client = own
            stop(manager, client)

    def test_silent_says_nothing_and_does_its_work(self):
        reply, outputs = self.run_cell('let quiet = 5; println!("x"); quiet', silent=True)
        self.assertEqual(reply["status"], "ok")
        kinds = {message["msg_type"] for message in outputs}
        self.assertFalse(kinds & {"execute_input", "execute_result", "error"}, kinds)
        self.assertEqual(self.result("quiet + 1"), "6")

    def test_stop_on_error_is_obeyed(self):
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

    def ask(self, kind, prompt, answer):
        request = self.client.execute(ASK % (kind, prompt), allow_stdin=True)
        question = self.client.get_stdin_msg(timeout=PATIENCE)
        self.client.input(answer)
        reply = self.reply_to(request)
        self.assertEqual(reply["content"]["status"], "ok", reply)
        results = [
            m["content"]["data"]["text/plain"] for m in self.outputs_of(request) if m["msg_type"] == "execute_result"
        ]
        return question["content"], results

    def test_a_line_and_a_password_can_be_asked_for(self):
        question, results = self.ask("", "Your name? ", "Ada")
        self.assertEqual((question["prompt"], question["password"], results), ("Your name? ", False, ['"Ada"']))
        question, results = self.ask("_PASSWORD", "Secret: ", "x1")
        self.assertEqual((question["prompt"], question["password"], results), ("Secret: ", True, ['"x1"']))

    def test_without_stdin_a_question_is_answered_with_nothing(self):
        reply, outputs = self.run_cell(ASK % ("", "Your name? "), allow_stdin=False)
        self.assertEqual(reply["status"], "ok")
        self.assertIn('""', [m["content"]["data"]["text/plain"] for m in outputs if m["msg_type"] == "execute_result"])

    def test_an_interrupt_ends_the_wait_for_an_answer(self):
        self.run_cell("let survives = 11;")
        request = self.client.execute(ASK % ("", "Your name? "), allow_stdin=True)
        self.client.get_stdin_msg(timeout=PATIENCE)
        self.manager.interrupt_kernel()
        self.assertEqual(self.reply_to(request)["content"]["status"], "ok")
        self.assertEqual(self.result("survives"), "11")

    def test_questions_about_code_are_answered_at_once_while_a_cell_runs(self):
        request = self.client.execute('println!("running"); std::thread::sleep(Duration::from_secs(4));')
        self.until_printed("running")
        begun = time.monotonic()
        for asked in (
            self.client.complete("Tensor::ze"),
            self.client.inspect("Tensor", 3),
            self.client.is_complete("1 +"),
            self.client.history(n=1),
        ):
            self.assertEqual(self.reply_to(asked)["content"].get("status") in ("ok", "incomplete"), True)
        self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual(self.reply_to(request)["content"]["status"], "ok")

    def test_a_wrong_signature_is_not_believed(self):
        right = self.client.session.key
        message = self.client.session.msg("execute_request", {"code": "std::process::exit(9)", "silent": False})
        try:
            self.client.session.key = b"guessed"
            self.client.shell_channel.send(message)
        finally:
            self.client.session.key = right
        self.assertEqual(self.result("1 + 1"), "2")
        with self.assertRaises(Empty):
            while True:
                reply = self.client.get_shell_msg(timeout=0.3)
                self.assertNotEqual(reply["parent_header"].get("msg_id"), message["header"]["msg_id"])

    def test_the_heart_beats_while_a_cell_runs(self):
        request = self.client.execute('println!("running"); std::thread::sleep(Duration::from_secs(4));')
        self.until_printed("running")
        heart = zmq.Context.instance().socket(zmq.REQ)
        heart.linger = 0
        heart.connect(self.client._make_url("hb"))
        try:
            for beat in (b"first", b"second \x00\xff"):
                heart.send(beat)
                self.assertTrue(heart.poll(2000), "no echo within 2 s")
                self.assertEqual(heart.recv(), beat)
        finally:
            heart.close()
        # Still in the same cell: it did not have to end first.
        with self.assertRaises(Empty):
            self.client.get_shell_msg(timeout=0.1)
        self.assertEqual(self.reply_to(request)["content"]["status"], "ok")

    def test_text_and_pictures_keep_their_order(self):
        cell = 'print!("one "); Table::new(["a"]).show(); println!("two"); eprintln!("three"); Table::new(["b"]).show(); println!("four");'
        _, outputs = self.run_cell(cell)
        kinds = [
            m["content"].get("text") or m["msg_type"] for m in outputs if m["msg_type"] in ("stream", "display_data")
        ]
        kinds = [kind for kind in kinds if kind != "three\n"]
        self.assertEqual(kinds, ["one ", "display_data", "two\n", "display_data", "four\n"])


class History(unittest.TestCase):
    def typed(self, client):
        reply = client.history(hist_access_type="tail", n=10, output=False, reply=True, timeout=PATIENCE)
        return [entry[2] for entry in reply["content"]["history"]]

    def test_survives_a_restart_and_can_be_switched_off(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "history.jsonl"
            manager, client = start(file)
            client.execute("1 + 100", reply=True, timeout=PATIENCE)
            stop(manager, client)
            manager, client = start(file)
            self.assertEqual(self.typed(client), ["1 + 100"])
            stop(manager, client)
            before = file.read_bytes()
            manager, client = start("off")
            client.execute("2 + 200", reply=True, timeout=PATIENCE)
            self.assertEqual(self.typed(client), ["2 + 200"])
            stop(manager, client)
            self.assertEqual(file.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
