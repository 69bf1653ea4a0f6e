// Storage of the answers in the browser, and their files. No data is sent.

const task = JSON.parse(document.getElementById("task").textContent);
const KEY = `metamers-task-${task.fingerprint}`;
const COLUMNS = [
  "session", "participant", "task", "kind", "choices", "simulated", "block", "trial", "stimulus", "condition", "condition_index", "right",
  "answer", "correct", "response_ms", "onset_ms", "offset_ms", "shown_ms", "frame_ms", "longest_frame_ms", "interrupted",
];

// False if the browser denies storage, as it may in a frame or a private window; a reload then loses the answers.
let canStore = true;

function storeState(state) {
  try {
    if (state === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(state));
  } catch {
    canStore = false;
  }
}

function loadState() {
  try {
    const state = JSON.parse(localStorage.getItem(KEY));
    return state !== null && Array.isArray(state.answers) ? state : null;
  } catch {
    canStore = false;
    return null;
  }
}

const round = value => typeof value === "number" && !Number.isInteger(value) ? Math.round(value * 100) / 100 : value;

// The content of the JSON file.
function toRecord(state) {
  const answers = state.answers.map(answer => Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, round(value)])));
  const { session, participant, begun, ended, complete, practice_right, practice_attempts, display } = state;
  return {
    format: "metamers-answers", version: 1, simulated: false, task: task.fingerprint, title: task.title, kind: task.kind,
    choices: task.choices.length, conditions: task.conditions, seed: task.seed, timing: task.timing,
    session, participant, begun, ended, complete, practice_right, practice_attempts, display, answers,
  };
}

// The content of the CSV file: a line for each answer. A text that a spreadsheet would take for a formula has a ' before it.
function toCsv(state) {
  const all = toRecord(state);
  const cell = value => {
    const plain = value === null || value === undefined ? "" : String(value);
    const text = typeof value === "string" && /^[=+\-@\t\r\n]/.test(plain) ? `'${plain}` : plain;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const line = answer => COLUMNS.map(name => cell(name in answer ? answer[name] : all[name])).join(",");
  return [COLUMNS.join(","), ...all.answers.map(line)].join("\r\n") + "\r\n";
}

function download(name, type, text) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function fileName(state, extension) {
  return `answers-${state.participant || state.session}-${state.session.slice(0, 6)}.${extension}`;
}
