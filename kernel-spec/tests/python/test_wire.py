"""Sends a kernel what no Jupyter client sends; it must go on, as ipykernel does.

.venv/bin/python kernel-spec/tests/python/test_wire.py
"""

from __future__ import annotations

import os
import socket
import struct
import time
import unittest
from contextlib import suppress

import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

TIMEOUT = 120
PORTS = ("shell_port", "control_port", "stdin_port", "hb_port", "iopub_port")
# ZMTP 3.1: signature, version, mechanism, filler.
GREETING = b"\xff" + bytes(8) + b"\x7f" + bytes([3, 1]) + b"NULL".ljust(20, b"\0") + bytes(32)


class Wire(unittest.TestCase):
    manager: KernelManager
    client: BlockingKernelClient

    @classmethod
    def setUpClass(cls) -> None:
        env = dict(os.environ, METAMERS_HISTORY="off")
        cls.manager, cls.client = start_new_kernel(kernel_name="metamers", startup_timeout=TIMEOUT, env=env)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.client.stop_channels()
        cls.manager.shutdown_kernel()

    def check_kernel(self) -> None:
        """The kernel answers a cell and a heartbeat."""
        reply = self.client.execute_interactive("1 + 1", timeout=TIMEOUT, output_hook=lambda _: None)
        self.assertEqual(reply["content"]["status"], "ok")
        with zmq.Context() as context, context.socket(zmq.REQ) as heart:
            heart.linger = 0
            heart.connect(self.url("hb_port"))
            heart.send(b"ping")
            self.assertTrue(heart.poll(10_000), "the heartbeat has ended")
            self.assertEqual(heart.recv(), b"ping")

    def url(self, port: str) -> str:
        info = self.manager.get_connection_info()
        return f"{info['transport']}://{info['ip']}:{info[port]}"

    def send_raw(self, port: str, frames: bytes) -> None:
        """Connects without a Jupyter client, sends bytes after the greeting, and leaves."""
        info = self.manager.get_connection_info()
        with socket.create_connection((info["ip"], info[port]), timeout=10) as peer:
            peer.sendall(GREETING + frames)
            peer.settimeout(0.5)
            try:
                while peer.recv(4096):
                    pass
            except (TimeoutError, ConnectionResetError):
                pass

    def test_lengths_of_frames_are_limited_before_they_are_allocated(self) -> None:
        ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER"
        handshake = bytes([4, len(ready)]) + ready
        for port in PORTS:
            for length in (1 << 62, 1 << 40, (1 << 63) + 5, (1 << 64) - 1):
                huge = struct.pack(">BQ", 2, length)
                self.send_raw(port, huge)
                self.send_raw(port, handshake + huge)
                self.send_raw(port, handshake + b"\x01\x00" + struct.pack(">BQ", 3, length))
        self.check_kernel()

    def test_a_subscriber_that_reads_nothing_holds_up_the_others_once(self) -> None:
        ready = b"\x05READY\x0bSocket-Type\0\0\0\x03SUB"
        subscription = bytes([0, 1, 1])
        info = self.manager.get_connection_info()
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((info["ip"], info["iopub_port"]))
            stalled.sendall(GREETING + bytes([4, len(ready)]) + ready + subscription)
            time.sleep(0.5)
            # More than the queues of a subscriber hold.
            reply = self.client.execute_interactive(
                'let line = "x".repeat(65_535); for _ in 0..1000 { println!("{line}"); }',
                timeout=TIMEOUT,
                output_hook=lambda _: None,
            )
            self.assertEqual(reply["content"]["status"], "ok")
            # It has been disconnected.
            stalled.settimeout(TIMEOUT)
            with suppress(ConnectionResetError):
                while stalled.recv(1 << 16):
                    pass
        self.check_kernel()

    def test_bytes_that_are_no_greeting_end_only_their_connection(self) -> None:
        info = self.manager.get_connection_info()
        for port in PORTS:
            for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" * 64, b"\xff"):
                with socket.create_connection((info["ip"], info[port]), timeout=10) as peer:
                    peer.sendall(garbage)
        self.check_kernel()

    def test_the_heartbeat_outlives_bad_peers(self) -> None:
        with zmq.Context() as context:
            with context.socket(zmq.DEALER) as peer:
                peer.linger = 1000
                peer.connect(self.url("hb_port"))
                peer.send(b"a single frame")
                peer.send_multipart([b"no", b"delimiter"])
                time.sleep(0.3)
            for _ in range(20):
                with context.socket(zmq.REQ) as peer:
                    peer.linger = 100
                    peer.connect(self.url("hb_port"))
                    peer.send(b"gone before the echo")
        time.sleep(0.5)
        self.check_kernel()

    def test_a_message_is_executed_once_however_often_it_arrives(self) -> None:
        self.client.execute_interactive("let mut count = 0;", timeout=TIMEOUT)
        session = self.client.session
        content = {
            "code": "count += 1;",
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        frames = session.serialize(session.msg("execute_request", content))
        with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
            peer.linger = 1000
            peer.connect(self.url("shell_port"))
            for _ in range(3):
                peer.send_multipart(frames)
            self.assertTrue(peer.poll(TIMEOUT * 1000))
            time.sleep(1)
        results = []
        reply = self.client.execute_interactive(
            "count",
            timeout=TIMEOUT,
            output_hook=lambda message: results.append(message["content"].get("data", {}).get("text/plain")),
        )
        self.assertEqual(reply["content"]["status"], "ok")
        self.assertIn("1", results)

    def test_incomplete_messages_are_dropped(self) -> None:
        with zmq.Context() as context:
            for port in ("shell_port", "control_port", "stdin_port"):
                with context.socket(zmq.DEALER) as peer:
                    peer.linger = 1000
                    peer.connect(self.url(port))
                    for parts in (
                        [b"x"],
                        [b"<IDS|MSG>"],
                        [b"<IDS|MSG>", b"ff"],
                        [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}"],
                    ):
                        peer.send_multipart(parts)
                    peer.send_multipart([b"<IDS|MSG>", b"00" * 32, b"{}", b"{}", b"{}", b"{}"])
                    time.sleep(0.2)
        self.check_kernel()


if __name__ == "__main__":
    unittest.main(verbosity=2)
