"""Scripted participants take the recognition tasks of examples/recognition_task.rs: by keyboard, by touch on a telephone, by ear.

Started by tests/experiment/run, which makes the pages. Screenshots go to target/experiment-screenshots, or with --keep to
tests/experiment/screenshots.
"""

import csv
import html
import json
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

HERE = Path(__file__).resolve().parent
SHOTS = HERE / "screenshots" if "--keep" in sys.argv[1:] else HERE.parents[1] / "target/experiment-screenshots"
CODE = "P07"
# Watches from outside when a picture is to be seen: the time of the first frame at which it is on, and of the first at which it is off.
WATCH = """
window.seen = [];
(function look(now) {
    const on = document.querySelector('.stand > canvas.on');
    const last = window.seen.at(-1);
    if (on && (!last || last.canvas !== on)) window.seen.push({ canvas: on, on: now, off: null });
    for (const each of window.seen) if (each.off === null && each.canvas !== on) each.off = now;
    requestAnimationFrame(look);
})(performance.now());
"""


class Visitor:
    """A page that notes everything that should not happen."""

    def __init__(self, browser, address, watch=False, **options):
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.trouble = []
        self.page.on(
            "console",
            lambda message: self.trouble.append(message.text) if message.type in ("error", "warning") else None,
        )
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", lambda request: self.requested(request.url, address))
        if watch:
            self.page.add_init_script(WATCH)
        self.page.goto(address)
        self.width = options["viewport"]["width"]

    def requested(self, url, address):
        if url != address and not url.startswith(("data:", "blob:")):
            self.trouble.append(f"request for {url[:80]}")

    def look(self, name):
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def heading(self, text):
        expect(self.page.locator("h1")).to_have_text(text, timeout=20_000)
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width, (
            f"{text}: wider than the screen"
        )

    def plan(self, block):
        return self.page.evaluate(f"planned(state.assigned_by).{block}.map(({{ source, ...rest }}) => rest)")

    def save(self, label, folder):
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=label).click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def leave(self):
        self.context.close()
        assert not self.trouble, self.trouble


def wrong(right, choices):
    return choices[(choices.index(right) + 1) % len(choices)]


def answer_by_keyboard(visitor, word, question="What was it?"):
    visitor.heading(question)
    visitor.page.keyboard.type(word[:4] if question == "What was it?" else word)
    if question == "What was it?":
        expect(visitor.page.locator(".choices button:focus")).to_have_text(word)
    visitor.page.keyboard.press("Enter")


def begin_by_keyboard(visitor, code):
    press = visitor.page.keyboard.press
    begin = visitor.page.get_by_role("button", name="Begin")
    expect(begin).to_be_disabled()
    visitor.page.get_by_role("region", name="Consent").focus()
    press("Tab")
    press("Space")
    if code:
        expect(begin).to_be_disabled()
        press("Tab")
        visitor.page.keyboard.type("no spaces allowed")
        expect(begin).to_be_disabled()
        press("Control+a")
        visitor.page.keyboard.type(code)
    expect(begin).to_be_enabled()
    press("Tab")
    press("Enter")


def practise(visitor, choices, pass_mark, question="What was it?"):
    """One block below the mark, which does not lead on, and one above."""
    for right_ones in (pass_mark - 1, pass_mark):
        trials = visitor.plan("practice")
        for number, trial in enumerate(trials):
            good = number < right_ones
            answer_by_keyboard(visitor, trial["right"] if good else wrong(trial["right"], choices), question)
            visitor.heading("✓ Right" if good else "✗ No")
            expect(visitor.page.locator(".mark")).to_have_text(trial["right"])
            if right_ones == pass_mark and number == right_ones:
                visitor.look("feedback" if question == "What was it?" else "word-feedback")
            visitor.page.keyboard.press("Enter")
        visitor.heading("Once more" if right_ones < pass_mark else "Practice is over")
        if right_ones < pass_mark:
            visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Enter")


