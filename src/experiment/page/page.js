// The course of the experiment: consent, practice, trials, answers.

const screenOf = document.getElementById("screen");
const GAP_MS = 400;
const REST_EVERY = 50;
const isSound = task.kind === "sound";
const thing = isSound ? "sound" : "picture";

let state = kept();
let interval = 1000 / 60;
let masks = [];
let disturbed = false;
document.addEventListener("visibilitychange", () => { if (document.hidden) disturbed = true; });
window.addEventListener("beforeunload", event => {
  if (!keeps && state !== null && state.answers.length > 0 && !state.saved) event.preventDefault();
});

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

function randomHex() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), byte => byte.toString(16).padStart(2, "0")).join("");
}

// The trials of a person: each stimulus once, in the condition that chance gives it, among the catch trials.
function planned(person) {
  const available = task.stimuli.map(stimulus => stimulus.versions.map(version => version.condition));
  const chosen = assign(generator(`${task.seed}:${person}:conditions`), available, task.conditions.length);
  const trials = task.stimuli.map((stimulus, k) => {
    const version = stimulus.versions.find(each => each.condition === chosen[k]);
    return { block: "main", stimulus: stimulus.id, right: stimulus.answer, condition: version.condition, source: version.source };
  });
  const single = block => item => ({ block, stimulus: item.id, right: item.answer, condition: null, source: item.source });
  trials.push(...task.catch_trials.map(single("catch")));
  const order = generator(`${task.seed}:${person}:order`);
  const practice = task.practice.map(single("practice"));
  return { main: order.shuffled(trials.length).map(k => trials[k]), practice: order.shuffled(practice.length).map(k => practice[k]) };
}

async function present(trial, number) {
  if (isSound) {
    const stand = element("div", { className: "stand" });
    put("Listen", stand);
    const fixation = element("div", { className: "fixation on" });
    stand.append(fixation);
    const sound = await soundFrom(trial.source);
    const begun = await frame();
    while (await frame() - begun < task.timing.fixation_ms);
    return playSound(sound);
  }
  const stand = element("div", { className: "stand", "aria-label": "The picture appears here.", role: "img" });
  put("Look at the cross", stand);
  const picture = await decoded(trial.source);
  const fixation = element("div", { className: "fixation" });
  return presentPicture(stand, [fixation, picture, masks[number % masks.length]], task.timing, interval);
}

function ask(trial, number, of, canStop) {
  return new Promise(done => {
    const place = element("div");
    const stop = canStop ? [button("Stop here", () => done(null), "small")] : [];
    const bar = element("progress", { max: of, value: number, "aria-label": `trial ${number + 1} of ${of}` });
    const foot = element("div", { className: "foot" }, element("span", { className: "quiet" }, `${number + 1} of ${of} `, bar), ...stop);
    put(isSound ? "Which word was it?" : "What was it?", place, foot);
    const begun = performance.now();
    const answered = word => {
      const response_ms = performance.now() - begun;
      screenOf.replaceChildren();
      done({ answer: word, response_ms });
    };
    (task.typed ? askByTyping : askByButtons)(place, task.choices, answered);
  });
}

// One trial, from the cross to the answer; null when the person stops.
async function run(trial, number, of, canStop) {
  disturbed = document.hidden;
  let shown;
  try {
    shown = await present(trial, number);
  } catch (problem) {
    put("This could not be presented", text(`${problem.message ?? problem}`));
    await pressed("Try again");
    if (isSound) await wakeAudio().catch(() => {});
    return run(trial, number, of, canStop);
  }
  const interrupted = disturbed;
  const answer = await ask(trial, number, of, canStop);
  if (answer === null) return null;
  return { ...record(trial, number), ...shown, ...answer, correct: answer.answer === trial.right, interrupted };
}

function record(trial, number) {
  return {
    block: trial.block, trial: number + 1, stimulus: trial.stimulus, condition: trial.condition === null ? trial.block : task.conditions[trial.condition],
    condition_index: trial.condition, right: trial.right,
  };
}

async function practise(trials) {
  while (trials.length > 0 && state.practice_right === null) {
    let right = 0;
    for (const [number, trial] of trials.entries()) {
      const answer = await run(trial, number, trials.length, false);
      state.answers.push(answer);
      keep(state);
      right += answer.correct ? 1 : 0;
      put(answer.correct ? "✓ Right" : "✗ No", element("p", {}, "It was ", element("span", { className: "mark", textContent: trial.right }), "."));
      await pressed(number + 1 < trials.length ? "Next" : "Go on");
    }
    state.practice_attempts += 1;
    const passed = right >= task.practice_pass;
    if (passed) state.practice_right = right;
    keep(state);
    const score = `You had ${right} of ${trials.length} right.`;
    if (passed) {
      put("Practice is over", text(`${score} Now the experiment begins. There is no feedback any more, and many of the ${thing}s are hard or impossible to recognise: then give your best guess.`));
      await pressed("Begin");
    } else {
      put("Once more", text(`${score} It takes ${task.practice_pass} to go on. Practise again, or ask the person who gave you this page.`));
      await pressed("Practise again");
    }
  }
}

async function main(trials) {
  while (state.next < trials.length) {
    const number = state.next;
    const trial = trials[number];
    if (number > 0 && number % REST_EVERY === 0) {
      put("A rest", text(`${number} of ${trials.length} are done. Rest your ${isSound ? "ears" : "eyes"}, and go on when you like.`));
      await pressed("Go on");
    }
    if (state.begun_trial === number) {
      // The page was left after this stimulus had been shown: nobody sees one twice.
      state.answers.push({ ...record(trial, number), answer: null, correct: null, interrupted: true });
    } else {
      state.begun_trial = number;
      keep(state);
      const answer = await run(trial, number, trials.length, true);
      if (answer === null) return;
      state.answers.push(answer);
      await new Promise(done => setTimeout(done, GAP_MS));
    }
    state.next += 1;
    keep(state);
  }
  state.complete = true;
}

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

async function go() {
  put("Just a moment", text("The experiment is being prepared."));
  if (isSound) await wakeAudio().catch(() => {});
  interval = await frameInterval();
  state.display = { width: innerWidth, height: innerHeight, pixel_ratio: devicePixelRatio, frame_ms: round(interval) };
  const plan = planned(state.assigned_by);
  if (!isSound) {
    const { naturalWidth, naturalHeight } = await sizeOf(plan.main[0].source);
    const random = generator(`${task.seed}:masks`);
    masks = Array.from({ length: 6 }, () => mask(random, naturalWidth, naturalHeight));
  }
  await practise(plan.practice);
  await main(plan.main);
  finish();
}

async function sizeOf(source) {
  const picture = new Image();
  picture.src = source;
  await picture.decode();
  return picture;
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

function begun(code) {
  const session = randomHex();
  state = {
    session, participant: code, assigned_by: code || session, begun: new Date().toISOString(), ended: null, complete: false,
    practice_right: null, practice_attempts: 0, next: 0, begun_trial: -1, saved: false, display: null, answers: [],
  };
  go();
}

start();
