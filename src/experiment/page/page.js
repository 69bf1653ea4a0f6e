// The procedure of the experiment: practice, main trials, end.

// Time between an answer and the next trial.
const INTER_TRIAL_MS = 400;
// Trials between breaks.
const BREAK_EVERY = 50;
// Number of masks for each size of picture.
const MASKS = 6;
const isSound = task.kind === "sound";
const noun = isSound ? "sound" : "picture";

let state = loadState();
// Time between frames, in ms.
let frameInterval = 1000 / 60;
// The masks drawn so far, by size and number.
const masks = new Map();
// True if the page was hidden during the stimulus.
let wasHidden = false;
document.addEventListener("visibilitychange", () => { if (document.hidden) wasHidden = true; });
window.addEventListener("beforeunload", event => {
  if (state === null || state.answers.length === 0 || state.saved) return;
  event.preventDefault();
  // Chrome before version 119 asks only if this is set.
  event.returnValue = true;
});

function randomHex() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), byte => byte.toString(16).padStart(2, "0")).join("");
}

// Returns a participant's trials: each stimulus once, in its assigned condition, and the catch trials, in random order.
function planTrials(participant) {
  const available = task.stimuli.map(stimulus => stimulus.versions.map(version => version.condition));
  const chosen = assign(generator(`${task.seed}:${participant}:conditions`), available, task.conditions.length);
  const trials = task.stimuli.map((stimulus, k) => {
    const version = stimulus.versions.find(each => each.condition === chosen[k]);
    return { block: "main", stimulus: stimulus.id, right: stimulus.answer, condition: version.condition, source: version.source };
  });
  const single = block => item => ({ block, stimulus: item.id, right: item.answer, condition: null, source: item.source });
  trials.push(...task.catch_trials.map(single("catch")));
  const order = generator(`${task.seed}:${participant}:order`);
  const practice = task.practice.map(single("practice"));
  return { main: order.shuffled(trials.length).map(k => trials[k]), practice: order.shuffled(practice.length).map(k => practice[k]) };
}

// Returns the mask of a trial in the size of its picture, which it must cover. The size is part of the seed, so that a mask does not
// depend on the trials before it.
function maskFor({ width, height }, number) {
  const key = `${width}x${height}:${number % MASKS}`;
  if (!masks.has(key)) masks.set(key, drawMask(generator(`${task.seed}:masks:${key}`), width, height));
  return masks.get(key);
}

async function present(trial, number) {
  if (isSound) {
    const stand = element("div", { className: "stand" });
    showScreen("Listen", stand);
    const fixation = element("div", { className: "fixation on" });
    stand.append(fixation);
    const sound = await decodeSound(trial.source);
    const start = await frame();
    while (await frame() - start < task.timing.fixation_ms);
    return playSound(sound);
  }
  const stand = element("div", { className: "stand", "aria-label": "The picture appears here.", role: "img" });
  showScreen("Look at the cross", stand);
  const picture = await drawPicture(trial.source);
  const fixation = element("div", { className: "fixation" });
  return presentPicture(stand, [fixation, picture, maskFor(picture, number)], task.timing, frameInterval);
}

function ask(number, count) {
  return new Promise(done => {
    const place = element("div");
    const stop = button("Stop here", () => done(null), "small");
    const bar = element("progress", { max: count, value: number, "aria-label": `trial ${number + 1} of ${count}` });
    const foot = element("div", { className: "foot" }, element("span", { className: "quiet" }, `${number + 1} of ${count} `, bar), stop);
    showScreen(isSound ? "Which word was it?" : "What was it?", place, foot);
    const start = performance.now();
    const answered = word => {
      const response_ms = performance.now() - start;
      screenKeys = null;
      screenElement.replaceChildren();
      done({ answer: word, response_ms });
    };
    (task.typed ? askByTyping : askByButtons)(place, task.choices, answered);
  });
}

