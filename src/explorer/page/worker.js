// The worker of the page: loads the module, keeps the session, steps the synthesis.
"use strict";

const FILES = new Map();
let api = null;
let running = false;
// Why the module takes no more requests.
let broken = null;

// Imports that the module never calls here, because nothing draws from the system's random numbers or touches a document.
function imports(module) {
  const found = { metamers: { monotonic_milliseconds: () => performance.now(), epoch_milliseconds: () => Date.now() } };
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    found[from] ??= {};
    found[from][name] ??= () => { throw new Error(`the module called ${name}`); };
  }
  return found;
}

async function decoded(file) {
  const text = atob(file.chunks.join(""));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  if (!file.gzip) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// What a module that has trapped says about it.
function problem(exports, error) {
  const text = new Uint8Array(exports.memory.buffer, exports.last_panic(), exports.last_panic_length()).slice();
  return `${new TextDecoder().decode(text) || error}; reload the page to go on`;
}

// Sends a request to the module; returns its reply, with the bytes beside it in `parts`.
function ask(request, bytes = new Uint8Array()) {
  if (broken) throw new Error(broken);
  const json = new TextEncoder().encode(JSON.stringify(request));
  let parts;
  try {
    const at = api.allocate(json.length, bytes.length);
    new Uint8Array(api.memory.buffer, at, json.length).set(json);
    new Uint8Array(api.memory.buffer, api.bytes(), bytes.length).set(bytes);
    api.handle();
    parts = Array.from({ length: api.num_parts() }, (_, i) =>
      new Uint8Array(api.memory.buffer, api.part(i), api.part_length(i)).slice());
  } catch (error) {
    // Not by `problem(api, error)`: with that call here, Chromium 156 runs the module at 0.6 of its speed.
    const panic = new TextDecoder().decode(
      new Uint8Array(api.memory.buffer, api.last_panic(), api.last_panic_length()).slice());
    // A trap leaves the module as it was in the middle of the request. One without a panic is an allocation that failed.
    const reason = panic || `this needs more memory than the browser gives (${error})`;
    if (!(error instanceof RangeError)) broken = `${reason}; reload the page to go on`;
    throw new Error(broken ?? "there is not enough memory");
  }
  const reply = JSON.parse(new TextDecoder().decode(parts[0]));
  if (reply.is === "error") throw new Error(reply.error);
  return { ...reply, parts: parts.slice(1) };
}

// The bytes of a thread's stack.
const STACK = 1 << 20;

// Starts a module with threads: the page runs each of the others in a worker of its own, in the same memory.
async function withThreads(compiled, threads) {
  // The module's own limit; the memory grows from 64 MB.
  const memory = new WebAssembly.Memory({ initial: 1 << 10, maximum: 1 << 15, shared: true });
  const found = imports(compiled);
  found.env.memory = memory;
  const { exports } = await WebAssembly.instantiate(compiled, found);
  exports.expect_threads(threads);
  for (let index = 1; index < threads; index++) {
    const stack = exports.allocate_for_thread(STACK, 16);
    const variables = exports.allocate_for_thread(exports.__tls_size.value, exports.__tls_align.value);
    if (!stack || !variables) throw new Error("there is not enough memory");
    postMessage({ event: "thread", thread: { compiled, memory, index, stack: stack + STACK, variables } });
  }
  return { ...exports, memory };
}

// Computes what the worker with the session gives this one, until the page closes.
async function serve({ compiled, memory, index, stack, variables }) {
  const found = imports(compiled);
  found.env.memory = memory;
  const { exports } = await WebAssembly.instantiate(compiled, found);
  exports.__stack_pointer.value = stack;
  exports.__wasm_init_tls(variables);
  try {
    exports.serve_as_thread(index);
  } catch (error) {
    postMessage({ failed: problem({ ...exports, memory }, error) });
  }
}

async function load({ module, threads, provided, network }) {
  const compiled = await WebAssembly.compile(await decoded(FILES.get(module)));
  FILES.delete(module);
  if (threads > 1) api = await withThreads(compiled, threads);
  else api = (await WebAssembly.instantiate(compiled, imports(compiled))).exports;
  for (const path of provided) {
    ask({ do: "provide", path }, await decoded(FILES.get(path)));
    FILES.delete(path);
    postMessage({ event: "provided", path });
  }
  return ask({ do: "load", network });
}

const pause = () => new Promise(resolve => setTimeout(resolve, 0));

// Steps until the end or a pause. A drawing takes at most a twentieth of the time.
async function run({ until }) {
  running = true;
  let drawn = 0, cost = 0, reply;
  do {
    reply = ask({ do: "step", milliseconds: 60, until });
    const now = performance.now();
    let picture = null;
    if (reply.ended !== null || now - drawn > Math.max(200, 19 * cost)) {
      picture = ask({ do: "draw" });
      drawn = performance.now();
      cost = drawn - now;
    }
    postMessage({ event: "progress", progress: reply, picture });
    await pause();
  } while (running && reply.ended === null);
  running = false;
  return { ended: reply.ended };
}

// One after the other: a request waits until those before it have ended.
let queue = Promise.resolve();

onmessage = ({ data }) => {
  if (data.file) {
    const file = FILES.get(data.file) ?? { chunks: [], gzip: data.gzip };
    file.chunks.push(data.chunk);
    FILES.set(data.file, file);
  } else if (data.pause) {
    running = false;
  } else if (data.thread) {
    // Where no instance can be made, the others compute without it.
    serve(data.thread).catch(error => console.warn(`a thread did not start: ${error}`));
  } else {
    queue = queue.then(async () => {
      try {
        let reply;
        if (data.load) reply = await load(data.load);
        else if (data.run) reply = await run(data.run);
        else if (data.request.file) reply = ask(data.request.ask, await decoded(FILES.get(data.request.file)));
        else reply = ask(data.request.ask, data.request.bytes);
        postMessage({ id: data.id, reply });
      } catch (error) {
        running = false;
        postMessage({ id: data.id, error: error.message || String(error) });
      }
    });
  }
};
