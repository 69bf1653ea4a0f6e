// The original: one of the page's stimuli, a file, the camera or the microphone.

const KIND = CONTENT.kind;
let original = null;

function draw(canvas, { width, height }, pixels, label) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length), width, height), 0, 0);
  canvas.setAttribute("aria-label", label);
}

function play(player, wav, label) {
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  player.setAttribute("aria-label", label);
  player.hidden = false;
}

// Hides a player, which would otherwise play on without its controls.
function hidePlayer(player) {
  player.pause();
  player.hidden = true;
}

const percent = probability => probability < 0.01 ? "below 1 %" : `${Math.round(100 * probability)} %`;
const guess = c => `${c.name} (${percent(c.probability)})`;

async function useOriginal(name, request) {
  await keepPaused();
  setStatus(`Opening ${name} \u2026`);
  const reply = await request();
  original = { name };
  draw($("original"), reply.picture, reply.parts[0], `original: ${name}`);
  const classes = reply.classes.length ? `; to the network: ${reply.classes.map(guess).join(", ")}` : "";
  $("original-caption").textContent = `original: ${name}${classes}`;
  if (reply.parts[1]) play($("original-player"), reply.parts[1], `original: ${name}`);
  resetResult();
  setStatus("Ready.");
}

async function pngOf(canvas) {
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error("the browser could not convert the picture");
  return new Uint8Array(await blob.arrayBuffer());
}

// A picture that the browser decodes; a drawing (SVG) only as an element.
async function decodedPicture(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    const image = new Image();
    image.src = URL.createObjectURL(file);
    await image.decode().finally(() => URL.revokeObjectURL(image.src));
    return image;
  }
}

// The most pixels of a canvas on a telephone.
const MAX_PIXELS = 2 ** 24;
// The least length of the longer side of a drawing, which may have the size of an icon, but is sharp in any size.
const DRAWING_SIDE = 512;

// A picture that the module does not read, such as HEIC, SVG or one with too many pixels, as PNG, if the browser can decode it.
async function asPng(file) {
  const picture = await decodedPicture(file);
  if (!picture.width || !picture.height) throw new Error("the picture has no size");
  const isDrawing = file.type === "image/svg+xml" || /\.svg$/i.test(file.name);
  const enlarged = isDrawing ? Math.max(1, DRAWING_SIDE / Math.max(picture.width, picture.height)) : 1;
  const scale = Math.min(enlarged, Math.sqrt(MAX_PIXELS / (picture.width * picture.height)));
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [picture.width, picture.height].map(side => Math.max(1, Math.floor(side * scale)));
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close?.();
  return pngOf(canvas);
}

// The samples of a sound that only the browser can decode, averaged over the channels.
async function asSamples(bytes) {
  const context = new AudioContext();
  try {
    const buffer = await context.decodeAudioData(bytes.slice().buffer);
    const mean = new Float32Array(buffer.length);
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      buffer.getChannelData(channel).forEach((v, i) => { mean[i] += v / buffer.numberOfChannels; });
    }
    return { sample_rate: buffer.sampleRate, bytes: new Uint8Array(mean.buffer) };
  } finally {
    context.close();
  }
}

// The network needs two seconds or a small picture; what does not fit into memory ends the module.
const MAX_FILE = 2 ** 28;