// Runs one trial, from the fixation cross to the answer. Returns null if the participant stops.
async function runTrial(trial, number, count) {
  let shown = null, wasHeard = false;
  while (shown === null) {
    wasHidden = document.hidden;
    try {
      shown = await present(trial, number);
    } catch (problem) {
      // What was heard in part is heard twice, which counts as an interruption.
      if (problem.wasHeard) wasHeard = true;
      showScreen(`The ${noun} could not be presented`, text(`${problem.message ?? problem}`));
      if (!await buttonPress("Try again", "Stop here")) {
        // What was not heard can be presented later.
        if (!wasHeard) state.begun_trial = -1;
        return null;
      }
      if (isSound) await resumeAudio().catch(() => {});
    }
  }
  const interrupted = wasHidden || wasHeard;
  const answer = await ask(number, count);
  if (answer === null) return null;
  return { ...record(trial, number), ...shown, ...answer, correct: answer.answer === trial.right, interrupted };
}

function record(trial, number) {
  return {
    block: trial.block, trial: number + 1, stimulus: trial.stimulus, condition: trial.condition === null ? trial.block : task.conditions[trial.condition],
    condition_index: trial.condition, right: trial.right,
  };
}

// Runs the practice until it is passed. Returns false if the participant stops.
async function runPractice(trials) {
  while (trials.length > 0 && state.practice_right === null) {
    let correct = 0;
    for (const [number, trial] of trials.entries()) {
      const answer = await runTrial(trial, number, trials.length);
      if (answer === null) return false;
      state.answers.push(answer);
      storeState(state);
      correct += answer.correct ? 1 : 0;
      showScreen(answer.correct ? "\u2713 Correct" : "\u2717 Incorrect", element("p", {}, "The correct answer is ", element("span", { className: "mark", textContent: trial.right }), "."));
      await buttonPress(number + 1 < trials.length ? "Next" : "Continue");
    }
    state.practice_attempts += 1;
    const passed = correct >= task.practice_pass;
    if (passed) state.practice_right = correct;
    storeState(state);
    const score = `You answered ${correct} of ${trials.length} correctly.`;
    if (passed) {
      showScreen("Practice is over", text(`${score} You are ready for the experiment, which gives no feedback. Many of the ${noun}s are hard or impossible to recognise. When you are unsure, please give your best guess.`));
      await buttonPress("Begin");
    } else {
      showScreen("Practise once more", text(`${score} You need ${task.practice_pass} to continue. Please practise again, or ask the experimenter for help.`));
      await buttonPress("Practise again");
    }
  }
  return true;
}

async function runMain(trials) {
  while (state.next < trials.length) {
    const number = state.next;
    const trial = trials[number];
    if (number > 0 && number % BREAK_EVERY === 0) {
      showScreen("Time for a break", text(`You have completed ${number} of ${trials.length} trials. Rest your ${isSound ? "ears" : "eyes"}, and continue when you are ready.`));
      await buttonPress("Continue");
    }
    const wasLeft = state.begun_trial === number;
    let answer;
    if (wasLeft) {
      // The page was left after this stimulus was shown; it is not shown again.
      answer = { ...record(trial, number), answer: null, correct: null, interrupted: true };
    } else {
      state.begun_trial = number;
      storeState(state);
      answer = await runTrial(trial, number, trials.length);
      if (answer === null) return;
    }
    state.answers.push(answer);
    state.next += 1;
    // Stored before the wait, in which the page may be closed.
    storeState(state);
    if (!wasLeft) await new Promise(done => setTimeout(done, INTER_TRIAL_MS));
  }
  state.complete = true;
}

async function runExperiment() {
  [state.saved, state.ended] = [false, null];
  showScreen("One moment, please", text("The experiment is being prepared."));
  if (isSound) await resumeAudio().catch(() => {});
  frameInterval = await measureFrameInterval();
  state.display = { width: innerWidth, height: innerHeight, pixel_ratio: devicePixelRatio, frame_ms: round(frameInterval) };
  const plan = planTrials(state.assigned_by);
  if (await runPractice(plan.practice)) await runMain(plan.main);
  showEnd();
}

// Starts the session of a participant; the code is empty if the task does not ask for one.
function startSession(code) {
  const session = randomHex();
  state = {
    session, participant: code, assigned_by: code || session, begun: new Date().toISOString(), ended: null, complete: false,
    practice_right: null, practice_attempts: 0, next: 0, begun_trial: -1, saved: false, display: null, answers: [],
  };
  runExperiment();
}

showStart();
