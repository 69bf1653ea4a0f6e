// The first and the last screen, and the elements of all screens.

const screenElement = document.getElementById("screen");

// The handler of the current screen's keys, which works wherever the focus is, for instance after a click beside the buttons.
let screenKeys = null;
const isButton = node => node instanceof HTMLButtonElement;
document.addEventListener("keydown", event => {
  // A key that is held down does not run through several screens.
  if (event.repeat && isButton(event.target) && (event.key === "Enter" || event.key === " ")) event.preventDefault();
  else if (!event.defaultPrevented && !event.isComposing) screenKeys?.(event);
});

// Returns a handler that presses a button on Enter, except in an element that has its own use for Enter.
const pressOnEnter = target => event => {
  if (event.key !== "Enter" || event.repeat || target.disabled) return;
  if (event.target instanceof Element && event.target.closest("button, a, summary, textarea, input[type=text]")) return;
  event.preventDefault();
  target.click();
};

// Shows a screen and focuses its heading, where screen readers start to read. The first one leaves the focus of the page around a frame.
let isFirstScreen = true;
function showScreen(title, ...children) {
  screenKeys = null;
  const heading = element("h1", { tabIndex: -1, textContent: title });
  screenElement.replaceChildren(heading, ...children);
  window.scrollTo(0, 0);
  if (!isFirstScreen) heading.focus({ preventScroll: true });
  isFirstScreen = false;
}

const text = words => element("p", { className: "text", textContent: words });
const quiet = words => element("p", { className: "text quiet", textContent: words });
const button = (words, onclick, className = "") => element("button", { type: "button", textContent: words, onclick, className });
// Adds a button, and perhaps another beside it. Resolves when one is pressed, with whether it is the first.
const buttonPress = (words, other) => new Promise(done => {
  const next = button(words, () => done(true), "main");
  const beside = other ? [button(other, () => done(false), "small")] : [];
  screenElement.append(element("div", { className: "row" }, next, ...beside));
  next.focus({ preventScroll: true });
  screenKeys = pressOnEnter(next);
});

const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function showEnd() {
  // Unchanged when the screen is shown again, such as after a reload; `runExperiment` clears it.
  state.ended ??= new Date().toISOString();
  storeState(state);
  const json = () => JSON.stringify(toRecord(state), null, 1);
  const keep = () => {
    state.saved = true;
    storeState(state);
  };
  const message = quiet("");
  const save = (extension, type, content) => () => {
    keep();
    download(fileName(state, extension), type, content());
    tell(message, "The file is in your downloads folder.");
  };
  // By the byte order mark, Excel recognises UTF-8.
  const csv = () => `\ufeff${toCsv(state)}`;
  const saveRequest = "save your answers and give the file to the experimenter. They have not been sent anywhere.";
  // A part of the text is no copy of the answers.
  const oncopy = () => { if (copy.selectionEnd - copy.selectionStart === copy.value.length) keep(); };
  const copy = element("textarea", { readOnly: true, value: json(), oncopy, "aria-label": "Your answers as text" });
  const parts = [
    text(state.complete ? `You have completed the experiment. Please ${saveRequest}` : `You can continue whenever you like. If you prefer to stop here, please ${saveRequest}`),
    element("div", { className: "row" }, button("Save answers (JSON)", save("json", "application/json", json), "main"), button("Save answers (CSV)", save("csv", "text/csv", csv))),
    message,
    element("details", {}, element("summary", { textContent: "No file? Copy your answers as text." }), copy),
    element("div", { className: "row" }, startOverButton()),
  ];
  if (!state.complete) parts[parts.length - 1].prepend(button("Continue the experiment", () => runExperiment()));
  showScreen(state.complete ? "Thank you!" : "Experiment paused", ...parts);
}

// Starts over for another participant. Asks first, because this may delete the only copy of the answers.
function startOverButton() {
  const again = button("Start over for another participant", () => {
    if (again.dataset.asked) {
      state = null;
      storeState(null);
      showStart();
    } else {
      again.dataset.asked = "yes";
      again.textContent = `Really delete ${counted(state.answers.length, "answer")} and start over`;
    }
  });
  return again;
}

