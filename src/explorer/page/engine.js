// The worker and the requests to it.

// ROOT is the document, or the shadow root of a panel within another page.
const $ = id => ROOT.getElementById(id);
const CONTENT = JSON.parse(document.querySelector("script#content").textContent);

// The bytes of a module with an instruction of relaxed SIMD: fast fused multiply-add.
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];
// The same with an instruction of fixed-width SIMD.
const FIXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

function moduleName() {
  if (typeof WebAssembly === "undefined" || typeof DecompressionStream === "undefined") return null;
  if (WebAssembly.validate(new Uint8Array(RELAXED))) return "relaxed";
  return WebAssembly.validate(new Uint8Array(FIXED)) ? "fixed" : null;
}

// The most threads that a page starts.
const MAX_THREADS = 8;

// The threads of a page with a module for them, in a browser that isolates it from other pages: a server must ask for that by headers.
function numThreads() {
  const isPossible = globalThis.crossOriginIsolated && moduleName() === "relaxed" && document.querySelector('script[data-file="module-threads"]');
  if (!isPossible) return 1;
  try {
    // As in the worker; it takes addresses, which 32-bit browsers may lack.
    new WebAssembly.Memory({ initial: 1, maximum: 1 << 15, shared: true });
  } catch {
    return 1;
  }
  return Math.min(navigator.hardwareConcurrency || 1, MAX_THREADS);
}

// Ends the current task, so that the browser can draw and respond in between.
const nextTask = () => new Promise(resolve => setTimeout(resolve, 0));

const waiting = new Map();
let worker = null, nextId = 1, onEvent = () => {};
// Why the workers were ended.
let stopped = null;

function startWorker() {
  const url = URL.createObjectURL(new Blob([document.querySelector("script#worker-source").textContent], { type: "text/javascript" }));
  const failed = message => {
    for (const { reject } of waiting.values()) reject(new Error(message || "the worker failed"));
    waiting.clear();
  };
  const threads = [];
  worker = new Worker(url);
  worker.onmessage = ({ data }) => {
    if (data.event === "thread") {
      const thread = new Worker(url);
      threads.push(thread);
      // The others would wait for it forever.
      thread.onmessage = ({ data: { failed: reason } }) => {
        [worker, ...threads].forEach(each => each.terminate());
        stopped = reason;
        failed(reason);
      };
      return thread.postMessage({ thread: data.thread });
    }
    if (data.event) return onEvent(data);
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) asked?.reject(new Error(data.error)); else asked?.resolve(data.reply);
  };
  worker.onerror = event => {
    stopped ??= event.message || "the browser did not start a worker";
    failed(stopped);
  };
}

function send(message) {
  if (stopped) return Promise.reject(new Error(stopped));
  return new Promise((resolve, reject) => {
    waiting.set(nextId, { resolve, reject });
    worker.postMessage({ ...message, id: nextId++ });
  });
}

const ask = (request, bytes) => send({ request: { ask: request, bytes } });
const askWithFile = (request, file) => send({ request: { ask: request, file } });

// Hands the embedded files to the worker, chunk by chunk, so that the page stays responsive.
async function sendFiles(names, onProgress) {
  const chunks = [...document.querySelectorAll("script[data-file]")].filter(s => names.includes(s.dataset.file));
  for (const [i, chunk] of chunks.entries()) {
    worker.postMessage({ file: chunk.dataset.file, gzip: chunk.dataset.gzip === "yes", chunk: chunk.textContent });
    chunk.remove();
    onProgress((i + 1) / chunks.length);
    await nextTask();
  }
}
