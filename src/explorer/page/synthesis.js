// Start, pause, stop; the result and the gallery.

let state = "empty";       // empty, ready, starting, running, paused, testing
let interruption = null;   // why the running synthesis should stop: pause, finish
let made = null;           // the settings of the current synthesis
let rate = 0;              // dB a second, of late

function setStatus(text) { $("status").textContent = text; }

// Whether the settings and the original have to stay as they are.
const isMaking = () => ["starting", "running", "testing"].includes(state);
const isOpen = () => state !== "empty" && !isMaking();

// Whether a control that had the keyboard's focus was disabled.
let lostFocus = false;

// Moves the keyboard's focus from a control that was disabled to the button that comes next, as soon as one is enabled. After a click,
// nothing moves: a key would press a button that nobody chose.
function keepFocus(focused) {
  if (focused?.matches(":disabled")) lostFocus = true;
  else if (document.activeElement !== document.body) lostFocus = false;
  const next = [$("make"), $("pause")].find(button => !button.disabled);
  if (!lostFocus || !next) return;
  next.focus({ preventScroll: true });
  lostFocus = false;
}

function setState(next) {
  // Chrome takes the focus from a control at once when it is disabled.
  const active = ROOT.activeElement, focused = active?.matches(":focus-visible") ? active : null;
  state = next;
  $("make").disabled = !isOpen() || !original || choosing > 0;
  const canStop = next === "starting" || next === "running" || (next === "paused" && choosing === 0);
  $("pause").disabled = !canStop;
  $("pause").textContent = next === "paused" ? "Go on" : "Pause";
  $("finish").disabled = !canStop;
  for (const input of ROOT.querySelectorAll("#controls fieldset")) input.disabled = !isOpen();
  // Screen readers announce the start and the result, not each of the many steps.
  $("status").setAttribute("aria-live", next === "running" || next === "testing" ? "off" : "polite");
  keepFocus(focused);
}

function showProblem(message) {
  $("problem").textContent = message;
  $("problem").hidden = !message;
}

// Runs an action of the user; its error is shown in the page.
async function attempt(action) {
  showProblem("");
  try {
    await action();
  } catch (error) {
    const denied = error.name === "NotAllowedError" ? "the browser did not allow it" : error.message;
    showProblem(`This did not work: ${denied}`);
    // Beside the error of another action, the status of a synthesis stays.
    if (!isMaking()) setStatus("");
  }
}

// Runs a part of a synthesis. After an error the user can go on.
const attemptSynthesis = action => attempt(async () => {
  try {
    await action();
  } catch (error) {
    if (state !== "paused") setState("ready");
    throw error;
  }
});

function resetResult() {
  points = [];
  made = null;
  $("result").hidden = true;
  hidePlayer($("current-player"));
  $("current-caption").textContent = "metamer";
  // Empty, and with the size of the original beside it: a cochleagram is wide. Setting a size clears a canvas.
  [$("current").width, $("current").height] = [$("original").width, $("original").height];
  $("current").setAttribute("aria-label", "no metamer yet");
  drawCurve(target());
  if (state !== "empty") setState("ready");
}

function secondsToGo(snr, until) {
  if (!(rate > 0) || snr >= until) return "";
  const seconds = (until - snr) / rate;
  return seconds < 600 ? `, about ${Math.max(1, Math.round(seconds))} s to go` : "";
}

function showProgress({ progress, picture }) {
  const before = points.length ? best(points) : -Infinity;
  points.push(...progress.points);
  const now = best(points), elapsed = progress.seconds - (made.seconds ?? 0);
  if (Number.isFinite(before) && elapsed > 0) rate = 0.8 * rate + 0.2 * (now - before) / elapsed;
  made.seconds = progress.seconds;
  const until = made.until;
  if (progress.snr_db !== null) {
    setStatus(`${progress.evaluations} gradient evaluations, ${progress.seconds.toFixed(1)} s: SNR ${progress.snr_db.toFixed(1)} dB${secondsToGo(now, until)}`);
  }
  if (picture) {
    draw($("current"), picture.picture, picture.parts[0], `metamer of ${made.original} at ${made.stage}, in the making`);
    drawCurve(until);
  }
}

const best = values => values.reduce((most, p) => Math.max(most, p[1] ?? -Infinity), -Infinity);

// The ratio at which to stop, in dB; null while the field has none.
const givenTarget = () => ($("until").checkValidity() && Number($("until").value)) || null;
// The same; while the field has none, the page's own.
const target = () => givenTarget() ?? CONTENT.until;

async function make() {
  endStream();
  // Without a pause of its own, so that a click right after this one finds the start.
  if (state === "paused") await keepPaused();
  const settings = { original: original.name, stage: CONTENT.stages[Number($("stage").value)].name, recipe: $("recipe").value, seed: $("seed").value, until: target() };
  interruption = null;
  setState("starting");
  setStatus("Starting \u2026");
  await ask({ do: "start", stage: settings.stage, recipe: settings.recipe, seed: settings.seed });
  // Not before: after a start that fails, the metamer before is still in view.
  made = settings;
  points = [];
  rate = 0;
  $("result").hidden = true;
  hidePlayer($("current-player"));
  $("current-caption").textContent = `metamer at ${made.stage}, seed ${made.seed}`;
  await synthesize();
}

async function synthesize() {
  setState("running");
  const reply = send({ run: { until: made.until } });
  // During the start, the worker had no run to pause.
  if (interruption) worker.postMessage({ pause: true });
  const { ended } = await reply;
  if (ended === null && interruption !== "finish") return setState("paused");
  await finish(ended);
}

