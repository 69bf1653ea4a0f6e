"""Tests the recognition tasks of examples/recognition_task.rs with simulated participants in a browser.

They answer by keyboard, by touch on a phone, and to sounds. Started by tests/experiment/run, which makes the pages.
Screenshots go to target/experiment-screenshots, or with --keep to tests/experiment/screenshots.
"""

import csv
import html
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

HERE = Path(__file__).resolve().parent
SCREENSHOTS = HERE / "screenshots" if "--keep" in sys.argv[1:] else HERE.parents[1] / "target/experiment-screenshots"
CODE = "P07"
# Records when each image is visible, independently of the page: the times of the first frames with and without it.
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
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
# The task without its stimuli's data.
TASK = "(({ stimuli, ...rest }) => ({ ...rest, stimuli: stimuli.map(({ id }) => ({ id })) }))(task)"
VISIBLE_TIMES = "window.seen.map(({ on, off }) => ({ on, off }))"
VISIBLE_SIZES = "window.seen.map(({ canvas }) => [canvas.width, canvas.height])"
# Presents three layers on a screen whose frames have a fixed interval, and counts the frames that show each layer.
PRESENT = """
async ([timing, interval]) => {
    const original = window.requestAnimationFrame;
    const layers = [0, 1, 2].map(() => document.createElement("div"));
    const frames = [0, 0, 0];
    let now = 1000;
    window.requestAnimationFrame = callback => {
        const visible = layers.findIndex(layer => layer.classList.contains("on"));
        if (visible >= 0) frames[visible] += 1;
        now += interval;
        setTimeout(callback, 0, now);
    };
    try {
        const { shown_ms } = await presentPicture(document.createElement("div"), layers, timing, interval);
        return { frames, shown_ms };
    } finally {
        window.requestAnimationFrame = original;
    }
}
"""
# Shortens the task to three trials, without practice.
SHORTEN = "() => { task.practice.length = 0; task.stimuli.length = 3; task.catch_trials.length = 0; }"
# Shortens practice and task to three trials each, with blank pictures of three sizes.
SEVERAL_SIZES = """
() => {
    const blank = ([width, height]) => Object.assign(document.createElement("canvas"), { width, height }).toDataURL();
    const sources = [[224, 224], [120, 80], [60, 160]].map(blank);
    task.practice.length = task.stimuli.length = 3;
    task.catch_trials.length = 0;
    task.practice.forEach((item, k) => { item.source = sources[k]; });
    task.stimuli.forEach((item, k) => item.versions.forEach(version => { version.source = sources[k]; }));
}
"""
# Whether the browser would ask before it closes the page.
WOULD_ASK = "() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
# Stops all sounds during the first one, as a telephone call does.
CALL = """
() => {
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (...times) {
        AudioBufferSourceNode.prototype.start = start;
        start.apply(this, times);
        setTimeout(() => audio.suspend(), 1000);
    };
}
"""
# Stops only the clock of the sounds during the first one: for a second, or for good.
STALL = """
milliseconds => {
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (when) {
        AudioBufferSourceNode.prototype.start = start;
        const clock = Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, 'currentTime');
        const begun = audio.currentTime;
        const now = () => begun + Math.max(0, clock.get.call(audio) - begun - milliseconds / 1000);
        Object.defineProperty(audio, 'currentTime', { get: now, configurable: true });
        if (milliseconds < 60000) start.call(this, when + milliseconds / 1000);
    };
}
"""
# Keeps the page busy while the first sound ends.
BUSY = """
() => {
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (...times) {
        AudioBufferSourceNode.prototype.start = start;
        start.apply(this, times);
        const begun = performance.now();
        setTimeout(() => { while (performance.now() - begun < 3000); }, 1500);
    };
}
"""
# A browser or a machine that plays no sounds.
REFUSE_AUDIO = """
() => {
    window.original = AudioContext;
    window.AudioContext = class { constructor() { throw new Error('no device'); } };
}
"""
# Measures for how long the sounds take, in ms, independently of the page's own times.
MEASURE = """
() => {
    const original = playSound;
    window.durations = [];
    playSound = async sound => {
        const begun = performance.now();
        const shown = await original(sound);
        durations.push(performance.now() - begun);
        return shown;
    };
}
"""
MASK = "([width, height, number]) => maskFor({ width, height }, number).toDataURL()"
Json = dict[str, Any]
# A stimulus, its condition and the answer; None if the trial was interrupted.
Answer = tuple[str, str, str | None]