def check_timing(answers, timing, seen):
    """Every picture for its time to a frame, by the page's own record and by that of the watcher."""
    worst = 0
    for answer, watched in zip(answers, seen, strict=True):
        frame = answer["longest_frame_ms"]
        assert abs(answer["offset_ms"] - answer["onset_ms"] - answer["shown_ms"]) < 0.02
        late = abs(answer["shown_ms"] - timing["stimulus_ms"])
        assert late <= frame, f"{answer} stood {late:.1f} ms too long or short"
        assert abs(watched["off"] - watched["on"] - answer["shown_ms"]) <= frame, (answer, watched)
        assert 1 < answer["frame_ms"] < 40
        worst = max(worst, late)
    late = sorted(abs(answer["shown_ms"] - timing["stimulus_ms"]) for answer in answers)
    frame = sorted(answer["frame_ms"] for answer in answers)[len(answers) // 2]
    assert late[len(late) // 2] <= frame / 2 + 0.1, "most pictures stand as many frames as they should"
    print(
        f"{len(answers)} pictures of {timing['stimulus_ms']} ms: median {late[len(late) // 2]:.2f} ms off, worst {worst:.2f} ms; frames of {frame:.2f} ms"
    )


def check_files(json_path, csv_path, expected, task):
    saved = json.loads(json_path.read_text())
    rows = list(csv.DictReader(csv_path.open(newline="")))
    assert saved["format"] == "metamers-answers" and saved["complete"] and saved["choices"] == len(task["choices"])
    assert len(rows) == len(saved["answers"])
    for row, answer in zip(rows, saved["answers"]):
        for name, value in answer.items():
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            same = row[name] == text or float(row[name]) == value
            assert same, (name, row[name], value)
        assert row["session"] == saved["session"] and row["participant"] == saved["participant"]
    main = [answer for answer in saved["answers"] if answer["block"] != "practice"]
    assert [(answer["stimulus"], answer["condition"], answer["answer"]) for answer in main] == expected
    shown = [answer["stimulus"] for answer in main]
    everything = [each["id"] for each in task["stimuli"] + task["catch_trials"]]
    assert sorted(shown) == sorted(everything), "each stimulus once"
    loads = [sum(answer["condition"] == name for answer in main) for name in task["conditions"]]
    assert max(loads) - min(loads) <= 1, loads
    assert all(
        answer["correct"] == (None if answer["answer"] is None else answer["answer"] == answer["right"])
        for answer in main
    )
    return saved


def by_keyboard(browser, folder):
    visitor = Visitor(browser, (folder / "pictures.html").as_uri(), watch=True, viewport={"width": 1280, "height": 900})
    task = visitor.page.evaluate(
        "(({ stimuli, ...rest }) => ({ ...rest, stimuli: stimuli.map(({ id }) => ({ id })) }))(task)"
    )
    visitor.heading("What do you see?")
    visitor.look("start")
    begin_by_keyboard(visitor, CODE)
    practise(visitor, task["choices"], task["practice_pass"])
    trials = visitor.plan("main")
    said = dict(re.findall(rf"^{CODE} gets (\S+) as (.+)$", (folder / "said.txt").read_text(), re.M))
    for trial in trials:
        if trial["block"] == "main":
            assert task["conditions"][trial["condition"]] == said[trial["stimulus"]], "the library says who gets what"
    for person in ("Zoë", "a-long_code-2"):
        said = re.findall(rf"^{person} gets (\S+) as (.+)$", (folder / "said.txt").read_text(), re.M)
        got = visitor.page.evaluate("person => planned(person).main", person)
        assert dict(said) == {
            each["stimulus"]: task["conditions"][each["condition"]] for each in got if each["block"] == "main"
        }
    expected = []
    left = 5
    for number, trial in enumerate(trials):
        condition = "catch" if trial["block"] == "catch" else task["conditions"][trial["condition"]]
        # Wrong without a picture's pixels, right in catch trials: the analysis then has something to find.
        given = wrong(trial["right"], task["choices"]) if condition == "8 pixels" else trial["right"]
        if number == left:
            # A reload after the picture was shown: it does not come again.
            visitor.heading("What was it?")
            seen = visitor.page.evaluate("window.seen.map(({ on, off }) => ({ on, off }))")
            visitor.page.reload()
            visitor.heading("What do you see?")
            visitor.look("after-a-reload")
            visitor.page.get_by_role("button", name="Go on").press("Enter")
            expected.append((trial["stimulus"], condition, None))
            continue
        if number == 2:
            visitor.heading("What was it?")
            visitor.look("choices")
        answer_by_keyboard(visitor, given)
        expected.append((trial["stimulus"], condition, given))
    visitor.heading("That was all")
    visitor.look("end")
    # The trial that was left has no answer: its picture and mask are not compared.
    seen = seen[:-2] + visitor.page.evaluate("window.seen.map(({ on, off }) => ({ on, off }))")
    kept = folder / "answers"
    kept.mkdir(exist_ok=True)
    saved = check_files(
        visitor.save("Save answers (JSON)", kept), visitor.save("Save answers (CSV)", kept), expected, task
    )
    assert (
        saved["participant"] == CODE
        and saved["practice_attempts"] == 2
        and saved["practice_right"] == task["practice_pass"]
    )
    answers = [answer for answer in saved["answers"] if answer["answer"] is not None]
    check_timing(answers, task["timing"], pictures_of(seen))
    # The next person at this computer starts from nothing.
    visitor.page.get_by_role("button", name="Start anew").click()
    visitor.page.get_by_role("button", name="Really delete").click()
    visitor.heading("What do you see?")
    expect(visitor.page.get_by_role("button", name="Begin")).to_be_disabled()
    assert visitor.page.evaluate("localStorage.length") == 0
    visitor.leave()


def pictures_of(seen):
    """Picture and mask are both canvases: of each pair the first is the picture."""
    return seen[::2]


PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}


def slowly(browser, folder):
    """Cross, picture and mask at a tenth of their speed, for the screenshots."""
    for prefix, options in (("", {"viewport": {"width": 1280, "height": 900}}), ("phone-", PHONE)):
        visitor = Visitor(browser, (folder / "pictures.html").as_uri(), **options)
        visitor.page.evaluate("Object.assign(task.timing, { fixation_ms: 3000, stimulus_ms: 3000, mask_ms: 3000 })")
        visitor.page.get_by_label("I have read this").check()
        visitor.page.get_by_label("Your participant code").fill("slow")
        visitor.page.get_by_role("button", name="Begin").click()
        for phase, layer in (("cross", 1), ("picture", 2), ("mask", 3)):
            visitor.page.wait_for_selector(f".stand > :nth-child({layer}).on", state="visible", timeout=20_000)
            visitor.heading("Look at the cross")
            visitor.look(f"{prefix}{phase}")
        visitor.leave()


def by_touch(browser, folder):
    visitor = Visitor(browser, (folder / "pictures.html").as_uri(), **PHONE)
    page = visitor.page
    task = page.evaluate("(({ stimuli, ...rest }) => ({ ...rest, stimuli: stimuli.map(({ id }) => ({ id })) }))(task)")
    visitor.heading("What do you see?")
    visitor.look("phone-start")
    page.get_by_label("I have read this").tap()
    page.get_by_label("Your participant code").fill("phone-1")
    page.get_by_role("button", name="Begin").tap()
    expected = []
    for block in ("practice", "main"):
        for number, trial in enumerate(visitor.plan(block)):
            visitor.heading("What was it?")
            buttons = page.locator(".choices button")
            if number == 0:
                visitor.look(f"phone-{block}-choices")
                for box in (buttons.nth(k).bounding_box() for k in range(len(task["choices"]))):
                    assert box["width"] >= 44 and box["height"] >= 44, "a finger hits it"
                    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844, box
                assert page.evaluate(
                    "[...document.querySelectorAll('.choices button')].every(each => each.scrollWidth <= each.clientWidth)"
                ), "a word leaves its button"
            choice = page.get_by_role("button", name=trial["right"], exact=True)
            choice.tap() if number % 2 else choice.click()
            if block == "practice":
                visitor.heading("✓ Right")
                page.locator("button.main").tap()
            else:
                condition = "catch" if trial["block"] == "catch" else task["conditions"][trial["condition"]]
                expected.append((trial["stimulus"], condition, trial["right"]))
        if block == "practice":
            visitor.heading("Practice is over")
            page.locator("button.main").tap()
    visitor.heading("That was all")
    visitor.look("phone-end")
    kept = folder / "answers"
    saved = check_files(
        visitor.save("Save answers (JSON)", kept), visitor.save("Save answers (CSV)", kept), expected, task
    )
    assert all(answer["correct"] for answer in saved["answers"])
    visitor.leave()


def by_ear(browser, folder):
    visitor = Visitor(browser, (folder / "words.html").as_uri(), viewport={"width": 1280, "height": 900})
    page = visitor.page
    task = page.evaluate("(({ stimuli, ...rest }) => ({ ...rest, stimuli: stimuli.map(({ id }) => ({ id })) }))(task)")
    visitor.heading("Which word do you hear?")
    visitor.look("word-start")
    begin_by_keyboard(visitor, None)
    question = "Which word was it?"
    practise(visitor, task["choices"], task["practice_pass"], question)
    expected = []
    for number, trial in enumerate(visitor.plan("main")):
        condition = "catch" if trial["block"] == "catch" else task["conditions"][trial["condition"]]
        visitor.heading(question)
        if number == 0:
            # What is not in the list is not taken, and what is ambiguous asks again.
            page.keyboard.type("xyz")
            page.keyboard.press("Enter")
            expect(page.get_by_role("status")).to_contain_text("No word")
            page.keyboard.press("Control+a")
            page.keyboard.type("se")
            page.keyboard.press("Enter")
            expect(page.get_by_role("status")).to_contain_text("Several words")
            visitor.look("word-choices")
            page.keyboard.press("Control+a")
        if number == 3:
            # Whoever stops has answers to save, and may go on: with the next sound, since this one was heard.
            page.get_by_role("button", name="Stop here").click()
            visitor.heading("Stopped")
            page.get_by_role("button", name="Go on with the experiment").click()
            expected.append((trial["stimulus"], condition, None))
            continue
        if number == 1:
            page.keyboard.type(trial["right"][:3])
            page.get_by_role("button", name=trial["right"], exact=True).click()
        else:
            answer_by_keyboard(visitor, trial["right"].upper(), question)
        expected.append((trial["stimulus"], condition, trial["right"]))
    visitor.heading("That was all")
    kept = folder / "words"
    kept.mkdir(exist_ok=True)
    saved = check_files(
        visitor.save("Save answers (JSON)", kept), visitor.save("Save answers (CSV)", kept), expected, task
    )
    assert saved["participant"] == "" and saved["kind"] == "sound"
    for answer in (each for each in saved["answers"] if each["answer"] is not None):
        assert answer["shown_ms"] == 2000 and 1900 < answer["offset_ms"] - answer["onset_ms"] < 2700, answer
    visitor.leave()


def in_a_notebook(browser, folder):
    """In a frame that is denied storage and its parent's origin, as cautious front ends do it."""
    source = html.escape((folder / "pictures.html").read_text())
    outer = folder / "notebook.html"
    outer.write_text(
        f'<!DOCTYPE html><iframe sandbox="allow-scripts allow-downloads" srcdoc="{source}" style="width:100%;height:720px"></iframe>'
    )
    visitor = Visitor(browser, outer.as_uri(), viewport={"width": 900, "height": 800})
    visitor.trouble = []
    frame = visitor.page.frame_locator("iframe")
    expect(frame.locator(".notice")).to_contain_text("keeps nothing")
    frame.get_by_label("I have read this").check()
    frame.get_by_label("Your participant code").fill("n1")
    visitor.look("in-a-frame")
    frame.get_by_role("button", name="Begin").click()
    expect(frame.locator("h1")).to_have_text("What was it?", timeout=20_000)
    frame.get_by_role("button", name="bird").click()
    expect(frame.locator("h1")).to_have_text(re.compile("Right|No"))
    visitor.leave()


def main():
    folder = Path(sys.argv[1])
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    SHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for participant in (by_keyboard, by_touch, by_ear, slowly, in_a_notebook):
            participant(browser, folder)
            print(f"{participant.__name__}: passed")
        browser.close()


if __name__ == "__main__":
    main()