function instructions() {
  const trials = task.stimuli.length + task.catch_trials.length;
  const { stimulus_ms, mask_ms } = task.timing;
  const duration = stimulus_ms < 1000 ? "less than a second" : counted(round(stimulus_ms / 1000), "second");
  const mask = mask_ms > 0 ? " and is followed by a coloured pattern" : "";
  const choose = task.typed ? "type or choose" : "choose";
  const overview = isSound
    ? `You will hear ${counted(trials, "sound")}, each once. After each one, ${choose} the word that you heard.`
    : `You will see ${counted(trials, "picture")}, each once. Each appears for ${duration}${mask}. Then ${choose} what you saw.`;
  const practice = task.practice.length > 0 ? ` You start with ${counted(task.practice.length, "practice trial")} with feedback.` : "";
  const posture = isSound ? "Please use headphones if you can." : "Please sit at a comfortable distance from the screen, and look at the cross.";
  const keys = task.typed
    ? "To answer, type the word and press Enter."
    : "To answer, click or tap a word. You can also use the keyboard: arrow keys or the first letters of the word, then Enter.";
  return task.instructions || `${overview}${practice}\n${posture}\n${keys}`;
}

// Plays noise for a second.
function playNoise() {
  const rate = audio.sampleRate;
  const sound = audio.createBuffer(1, rate, rate);
  // Uniform noise with a root mean square of 0.1, the usual level of the sounds, and ramps of 2000 samples.
  const samples = sound.getChannelData(0);
  for (let k = 0; k < samples.length; k++) samples[k] = (Math.random() - 0.5) * 2 * 0.173 * Math.min(1, k / 2000, (samples.length - k) / 2000);
  return playSound(sound);
}

function testSound() {
  const message = element("span", { className: "quiet" });
  const play = button("Play a test sound to set the volume", async () => {
    // Not disabled, by which it would lose the focus in Chrome: Enter would begin the experiment.
    if (play.getAttribute("aria-disabled")) return;
    play.setAttribute("aria-disabled", "true");
    tell(message, "");
    try {
      await resumeAudio();
      await playNoise();
    } catch (problem) {
      tell(message, problem.message);
    }
    play.removeAttribute("aria-disabled");
  });
  return element("div", { className: "row" }, play, message);
}

function showStart() {
  storeState(state);
  const parts = [];
  if (!canStore) {
    parts.push(element("p", { className: "notice", textContent: "This browser cannot store your answers. Please do not reload or close this page before you have saved them." }));
  }
  if (state !== null) {
    const next = button(state.complete ? "Go to my answers" : "Continue", () => state.complete ? showEnd() : runExperiment(), "main");
    const whose = state.participant ? `participant ${state.participant}` : `the participant who began on ${new Date(state.begun).toLocaleString()}`;
    showScreen(task.title, text(`Welcome back. This browser has stored ${counted(state.answers.length, "answer")} of ${whose}. If that is not you, please ask the experimenter before you start over.`),
      element("div", { className: "row" }, next, startOverButton()));
    screenKeys = pressOnEnter(next);
    return;
  }
  parts.push(text(instructions()));
  if (isSound) parts.push(testSound());
  parts.push(quiet("Your answers stay on this device, and you save them yourself at the end. You may stop at any time."));
  const agreed = element("input", { type: "checkbox", id: "agreed" });
  const code = element("input", { type: "text", id: "code", maxLength: 32, autocomplete: "off", autocapitalize: "off", spellcheck: false });
  const begin = button("Begin", () => startSession(code.value.trim()), "main");
  const codeError = element("p", { className: "quiet", id: "wrong" });
  const check = () => {
    const validCode = !task.participant_code || /^[\p{L}\p{N}_-]{1,32}$/u.test(code.value.trim());
    codeError.textContent = validCode || code.value === "" ? "" : "A code may contain only letters, digits, - and _.";
    begin.disabled = !validCode || (task.consent !== "" && !agreed.checked);
  };
  if (task.consent !== "") {
    parts.push(element("div", { className: "consent text", textContent: task.consent, tabIndex: 0, role: "region", "aria-label": "Consent" }));
    parts.push(element("label", { className: "check" }, agreed, element("span", { textContent: "I have read this and agree to take part." })));
  }
  if (task.participant_code) parts.push(element("label", {}, "Your participant code", code), codeError);
  agreed.onchange = check;
  code.oninput = check;
  code.onkeydown = event => { if (event.key === "Enter" && !begin.disabled) begin.click(); };
  check();
  showScreen(task.title, ...parts, element("div", { className: "row" }, begin));
  screenKeys = pressOnEnter(begin);
}