async function useFile(file) {
  if (file.size > MAX_FILE) throw new Error(`${file.name} has ${Math.round(file.size / 2 ** 20)} MB; the page opens at most 256 MB: cut it first`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const name = file.name.replace(/\.[^.]*$/, "");
  try {
    await useOriginal(name, () => ask({ do: "original", name }, bytes));
  } catch (error) {
    try {
      // The browser would decode at once, into memory, what is too long for the module.
      if (KIND === "sound" && /(more than|1 to) \d+ samples|memory/.test(error.message)) throw error;
      if (KIND === "image") {
        const png = await asPng(file);
        await useOriginal(name, () => ask({ do: "original", name }, png));
      } else {
        const samples = await asSamples(bytes);
        await useOriginal(name, () => ask({ do: "recording", name, sample_rate: samples.sample_rate }, samples.bytes));
      }
    } catch {
      throw new Error(`${file.name}: ${error.message}`);
    }
  }
}

let stream = null;
// The camera or microphone that was asked for last, until it is ended. Browsers wait for the user's permission, perhaps for ever.
let wanted = null;
// Whether the camera shows its picture, which can be taken.
let isShown = false;

function endStream() {
  wanted = null;
  isShown = false;
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  $("preview").hidden = true;
  // A `play` that still waits for the first picture is aborted by this.
  $("preview").srcObject = null;
  $("capture").textContent = KIND === "image" ? "Camera" : "Record two seconds";
}

// Opens the camera or the microphone. Returns null if it is no longer wanted by then.
async function openStream(constraints) {
  endStream();
  const token = wanted = {};
  $("capture").textContent = "Cancel";
  try {
    const opened = await navigator.mediaDevices.getUserMedia(constraints);
    if (wanted === token) {
      stream = opened;
      return opened;
    }
    opened.getTracks().forEach(track => track.stop());
  } catch (error) {
    if (wanted === token) {
      endStream();
      throw error;
    }
  }
  return null;
}

// Shows the camera's picture, until it is taken.
async function openCamera() {
  const preview = $("preview"), opened = await openStream({ video: { facingMode: "environment" } });
  if (!opened) return;
  preview.srcObject = opened;
  preview.hidden = false;
  try {
    // Until the first picture, which some cameras never give.
    await preview.play();
  } catch (error) {
    // AbortError: the stream was ended, or the browser saves power while the page is hidden.
    if (stream === opened && error.name !== "AbortError") {
      endStream();
      throw error;
    }
  }
  if (stream !== opened) return;
  isShown = true;
  $("capture").textContent = "Take the photo";
}

async function takePhoto() {
  const preview = $("preview"), canvas = document.createElement("canvas");
  if (!preview.videoWidth) {
    endStream();
    throw new Error("the camera gave no picture");
  }
  [canvas.width, canvas.height] = [preview.videoWidth, preview.videoHeight];
  canvas.getContext("2d").drawImage(preview, 0, 0);
  endStream();
  const bytes = await pngOf(canvas);
  await useOriginal("photo", () => ask({ do: "original", name: "photo" }, bytes));
  press(null);
}

// Ends a recording, or the wait for the user's permission or for the camera's first picture.
function cancelCapture() {
  if (stream && KIND === "sound") setStatus("The recording was cancelled.");
  endStream();
}

async function record() {
  // As it reaches the microphone: what browsers do for calls would change the stimulus.
  const opened = await openStream({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  if (!opened) return;
  try {
    await choose(() => useRecording(opened));
  } finally {
    if (stream === opened) endStream();
  }
}

async function useRecording(opened) {
  setStatus("Recording: speak now.");
  const recorder = new MediaRecorder(opened), chunks = [];
  recorder.ondataavailable = event => chunks.push(event.data);
  const ended = new Promise(resolve => { recorder.onstop = resolve; });
  recorder.start();
  // The recorder ends by itself with its microphone.
  await Promise.race([ended, new Promise(resolve => setTimeout(resolve, 2200))]);
  // It was cancelled, or another original was chosen meanwhile.
  if (stream !== opened) return;
  if (recorder.state !== "inactive") recorder.stop();
  await ended;
  const samples = await asSamples(new Uint8Array(await new Blob(chunks).arrayBuffer()));
  if (stream !== opened) return;
  endStream();
  const name = "recording";
  await useOriginal(name, () => ask({ do: "recording", name, sample_rate: samples.sample_rate }, samples.bytes));
  press(null);
}

// The originals that are being chosen. Until they are there, no synthesis of the one before starts, goes on or ends.
let choosing = 0;

async function choose(action) {
  // The dialog for a file may answer after the start.
  if (isMaking()) throw new Error("a metamer is being made; stop it first");
  choosing++;
  setState(state);
  try {
    await action();
  } finally {
    choosing--;
    setState(state);
  }
}

const choosers = new Map();
const chooseOriginal = button => choose(choosers.get(button));

// Marks the button of the original; null for one of the user's own.
const press = pressed => [...choosers.keys()].forEach(button => button.setAttribute("aria-pressed", String(button === pressed)));

// Makes a file that was selected or dropped the original.
const openOwn = file => choose(async () => {
  endStream();
  await useFile(file);
  press(null);
});

// Accepts files that are dropped within an element; browsers would leave the page for them.
function acceptDrops(area) {
  const hasFiles = event => event.dataTransfer?.types.includes("Files");
  area.addEventListener("dragover", event => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = isOpen() ? "copy" : "none";
  });
  area.addEventListener("drop", event => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file && isOpen()) attempt(() => openOwn(file));
  });
}

function buildChoices() {
  const buttons = CONTENT.originals.map(({ name, file, thumbnail }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    if (thumbnail) {
      const img = document.createElement("img");
      // Dragged, it would be a file that is dropped on the page.
      [img.src, img.alt, img.draggable] = [thumbnail, "", false];
      button.append(img);
    }
    button.append(name);
    choosers.set(button, async () => {
      endStream();
      await useOriginal(name, () => askWithFile({ do: "original", name }, file));
      press(button);
    });
    button.onclick = () => attempt(() => chooseOriginal(button));
    return button;
  });
  $("choices").append(...buttons);
  $("axes").hidden = KIND === "image";
  $("own-text").textContent = KIND === "image" ? "Your own photo \u2026" : "Your own sound \u2026";
  $("own").accept = KIND === "image" ? "image/*" : "audio/*";
  $("own").onchange = () => attempt(async () => {
    const [file] = $("own").files;
    try {
      if (file) await openOwn(file);
    } finally {
      // Otherwise, choosing the same file again would be no change.
      $("own").value = "";
    }
  });
  $("capture").onclick = event => attempt(async () => {
    // The second click of a double click would cancel what the first began.
    if (event.detail > 1) return;
    if (!navigator.mediaDevices) {
      const place = location.protocol === "http:" ? "over http, without encryption," : "from a file";
      throw new Error(`this browser gives a page ${place} no camera or microphone; open a file instead`);
    }
    if (isShown) await choose(takePhoto);
    else if (wanted) cancelCapture();
    else if (KIND === "image") await openCamera();
    else await record();
  });
  endStream();
  return buttons;
}