class Visitor:
    """A page that records errors, warnings and requests to the network as problems."""

    def __init__(self, browser: Browser, address: str, watch: bool = False, **options: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on(
            "console",
            lambda message: self.problems.append(message.text) if message.type in ("error", "warning") else None,
        )
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.check_request(request.url, address))
        if watch:
            self.page.add_init_script(WATCH)
        self.page.goto(address)
        self.width = options["viewport"]["width"]

    def check_request(self, url: str, address: str) -> None:
        if url != address and not url.startswith(("data:", "blob:")):
            self.problems.append(f"request for {url[:80]}")

    def screenshot(self, name: str) -> None:
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def expect_heading(self, text: str) -> None:
        expect(self.page.locator("h1")).to_have_text(text, timeout=20_000)
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width, (
            f"{text}: wider than the screen"
        )

    def task(self) -> Json:
        return self.page.evaluate(TASK)

    def plan(self, block: str) -> list[Json]:
        return self.page.evaluate(f"planTrials(state.assigned_by).{block}.map(({{ source, ...rest }}) => rest)")

    def save(self, label: str, folder: Path) -> Path:
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=label).click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def close(self) -> None:
        self.context.close()
        assert not self.problems, self.problems


def wrong_choice(correct: str, choices: list[str]) -> str:
    return choices[(choices.index(correct) + 1) % len(choices)]


def condition_name(task: Json, trial: Json) -> str:
    return "catch" if trial["block"] == "catch" else task["conditions"][trial["condition"]]


def answer_by_keyboard(visitor: Visitor, word: str, question: str = "What was it?") -> None:
    visitor.expect_heading(question)
    visitor.page.keyboard.type(word[:4] if question == "What was it?" else word)
    if question == "What was it?":
        expect(visitor.page.locator(".choices button:focus")).to_have_text(word)
    visitor.page.keyboard.press("Enter")


def begin_by_keyboard(visitor: Visitor, code: str | None) -> None:
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


def practise(visitor: Visitor, choices: list[str], pass_mark: int, question: str = "What was it?") -> None:
    """Fails one practice block, which has to be repeated, and passes the next."""
    for num_correct in (pass_mark - 1, pass_mark):
        trials = visitor.plan("practice")
        for number, trial in enumerate(trials):
            good = number < num_correct
            answer_by_keyboard(visitor, trial["right"] if good else wrong_choice(trial["right"], choices), question)
            visitor.expect_heading("✓ Correct" if good else "✗ Incorrect")
            expect(visitor.page.locator(".mark")).to_have_text(trial["right"])
            if num_correct == pass_mark and number == num_correct:
                visitor.screenshot("feedback" if question == "What was it?" else "word-feedback")
            visitor.page.keyboard.press("Enter")
        visitor.expect_heading("Practise once more" if num_correct < pass_mark else "Practice is over")
        if num_correct < pass_mark:
            visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Enter")


