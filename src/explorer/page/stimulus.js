// The original: one of the page's stimuli, a file, the camera or the microphone.

const KIND = CONTENT.kind;
let original = null;

function draw(canvas, { width, height }, pixels, label) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length), width, height), 0, 0);
  canvas.setAttribute("aria-label", label);
}

function play(player, wav) {
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  player.hidden = false;
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
  if (reply.parts[1]) play($("original-player"), reply.parts[1]);
  resetResult();
  setStatus("Ready.");
}

// A picture in a format that the module does not read, such as HEIC, as PNG, if the browser can decode it.
async function asPng(file) {
  const bitmap = await createImageBitmap(file);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
  return new Uint8Array(await blob.arrayBuffer());
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

function endStream() {
  stream?.getTracks().forEach(track => track.stop());
  stream = null;
  $("preview").hidden = true;
  $("capture").textContent = KIND === "image" ? "Camera" : "Record two seconds";
}

// Opens the camera or the microphone; a second press meanwhile would open another.
async function startStream(wanted) {
  $("capture").disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia(wanted);
  } finally {
    $("capture").disabled = false;
  }
}

// The first press shows the camera's picture, the second takes it.
async function takePhoto() {
  const preview = $("preview");
  if (!stream) {
    await startStream({ video: { facingMode: "environment" } });
    preview.srcObject = stream;
    preview.hidden = false;
    await preview.play();
    $("capture").textContent = "Take the photo";
    return;
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [preview.videoWidth, preview.videoHeight];
  canvas.getContext("2d").drawImage(preview, 0, 0);
  endStream();
  const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  await useOriginal("photo", () => ask({ do: "original", name: "photo" }, bytes));
}

async function record() {
  // As it reaches the microphone: what browsers do for calls would change the stimulus.
  await startStream({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  $("capture").disabled = true;
  setStatus("Recording: speak now.");
  const own = stream;
  try {
    const recorder = new MediaRecorder(stream), chunks = [];
    recorder.ondataavailable = event => chunks.push(event.data);
    const ended = new Promise(resolve => { recorder.onstop = resolve; });
    recorder.start();
    await new Promise(resolve => setTimeout(resolve, 2200));
    // Another original was chosen meanwhile.
    if (stream !== own) return false;
    recorder.stop();
    await ended;
    const samples = await asSamples(new Uint8Array(await new Blob(chunks).arrayBuffer()));
    const name = "recording";
    await useOriginal(name, () => ask({ do: "recording", name, sample_rate: samples.sample_rate }, samples.bytes));
  } finally {
    if (stream === own) endStream();
    $("capture").disabled = false;
  }
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

function buildChoices() {
  const buttons = CONTENT.originals.map(({ name, file, thumbnail }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    if (thumbnail) {
      const img = document.createElement("img");
      [img.src, img.alt] = [thumbnail, ""];
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
  const press = pressed => buttons.forEach(b => b.setAttribute("aria-pressed", String(b === pressed)));
  $("choices").append(...buttons);
  $("axes").hidden = KIND === "image";
  $("own-text").textContent = KIND === "image" ? "Your own photo \u2026" : "Your own sound \u2026";
  $("own").accept = KIND === "image" ? "image/*" : "audio/*";
  $("own").onchange = () => attempt(async () => {
    const [file] = $("own").files;
    try {
      await choose(async () => {
        if (!file) return;
        endStream();
        await useFile(file);
        press(null);
      });
    } finally {
      // Otherwise, choosing the same file again would be no change.
      $("own").value = "";
    }
  });
  $("capture").onclick = () => attempt(() => choose(async () => {
    if (!navigator.mediaDevices) throw new Error("this browser gives a page from a file no camera or microphone; open a file instead");
    if (await (KIND === "image" ? takePhoto() : record()) !== false) press(null);
  }));
  endStream();
  return buttons;
}
