"""Runs jupyter_kernel_test on the installed kernel; a skipped test counts as a failure.

.venv/bin/python kernel-spec/tests/python/test_conformance.py
"""

from __future__ import annotations

import os
import sys
import unittest
from typing import Any, ClassVar

import jupyter_kernel_test

KERNEL = "metamers"
# The tests count history entries, to which other sessions would add.
os.environ["METAMERS_HISTORY"] = "off"


def live(frame: str) -> str:
    """Returns a cell that makes the kernel send the display message `frame`."""
    return f'println!("{{}} {{}}", std::env::var("METAMERS_LIVE")?, r#"{frame}"#);'


class Conformance(jupyter_kernel_test.KernelTests):
    kernel_name = KERNEL
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("test");'
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "DType::BF", "matches": {"BF16"}},
        {"text": "Tensor::from_slic", "matches": {"from_slice"}},
        {"text": "shipped_ph"},
        {"text": ":ver", "matches": {":version"}},
    ]
    complete_code_samples: ClassVar[list[str]] = [
        "1",
        'println!("hello");',
        "fn f(x: u8) -> u8 {\n    x\n}",
        "let x = vec![1, 2];",
        ":vars",
        "?Tensor",
    ]
    incomplete_code_samples: ClassVar[list[str]] = [
        "fn f() {",
        'println!("hello',
        "let x = vec![1,",
        "/* a comment",
        "let x =",
    ]
    invalid_code_samples: ClassVar[list[str]] = [")", "let = 1;", "fn 1() {}", "let x = (1];"]
    code_page_something = "?Tensor"
    code_generate_error = 'panic!("on purpose");'
    code_execute_result: ClassVar[list[dict[str, str]]] = [
        {"code": "1 + 2 + 3", "result": "6"},
        {"code": "(1..4).map(|n| n * n).collect::<Vec<u8>>()", "result": "[1, 4, 9]"},
        {"code": "1 + 1 + 1", "result": "3"},
        {"code": '"two".to_string()', "result": '"two"'},
    ]
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {
            "code": live('{"op":"display_data","data":{"text/html":"<b>bold</b>","text/plain":"bold"}}'),
            "mime": "text/html",
        },
        {"code": 'Table::new(["a"]).row(["1"])', "mime": "text/html"},
    ]
    supported_history_operations = ("tail", "range", "search")
    code_history_pattern = "1 + 2*"
    code_inspect_sample = "Tensor"
    code_clear_output = live('{"op":"clear_output","wait":false}')


class Welcome(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = KERNEL
    support_iopub_welcome = True


if __name__ == "__main__":
    result = unittest.main(verbosity=2, exit=False).result
    for test, reason in result.skipped:
        print(f"error: {test} was skipped: {reason}", file=sys.stderr)
    sys.exit(not result.wasSuccessful() or bool(result.skipped))