def check_timing(answers: list[Json], timing: Json, seen: list[Json]) -> None:
    """Checks that each image is shown for its duration to within a frame, in the page's record and in WATCH's."""
    worst = 0
    for answer, watched in zip(answers, seen, strict=True):
        frame = answer["longest_frame_ms"]
        assert abs(answer["offset_ms"] - answer["onset_ms"] - answer["shown_ms"]) < 0.02
        error = abs(answer["shown_ms"] - timing["stimulus_ms"])
        assert error <= frame, f"{answer}: off by {error:.1f} ms"
        assert abs(watched["off"] - watched["on"] - answer["shown_ms"]) <= frame, (answer, watched)
        assert 1 < answer["frame_ms"] < 40
        worst = max(worst, error)
    errors = sorted(abs(answer["shown_ms"] - timing["stimulus_ms"]) for answer in answers)
    median = errors[len(errors) // 2]
    frame = sorted(answer["frame_ms"] for answer in answers)[len(answers) // 2]
    assert median <= frame / 2 + 0.1, "most images must be shown for the correct number of frames"
    print(
        f"{len(answers)} images of {timing['stimulus_ms']} ms: median error {median:.2f} ms, "
        f"largest {worst:.2f} ms; frames of {frame:.2f} ms"
    )


def check_files(json_path: Path, csv_path: Path, expected: list[Answer], task: Json) -> Json:
    """Checks that the saved files hold the expected answers and agree with each other; returns the JSON file."""
    saved = json.loads(json_path.read_text())
    assert csv_path.read_bytes().startswith(b"\xef\xbb\xbf"), "Excel needs a byte order mark"
    with csv_path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert saved["format"] == "metamers-answers" and saved["complete"] and saved["choices"] == len(task["choices"])
    assert len(rows) == len(saved["answers"])
    for row, answer in zip(rows, saved["answers"], strict=True):
        for name, value in answer.items():
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            same = row[name] == text or float(row[name]) == value
            assert same, (name, row[name], value)
        assert row["session"] == saved["session"] and row["participant"] == saved["participant"]
    main = [answer for answer in saved["answers"] if answer["block"] != "practice"]
    assert [(answer["stimulus"], answer["condition"], answer["answer"]) for answer in main] == expected
    shown = [answer["stimulus"] for answer in main]
    everything = [each["id"] for each in task["stimuli"] + task["catch_trials"]]
    assert sorted(shown) == sorted(everything), "each stimulus must be shown once"
    loads = [sum(answer["condition"] == name for answer in main) for name in task["conditions"]]
    assert max(loads) - min(loads) <= 1, loads
    assert all(
        answer["correct"] == (None if answer["answer"] is None else answer["answer"] == answer["right"])
        for answer in main
    )
    return saved


def by_keyboard(browser: Browser, folder: Path) -> None:
    """Takes the task by keyboard, with a reload after an image was shown."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), watch=True, **DESKTOP)
    task = visitor.task()
    visitor.expect_heading("What do you see?")
    assert visitor.page.evaluate("document.activeElement === document.body"), "the page took the focus"
    visitor.screenshot("start")
    begin_by_keyboard(visitor, CODE)
    assert not visitor.page.evaluate(WOULD_ASK)
    practise(visitor, task["choices"], task["practice_pass"])
    trials = visitor.plan("main")
    check_assignment(visitor, (folder / "assignment.txt").read_text(), task, trials)
    expected, seen = answer_trials(visitor, task, trials)
    visitor.screenshot("end")
    kept = folder / "answers"
    kept.mkdir(exist_ok=True)
    assert visitor.page.evaluate(WOULD_ASK), "unsaved answers could be lost"
    check_copy(visitor)
    saved = check_files(
        visitor.save("Save answers (JSON)", kept), visitor.save("Save answers (CSV)", kept), expected, task
    )
    expect(visitor.page.locator("#screen")).to_contain_text("The file is in your downloads folder.")
    assert not visitor.page.evaluate(WOULD_ASK)
    assert saved["participant"] == CODE and saved["practice_attempts"] == 2
    assert saved["practice_right"] == task["practice_pass"]
    answers = [answer for answer in saved["answers"] if answer["answer"] is not None]
    # The image and the mask of a trial are both canvases, and the image comes first.
    check_timing(answers, task["timing"], seen[::2])
    # The next participant at this computer starts without stored answers.
    visitor.page.get_by_role("button", name="Start over").click()
    visitor.page.get_by_role("button", name="Really delete").click()
    visitor.expect_heading("What do you see?")
    expect(visitor.page.get_by_role("button", name="Begin")).to_be_disabled()
    assert visitor.page.evaluate("localStorage.length") == 0
    visitor.close()


def check_copy(visitor: Visitor) -> None:
    """Copies a part of the answers, which does not save them, and all of them, which does."""
    page = visitor.page
    page.get_by_text("No file?").click()
    copy = page.get_by_role("textbox", name="Your answers as text")
    copy.evaluate("copy => { copy.focus(); copy.setSelectionRange(0, copy.value.length - 1); }")
    page.keyboard.press("Control+c")
    assert page.evaluate(WOULD_ASK), "a part of the answers counts as saved"
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    assert not page.evaluate(WOULD_ASK), "a copy of the answers counts for nothing"
    page.evaluate("() => { state.saved = false; }")


def check_assignment(visitor: Visitor, printed: str, task: Json, trials: list[Json]) -> None:
    """Checks that the page assigns conditions to participants as the library printed them."""
    library = dict(re.findall(rf"^{CODE} gets (\S+) as (.+)$", printed, re.M))
    for trial in trials:
        if trial["block"] == "main":
            assert task["conditions"][trial["condition"]] == library[trial["stimulus"]], "page and library differ"
    for code in ("Zoë", "a-long_code-2"):
        library = dict(re.findall(rf"^{code} gets (\S+) as (.+)$", printed, re.M))
        planned = visitor.page.evaluate("participant => planTrials(participant).main", code)
        assert library == {
            trial["stimulus"]: task["conditions"][trial["condition"]] for trial in planned if trial["block"] == "main"
        }


def answer_trials(visitor: Visitor, task: Json, trials: list[Json]) -> tuple[list[Answer], list[Json]]:
    """Answers the trials and reloads the page in one; returns the answers and when images were visible."""
    expected: list[Answer] = []
    seen: list[Json] = []
    interrupted = 5
    for number, trial in enumerate(trials):
        condition = condition_name(task, trial)
        # Wrong answers at 8 pixels and correct answers in catch trials give the analysis an effect to find.
        given = wrong_choice(trial["right"], task["choices"]) if condition == "8 pixels" else trial["right"]
        if number == interrupted:
            # After a reload, the image of the interrupted trial is not shown again.
            visitor.expect_heading("What was it?")
            seen = visitor.page.evaluate(VISIBLE_TIMES)
            visitor.page.reload()
            visitor.expect_heading("What do you see?")
            expect(visitor.page.locator("#screen")).to_contain_text(f"of participant {CODE}")
            visitor.screenshot("after-reload")
            visitor.page.get_by_role("button", name="Continue").press("Enter")
            expected.append((trial["stimulus"], condition, None))
            continue
        if number == 2:
            visitor.expect_heading("What was it?")
            visitor.screenshot("choices")
        answer_by_keyboard(visitor, given)
        expected.append((trial["stimulus"], condition, given))
    visitor.expect_heading("Thank you!")
    # The interrupted trial has no answer, so its image and mask are dropped.
    return expected, seen[:-2] + visitor.page.evaluate(VISIBLE_TIMES)


def for_screenshots(browser: Browser, folder: Path) -> None:
    """Shows fixation cross, image and mask for three seconds each, for the screenshots."""
    for prefix, options in (("", DESKTOP), ("phone-", PHONE)):
        visitor = Visitor(browser, (folder / "images.html").as_uri(), **options)
        visitor.page.evaluate("Object.assign(task.timing, { fixation_ms: 3000, stimulus_ms: 3000, mask_ms: 3000 })")
        visitor.page.get_by_label("I have read this").check()
        visitor.page.get_by_label("Your participant code").fill("slow")
        visitor.page.get_by_role("button", name="Begin").click()
        for phase, layer in (("cross", 1), ("image", 2), ("mask", 3)):
            visitor.page.wait_for_selector(f".stand > :nth-child({layer}).on", state="visible", timeout=20_000)
            visitor.expect_heading("Look at the cross")
            visitor.screenshot(f"{prefix}{phase}")
        visitor.close()


def by_touch(browser: Browser, folder: Path) -> None:
    """Takes the task by touch on a phone."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **PHONE)
    page = visitor.page
    task = visitor.task()
    visitor.expect_heading("What do you see?")
    visitor.screenshot("phone-start")
    page.get_by_label("I have read this").tap()
    page.get_by_label("Your participant code").fill("phone-1")
    page.get_by_role("button", name="Begin").tap()
    expected = []
    for block in ("practice", "main"):
        for number, trial in enumerate(visitor.plan(block)):
            visitor.expect_heading("What was it?")
            buttons = page.locator(".choices button")
            if number == 0:
                visitor.screenshot(f"phone-{block}-choices")
                for box in (buttons.nth(k).bounding_box() for k in range(len(task["choices"]))):
                    assert box["width"] >= 44 and box["height"] >= 44, "a button must be large enough for a finger"
                    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844, box
                assert page.evaluate(
                    "[...document.querySelectorAll('.choices button')].every(b => b.scrollWidth <= b.clientWidth)"
                ), "a word must fit its button"
            choice = page.get_by_role("button", name=trial["right"], exact=True)
            choice.tap() if number % 2 else choice.click()
            if block == "practice":
                visitor.expect_heading("✓ Correct")
                page.locator("button.main").tap()
            else:
                condition = condition_name(task, trial)
                expected.append((trial["stimulus"], condition, trial["right"]))
        if block == "practice":
            visitor.expect_heading("Practice is over")
            page.locator("button.main").tap()
    visitor.expect_heading("Thank you!")
    visitor.screenshot("phone-end")
    kept = folder / "answers"
    saved = check_files(
        visitor.save("Save answers (JSON)", kept), visitor.save("Save answers (CSV)", kept), expected, task
    )
    assert all(answer["correct"] for answer in saved["answers"])
    visitor.close()


def with_sounds(browser: Browser, folder: Path) -> None:
    """Takes the task with sounds, stops once and continues."""
    visitor = Visitor(browser, (folder / "words.html").as_uri(), **DESKTOP)
    page = visitor.page
    task = visitor.task()
    visitor.expect_heading("Which word do you hear?")
    visitor.screenshot("word-start")
    check_test_sound(visitor)
    page.evaluate(MEASURE)
    begin_by_keyboard(visitor, None)
    question = "Which word was it?"
    practise(visitor, task["choices"], task["practice_pass"], question)
    expected = []
    for number, trial in enumerate(visitor.plan("main")):
        condition = condition_name(task, trial)
        visitor.expect_heading(question)
        if number == 0:
            # An unknown word is rejected, and an ambiguous one asks again.
            page.keyboard.type("xyz")
            page.keyboard.press("Enter")
            expect(page.get_by_role("status")).to_contain_text("No word")
            page.keyboard.press("Control+a")
            page.keyboard.type("se")
            page.keyboard.press("Enter")
            expect(page.get_by_role("status")).to_contain_text("Several words")
            expect(page.locator(".words")).to_contain_text("Several words")
            visitor.screenshot("word-choices")
            page.keyboard.press("Control+a")
        if number == 3:
            # A participant who stops can save the answers and continue with the next sound, since this one was played.
            page.get_by_role("button", name="Stop here").click()
            visitor.expect_heading("Experiment paused")
            page.get_by_role("button", name="Continue the experiment").click()
            expected.append((trial["stimulus"], condition, None))
            continue
        if number == 1:
            page.keyboard.type(trial["right"][:3])
            page.get_by_role("button", name=trial["right"], exact=True).click()
        else:
            answer_by_keyboard(visitor, trial["right"].upper(), question)
        expected.append((trial["stimulus"], condition, trial["right"]))
    visitor.expect_heading("Thank you!")
    kept = folder / "words"
    kept.mkdir(exist_ok=True)
    saved = check_files(
        visitor.save("Save answers (JSON)", kept), visitor.save("Save answers (CSV)", kept), expected, task
    )
    assert saved["participant"] == "" and saved["kind"] == "sound"
    for answer in (each for each in saved["answers"] if each["answer"] is not None):
        assert answer["shown_ms"] == 2000 and abs(answer["offset_ms"] - answer["onset_ms"] - 2000) < 0.02, answer
    # A sound begins 50 ms after its call. The bound is wide, for a busy machine.
    durations = page.evaluate("durations")
    assert len(durations) >= len(saved["answers"]) - 1 and all(2045 < each < 3000 for each in durations), durations
    visitor.close()


def check_test_sound(visitor: Visitor) -> None:
    """Plays the test sound, also where the browser refuses it."""
    page = visitor.page
    play = page.get_by_role("button", name="Play a test sound")
    page.evaluate("Object.defineProperty(navigator, 'audioSession', { value: { type: 'auto' } }) && undefined")
    page.evaluate(
        "() => { window.original = playNoise; playNoise = () => new Promise(done => { window.over = done; }); }"
    )
    page.get_by_label("I have read this").check()
    play.focus()
    page.keyboard.press("Enter")
    expect(play).to_have_attribute("aria-disabled", "true")
    # It can be pressed, but plays one sound at a time, and Enter does not begin the experiment.
    page.keyboard.press("Enter")
    expect(play).to_be_focused()
    visitor.expect_heading("Which word do you hear?")
    assert page.evaluate("navigator.audioSession.type") == "playback", "the switch of an iPhone mutes the sounds"
    page.evaluate("() => { playNoise = () => Promise.reject(new Error('not allowed')); over(); }")
    expect(play).not_to_have_attribute("aria-disabled", "true")
    expect(page.locator("#screen")).not_to_contain_text("not allow")
    page.keyboard.press("Enter")
    expect(page.locator("#screen")).to_contain_text("not allowed")
    expect(play).not_to_have_attribute("aria-disabled", "true")
    seconds = page.evaluate("async () => { playNoise = original; return (await playNoise()).shown_ms / 1000; }")
    assert seconds == 1, seconds
    page.get_by_label("I have read this").uncheck()


def with_a_call(browser: Browser, folder: Path) -> None:
    """A sound that is interrupted is played again, and its trial counts as interrupted."""
    visitor = Visitor(browser, (folder / "words.html").as_uri(), **DESKTOP)
    page = visitor.page
    page.get_by_label("I have read this").check()
    begins = page.locator("button.main")
    expected = []
    for stops in ([(CALL, None)], [(STALL, 1000), (STALL, 10**9)], []):
        for script, argument in stops:
            page.evaluate(script, argument)
            begins.click()
            visitor.expect_heading("Listen")
            visitor.expect_heading("The sound could not be presented")
            expect(page.locator("#screen")).to_contain_text("The sound was interrupted.")
            page.evaluate("delete audio.currentTime")
        if not stops:
            page.evaluate(BUSY)
        begins.click()
        trial = visitor.plan("practice")[len(expected)]
        answer_by_keyboard(visitor, trial["right"], "Which word was it?")
        visitor.expect_heading("✓ Correct")
        expected.append(bool(stops))
    # A page that is busy does not interrupt a sound.
    assert page.evaluate("state.answers.map(answer => answer.interrupted)") == expected
    visitor.close()


def without_audio(browser: Browser, folder: Path) -> None:
    """Where no sound can be played, a participant can stop, and later continue with the same sound."""
    visitor = Visitor(browser, (folder / "words.html").as_uri(), **DESKTOP)
    page = visitor.page
    page.evaluate(SHORTEN)
    page.evaluate(REFUSE_AUDIO)
    play = page.get_by_role("button", name="Play a test sound")
    play.click()
    expect(page.locator("#screen")).to_contain_text("no device")
    expect(play).not_to_have_attribute("aria-disabled", "true")
    page.get_by_label("I have read this").check()
    page.get_by_role("button", name="Begin").click()
    visitor.expect_heading("The sound could not be presented")
    expect(page.locator("#screen")).to_contain_text("does not allow")
    page.get_by_role("button", name="Stop here").click()
    visitor.expect_heading("Experiment paused")
    expect(page.get_by_role("button", name="Save answers (JSON)")).to_be_enabled()
    page.get_by_role("button", name="Continue the experiment").click()
    visitor.expect_heading("The sound could not be presented")
    page.evaluate("() => { window.AudioContext = original; }")
    page.get_by_role("button", name="Try again").click()
    visitor.expect_heading("Which word was it?")
    expect(page.locator(".foot")).to_contain_text("1 of 3")
    assert page.evaluate("state.answers.length") == 0, "a sound that nobody heard was skipped"
    visitor.close()


def stopped_in_practice(browser: Browser, folder: Path) -> None:
    """Stops in the practice and continues with its start."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    begin_by_mouse(visitor, "stopped")
    for trial in visitor.plan("practice")[:1]:
        answer_by_mouse(visitor, trial["right"])
        visitor.expect_heading("✓ Correct")
        visitor.page.locator("button.main").click()
    visitor.expect_heading("What was it?")
    visitor.page.get_by_role("button", name="Stop here").click()
    visitor.expect_heading("Experiment paused")
    visitor.page.get_by_role("button", name="Continue the experiment").click()
    visitor.expect_heading("What was it?")
    expect(visitor.page.locator(".foot")).to_contain_text("1 of 12")
    visitor.close()


def in_old_browsers(browser: Browser, folder: Path) -> None:
    """A browser that does not know the syntax of the script shows a reason."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "images.html").as_uri())
    expect(page.locator("#screen")).to_contain_text("the browser is too old")
    context.close()


def focus_nothing(visitor: Visitor) -> None:
    """Clicks beside all controls, so that no element has the focus."""
    visitor.page.mouse.click(2, visitor.page.viewport_size["height"] - 2)
    assert visitor.page.evaluate("document.activeElement === document.body"), "the click focused an element"


def with_focus_elsewhere(browser: Browser, folder: Path) -> None:
    """Takes the practice and some trials by keyboard, after clicks that remove the focus from the controls."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    page, press = visitor.page, visitor.page.keyboard.press
    page.get_by_label("I have read this").check()
    page.get_by_label("Your participant code").fill("focus")
    focus_nothing(visitor)
    press("Enter")
    for trial in visitor.plan("practice"):
        visitor.expect_heading("What was it?")
        focus_nothing(visitor)
        page.keyboard.type(trial["right"][:4])
        expect(page.locator(".choices button:focus")).to_have_text(trial["right"])
        # A key that is held down gives one answer.
        page.keyboard.down("Enter")
        page.keyboard.down("Enter")
        page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        visitor.expect_heading("✓ Correct")
        focus_nothing(visitor)
        press("Enter")
    visitor.expect_heading("Practice is over")
    focus_nothing(visitor)
    press("Enter")
    for keys in (["ArrowDown"], ["End", "ArrowLeft"], ["b", "e"]):
        visitor.expect_heading("What was it?")
        # The focus of another control does not matter either.
        page.get_by_role("button", name="Stop here").focus()
        for key in keys:
            press(key)
        expect(page.locator(".choices button:focus")).to_have_count(1)
        press("Enter")
    visitor.close()
    words = Visitor(browser, (folder / "words.html").as_uri(), **DESKTOP)
    words.page.get_by_label("I have read this").check()
    focus_nothing(words)
    words.page.keyboard.press("Enter")
    words.expect_heading("Which word was it?")
    trial = words.plan("practice")[0]
    focus_nothing(words)
    words.page.keyboard.type(trial["right"][:2])
    expect(words.page.get_by_role("textbox")).to_have_value(trial["right"][:2])
    focus_nothing(words)
    words.page.keyboard.type(trial["right"][2:])
    focus_nothing(words)
    words.page.keyboard.press("Enter")
    words.expect_heading("✓ Correct")
    words.close()


def begin_by_mouse(visitor: Visitor, code: str) -> None:
    visitor.page.get_by_label("I have read this").check()
    visitor.page.get_by_label("Your participant code").fill(code)
    visitor.page.get_by_role("button", name="Begin").click()


def answer_by_mouse(visitor: Visitor, word: str) -> None:
    visitor.expect_heading("What was it?")
    visitor.page.get_by_role("button", name=word, exact=True).click()


def with_short_durations(browser: Browser, folder: Path) -> None:
    """Checks that a duration above 0 takes at least one frame, and a duration of 0 none."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    for rate, durations, frames in (
        (60, (300, 300, 300), [18, 18, 18]),
        (60, (0, 40, 0), [0, 2, 0]),
        (60, (0, 8, 0), [0, 1, 0]),
        (60, (8, 8, 8), [1, 1, 1]),
        (30, (0, 16, 0), [0, 1, 0]),
    ):
        timing = dict(zip(("fixation_ms", "stimulus_ms", "mask_ms"), durations, strict=True))
        found = visitor.page.evaluate(PRESENT, [timing, 1000 / rate])
        assert found["frames"] == frames, (rate, durations, found)
        assert abs(found["shown_ms"] - frames[1] * 1000 / rate) < 0.01, (rate, durations, found)
    visitor.close()


def with_pictures_of_several_sizes(browser: Browser, folder: Path) -> None:
    """Checks that each mask has the size of its picture, and that no mask depends on earlier trials."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), watch=True, **DESKTOP)
    visitor.page.evaluate(SEVERAL_SIZES)
    visitor.page.evaluate("() => { task.practice_pass = 0; }")
    begin_by_mouse(visitor, "sizes")
    for trial in visitor.plan("practice"):
        answer_by_mouse(visitor, trial["right"])
        visitor.expect_heading("✓ Correct")
        visitor.page.locator("button.main").click()
    visitor.expect_heading("Practice is over")
    visitor.page.locator("button.main").click()
    for trial in visitor.plan("main"):
        answer_by_mouse(visitor, trial["right"])
    visitor.expect_heading("Thank you!")
    sizes = visitor.page.evaluate(VISIBLE_SIZES)
    pictures, masks = sizes[::2], sizes[1::2]
    for block in (pictures[:3], pictures[3:]):
        assert sorted(block) == [[60, 160], [120, 80], [224, 224]], sizes
    assert masks == pictures, sizes
    # On another page, the masks are drawn in another order.
    other = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    keys = [[width, height, number] for width, height in masks[:3] for number in (0, 1, 7)]
    found = [visitor.page.evaluate(MASK, key) for key in keys]
    assert found[::-1] == [other.page.evaluate(MASK, key) for key in keys[::-1]], "a mask depends on earlier ones"
    assert len(set(found)) == 6, "masks of numbers 1 and 7 are equal, and all others differ"
    other.close()
    visitor.close()


def closed_after_an_answer(browser: Browser, folder: Path) -> None:
    """Reloads the page right after an answer, pauses, and comes back after the end."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    page = visitor.page
    page.evaluate(SHORTEN)
    begin_by_mouse(visitor, "closed")
    trials = visitor.plan("main")
    visitor.expect_heading("What was it?")
    # The wait between trials does not end, so that the page is certainly closed in it.
    page.evaluate(
        """() => {
            const original = window.setTimeout;
            window.setTimeout = (done, ms, ...rest) => ms === INTER_TRIAL_MS ? 0 : original(done, ms, ...rest);
        }"""
    )
    answer_by_mouse(visitor, trials[0]["right"])
    expect(page.locator("#screen > *")).to_have_count(0)
    page.reload()
    visitor.expect_heading("What do you see?")
    stored = page.evaluate("JSON.parse(localStorage.getItem(KEY))")
    assert [answer["answer"] for answer in stored["answers"]] == [trials[0]["right"]], stored
    assert stored["next"] == 1 and stored["ended"] is None, stored
    page.evaluate(SHORTEN)
    page.get_by_role("button", name="Continue").click()
    visitor.expect_heading("What was it?")
    expect(page.locator(".foot")).to_contain_text("2 of 3")
    page.get_by_role("button", name="Stop here").click()
    visitor.expect_heading("Experiment paused")
    paused = page.evaluate("state.ended")
    page.get_by_role("button", name="Continue the experiment").click()
    answer_by_mouse(visitor, trials[2]["right"])
    visitor.expect_heading("Thank you!")
    ended = page.evaluate("state.ended")
    assert paused < ended, "the end is later than the pause"
    page.reload()
    page.get_by_role("button", name="Go to my answers").click()
    visitor.expect_heading("Thank you!")
    assert page.evaluate("state.ended") == ended, "a later look at the answers changed the end"
    stored = page.evaluate("JSON.parse(localStorage.getItem(KEY))")
    expected = [(trials[0]["stimulus"], trials[0]["right"]), (trials[1]["stimulus"], None)]
    expected.append((trials[2]["stimulus"], trials[2]["right"]))
    assert [(answer["stimulus"], answer["answer"]) for answer in stored["answers"]] == expected, stored
    visitor.close()


def assignments(browser: Browser, folder: Path) -> None:
    """Compares assignments of the page with the file that the library's unit tests compare with, too."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    cases = json.loads((HERE / "assignments.json").read_text(encoding="utf-8"))
    found = visitor.page.evaluate(
        "cases => cases.map(({ text, available, conditions }) => assign(generator(text), available, conditions))", cases
    )
    assert found == [case["chosen"] for case in cases], "page and file differ"
    visitor.close()


def formulas_in_csv(browser: Browser, folder: Path) -> None:
    """Checks that the CSV file of the answers holds no text that a spreadsheet takes for a formula."""
    visitor = Visitor(browser, (folder / "images.html").as_uri(), **DESKTOP)
    csv_text = visitor.page.evaluate(
        """() => toCsv({ participant: "-1+1", session: "s", answers: [
            { stimulus: "=HYPERLINK(1)", condition: "@x", answer: 'a"b', response_ms: -5.5 }] })"""
    )
    row = next(csv.DictReader(csv_text.splitlines()))
    found = [row[name] for name in ("participant", "stimulus", "condition", "answer", "response_ms")]
    assert found == ["'-1+1", "'=HYPERLINK(1)", "'@x", 'a"b', "-5.5"], found
    visitor.close()


def in_a_notebook(browser: Browser, folder: Path) -> None:
    """Starts the task in a sandboxed frame, without storage and without the origin of its parent."""
    source = html.escape((folder / "images.html").read_text())
    outer = folder / "notebook.html"
    outer.write_text(
        f'<!DOCTYPE html><iframe sandbox="allow-scripts allow-downloads" srcdoc="{source}" '
        'style="width:100%;height:720px"></iframe>'
    )
    visitor = Visitor(browser, outer.as_uri(), viewport={"width": 900, "height": 800})
    visitor.problems = []
    frame = visitor.page.frame_locator("iframe")
    expect(frame.locator(".notice")).to_contain_text("cannot store")
    frame.get_by_label("I have read this").check()
    frame.get_by_label("Your participant code").fill("n1")
    visitor.screenshot("in-a-frame")
    frame.get_by_role("button", name="Begin").click()
    expect(frame.locator("h1")).to_have_text("What was it?", timeout=20_000)
    frame.get_by_role("button", name="bird").click()
    expect(frame.locator("h1")).to_have_text(re.compile("Correct|Incorrect"))
    visitor.close()


def main() -> None:
    folder = Path(sys.argv[1])
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for participant in (
            by_keyboard,
            with_focus_elsewhere,
            by_touch,
            with_sounds,
            with_a_call,
            without_audio,
            stopped_in_practice,
            in_old_browsers,
            with_short_durations,
            with_pictures_of_several_sizes,
            closed_after_an_answer,
            assignments,
            formulas_in_csv,
            for_screenshots,
            in_a_notebook,
        ):
            participant(browser, folder)
            print(f"{participant.__name__}: passed")
        browser.close()


if __name__ == "__main__":
    main()