async function goOn() {
  endStream();
  const before = made.until;
  made.until = givenTarget() ?? before;
  interruption = null;
  try {
    await synthesize();
  } catch (error) {
    // A run that holds a ratio refuses a higher one, and can still go on or be finished.
    if (state === "running") {
      made.until = before;
      setState("paused");
    }
    throw error;
  }
}

// Stops the synthesis after its current step, to wait or to be finished.
function interrupt(reason) {
  if (interruption !== "finish") interruption = reason;
  worker.postMessage({ pause: true });
}

// A new original or a new start ends a paused synthesis; its metamer stays in the gallery, unless that fails.
async function keepPaused() {
  if (state !== "paused") return;
  try {
    await finish(null);
  } catch (error) {
    setState("ready");
    throw error;
  }
}

// Tests and shows the metamer. If that fails, the synthesis is still there and can go on.
async function finish(ended) {
  setState("testing");
  setStatus("Testing the metamer \u2026");
  try {
    await showResult(made, ended);
  } catch (error) {
    setState("paused");
    throw error;
  }
}

async function showResult(settings, ended) {
  const result = await ask({ do: "finish" });
  const snr = result.snr_db === null ? "undefined" : `${result.snr_db.toFixed(1)} dB`;
  const picture = result.parts[0];
  const label = `metamer of ${settings.original} at ${settings.stage}, SNR ${snr}`;
  draw($("current"), result.picture, picture, label);
  if (result.parts[1]) play($("current-player"), result.parts[1], label);
  const to = result.metamer ? `; to the network: ${guess(result.metamer)}` : "";
  $("current-caption").textContent = `metamer at ${settings.stage}, seed ${settings.seed}, SNR ${snr}${to}`;
  const match = result.well_matched ? "well matched" : "not well matched (below 20 dB)";
  const verdict = result.verdict.Ok;
  const grade = verdict && verdict.outcome === "metamer" ? ` (${verdict.grade})` : "";
  const text = verdict ? `${verdict.symbol} ${verdict.outcome}${grade}: ${verdict.reason}` : `${match}; no verdict: ${result.verdict.Err}`;
  $("verdict").textContent = `${text}. Recipe ${result.recipe}; prior ${result.prior}.`;
  const files = await filesOf(settings);
  unsaved.add(settings);
  $("saves").replaceChildren(...saveButtons(files));
  $("result").hidden = false;
  await nextTask();
  drawCurve(settings.until);
  await nextTask();
  // Seeds have 64 bits; the next one makes another metamer of the same original. A seed that was typed during a pause stays.
  if ($("seed").value === settings.seed) $("seed").value = String(BigInt.asUintN(64, BigInt(settings.seed) + 1n));
  addToGallery({ ...settings, snr, picture, size: result.picture, sound: result.parts[1], match, files });
  // In this order, because screen readers announce the text that is set while they listen.
  setState("ready");
  setStatus(`Done: ${points.length} gradient evaluations in ${settings.seconds.toFixed(1)} s${ended ? `; ${ended}` : ""}. ${text}.`);
}

// The settings of each metamer of which no file was saved.
const unsaved = new Set();

addEventListener("beforeunload", event => {
  if (unsaved.size === 0 && !isMaking() && state !== "paused") return;
  event.preventDefault();
  // Chrome before version 119 asks only if this is set.
  event.returnValue = true;
});

function addToGallery(entry) {
  const label = `metamer of ${entry.original} at ${entry.stage}, seed ${entry.seed}`;
  const figure = document.createElement("figure"), canvas = document.createElement("canvas"), caption = document.createElement("figcaption");
  canvas.setAttribute("role", "img");
  draw(canvas, entry.size, entry.picture, label);
  caption.textContent = `${entry.original} at ${entry.stage}, seed ${entry.seed}, ${entry.recipe}: SNR ${entry.snr}, ${entry.match}`;
  figure.append(canvas, caption);
  if (entry.sound) {
    const player = document.createElement("audio");
    player.controls = true;
    play(player, entry.sound, label);
    figure.append(player);
  }
  const saves = document.createElement("div");
  saves.className = "row";
  saves.append(...saveButtons(entry.files));
  figure.append(saves);
  $("gallery").prepend(figure);
  $("gallery-section").hidden = false;
}

// The files of the metamer that was tested last.
async function filesOf(settings) {
  const files = [], { original, stage, seed } = settings;
  for (const format of [KIND === "image" ? "png" : "wav", "metamer"]) {
    const { parts: [bytes], extension } = await ask({ do: "save", format });
    const name = `${original} ${stage} seed ${seed}.${extension}`.replace(/[^\p{L}\p{N}_ .-]/gu, "_");
    files.push({ name, extension, settings, blob: new Blob([bytes]) });
  }
  return files;
}

const SAVES = { png: "Save as PNG", wav: "Save as WAV", metamer: "Save as .metamer" };

function saveButtons(files) {
  return files.map(({ name, extension, settings, blob }) => {
    const button = document.createElement("button");
    [button.type, button.textContent, button.title] = ["button", SAVES[extension], name];
    button.onclick = () => {
      const link = document.createElement("a");
      [link.href, link.download] = [URL.createObjectURL(blob), name];
      document.body.append(link);
      link.click();
      link.remove();
      unsaved.delete(settings);
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    };
    return button;
  });
}
