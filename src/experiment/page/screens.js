// What is not a trial: the beginning, the end, and what every screen is made of.

const screenOf = document.getElementById("screen");

// Puts up a screen and its heading in focus, from where a screen reader reads on.
function put(title, ...children) {
  const heading = element("h1", { tabIndex: -1, textContent: title });
  screenOf.replaceChildren(heading, ...children);
  window.scrollTo(0, 0);
  heading.focus({ preventScroll: true });
}

const text = words => element("p", { className: "text", textContent: words });
const quiet = words => element("p", { className: "text quiet", textContent: words });
const button = (words, onclick, className = "") => element("button", { type: "button", textContent: words, onclick, className });
const pressed = words => new Promise(done => {
  const next = button(words, () => done(), "main");
  screenOf.append(element("div", { className: "row" }, next));
  next.focus({ preventScroll: true });
});

function finish() {
  state.ended = new Date().toISOString();
  keep(state);
  const json = () => JSON.stringify(report(state), null, 1);
  const saved = (ending, type, content) => () => {
    state.saved = true;
    keep(state);
    download(fileName(state, ending), type, content());
    say("The file is in your downloads.");
  };
  const copy = element("textarea", { readOnly: true, value: json(), "aria-label": "The answers as text" });
  const parts = [
    text("Thank you. Save your answers, and give the file to the person who gave you this page. Nothing has been sent anywhere."),
    element("div", { className: "row" }, button("Save answers (JSON)", saved("json", "application/json", json), "main"), button("Save answers (CSV)", saved("csv", "text/csv", () => csv(state)))),
    element("details", {}, element("summary", { textContent: "No file appears? Copy the text." }), copy),
    element("div", { className: "row" }, anew()),
  ];
  if (!state.complete) parts[3].prepend(button("Go on with the experiment", () => go()));
  put(state.complete ? "That was all" : "Stopped", ...parts);
}

// Starts over for another person; asks before answers are deleted that may exist nowhere else.
function anew() {
  const again = button("Start anew for another person", () => {
    if (again.dataset.asked) {
      state = null;
      keep(null);
      start();
    } else {
      again.dataset.asked = "yes";
      again.textContent = `Really delete these ${state.answers.length} answers and start anew`;
    }
  });
  return again;
}

function instructions() {
  const trials = task.stimuli.length + task.catch_trials.length;
  const seen = isSound
    ? `You hear ${trials} sounds, each once. After each, ${task.typed ? "type or choose" : "choose"} the word that you heard.`
    : `You see ${trials} pictures, each once and for less than half a second, then a coloured pattern. After each, choose what it was.`;
  const practice = task.practice.length > 0 ? ` Before that you practise on ${task.practice.length}, and are told what was right.` : "";
  const keys = task.typed
    ? "Keyboard: type the word and press Enter."
    : "Keyboard: arrow keys or the first letters of the word, then Enter. Or click, or tap.";
  const calm = isSound ? "Use headphones if you can." : "Sit at a comfortable distance, and look at the cross.";
  return task.instructions || `${seen}${practice}\n${calm}\n${keys}`;
}

function testSound() {
  return button("Play a test sound, and set the volume", async () => {
    await wakeAudio();
    const [rate, seconds] = [audio.sampleRate, 1];
    const sound = audio.createBuffer(1, rate * seconds, rate);
    // Noise at the level that the sounds usually have: root mean square 0.1.
    const samples = sound.getChannelData(0);
    for (let k = 0; k < samples.length; k++) samples[k] = (Math.random() - 0.5) * 2 * 0.173 * Math.min(1, k / 2000, (samples.length - k) / 2000);
    await playSound(sound).catch(problem => say(problem.message));
  });
}

function start() {
  keep(state);
  const parts = [];
  if (!keeps) {
    parts.push(element("p", { className: "notice", textContent: "This browser keeps nothing for this page. Do not reload or close it before you have saved your answers." }));
  }
  if (state !== null) {
    put(task.title, text(`You have begun already: ${state.answers.length} answers are kept in this browser.`),
      element("div", { className: "row" }, button(state.complete ? "To my answers" : "Go on", () => state.complete ? finish() : go(), "main"), anew()));
    return;
  }
  parts.push(text(instructions()));
  if (isSound) parts.push(element("div", { className: "row" }, testSound()));
  parts.push(quiet("Your answers stay on this device until you save them as a file yourself. You may stop at any time."));
  const agreed = element("input", { type: "checkbox", id: "agreed" });
  const code = element("input", { type: "text", id: "code", maxLength: 32, autocomplete: "off", autocapitalize: "off", spellcheck: false });
  const begin = button("Begin", () => begun(code.value.trim()), "main");
  const wrong = element("p", { className: "quiet", id: "wrong" });
  const check = () => {
    const named = !task.participant_code || /^[\p{L}\p{N}_-]{1,32}$/u.test(code.value.trim());
    wrong.textContent = named || code.value === "" ? "" : "A code has letters, digits, - and _ only.";
    begin.disabled = !named || (task.consent !== "" && !agreed.checked);
  };
  if (task.consent !== "") {
    parts.push(element("div", { className: "consent text", textContent: task.consent, tabIndex: 0, role: "region", "aria-label": "Consent" }));
    parts.push(element("label", { className: "check" }, agreed, element("span", { textContent: "I have read this and agree to take part." })));
  }
  if (task.participant_code) parts.push(element("label", {}, "Your participant code", code), wrong);
  agreed.onchange = check;
  code.oninput = check;
  code.onkeydown = event => { if (event.key === "Enter" && !begin.disabled) begin.click(); };
  check();
  put(task.title, ...parts, element("div", { className: "row" }, begin));
}
