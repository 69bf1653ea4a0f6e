// Presentation of pictures for exact times, and of sounds.

// Resolves with the time of the next frame. Changes that are made before control returns to the browser appear with that frame.
const frame = () => new Promise(requestAnimationFrame);

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// Measures the median time between frames, in ms.
async function measureFrameInterval() {
  const times = [];
  while (times.length < 31) times.push(await frame());
  return median(times.slice(1).map((time, k) => time - times[k]));
}

async function loadImage(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

// Draws a picture on a canvas of its own size.
async function drawPicture(source) {
  const image = await loadImage(source);
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas;
}

// Draws a noise mask: coloured noise with equal contrast in each octave, so that it masks coarse and fine structure alike.
function drawMask(random, width, height) {
  const values = new Float32Array(3 * width * height);
  for (let cell = 2; cell <= Math.min(width, height); cell *= 2) {
    const [columns, rows] = [Math.ceil(width / cell) + 2, Math.ceil(height / cell) + 2];
    const grid = Float32Array.from({ length: 3 * columns * rows }, () => random.next() / 2 ** 32 - 0.5);
    for (let y = 0, at = 0; y < height; y++) {
      const [row, v] = [Math.floor(y / cell), (y % cell) / cell];
      for (let x = 0; x < width; x++) {
        const [column, u] = [Math.floor(x / cell), (x % cell) / cell];
        const corner = 3 * (row * columns + column);
        for (let c = 0; c < 3; c++, at++) {
          const top = grid[corner + c] * (1 - u) + grid[corner + 3 + c] * u;
          const bottom = grid[corner + 3 * columns + c] * (1 - u) + grid[corner + 3 * columns + 3 + c] * u;
          values[at] += top * (1 - v) + bottom * v;
        }
      }
    }
  }
  let square = 0;
  for (const value of values) square += value * value;
  const contrast = 60 / Math.sqrt(square / values.length || 1);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * k + c] = 128 + contrast * values[3 * k + c];
    pixels.data[4 * k + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Shows fixation cross, picture and mask, each for its duration rounded to the nearest frame, with at least one frame for a duration
// above 0. Returns the times of the frames, in ms.
async function presentPicture(stand, layers, timing, frameInterval) {
  const [fixation, picture, mask] = layers;
  const intervals = [];
  const show = layer => layers.forEach(each => each.classList.toggle("on", each === layer));
  const wait = async (since, milliseconds) => {
    let now = since;
    while (milliseconds > 0 && (now === since || now - since < milliseconds - frameInterval / 2)) {
      const next = await frame();
      intervals.push(next - now);
      now = next;
    }
    return now;
  };
  stand.replaceChildren(...layers);
  const start = await frame();
  show(fixation);
  const onset = await wait(start, timing.fixation_ms);
  show(picture);
  const offset = await wait(onset, timing.stimulus_ms);
  show(mask);
  await wait(offset, timing.mask_ms);
  show(null);
  return {
    onset_ms: onset, offset_ms: offset, shown_ms: offset - onset,
    frame_ms: median(intervals), longest_frame_ms: Math.max(...intervals),
  };
}

let audio = null;
const NO_SOUND = "This browser does not allow the page to play sounds.";

// Browsers allow sound only after a key press or a click, so event handlers call this. Some never settle what they do not allow, so it
// waits for five seconds at most, in which slow devices start.
async function resumeAudio() {
  // Otherwise, the switch of an iPhone for silent ringing mutes the sounds.
  if (navigator.audioSession) navigator.audioSession.type = "playback";
  audio ??= new AudioContext();
  await Promise.race([audio.resume(), new Promise(done => setTimeout(done, 5000))]);
}

async function decodeSound(source) {
  // The browser refused an `AudioContext`.
  if (audio === null) throw new Error(NO_SOUND);
  const bytes = Uint8Array.from(atob(source.slice(source.indexOf(",") + 1)), letter => letter.charCodeAt(0));
  return audio.decodeAudioData(bytes.buffer);
}

// The longest stall of a sound that counts as played, in ms. The clocks that show a stall differ by up to the length of a device's buffer,
// about 100 ms. A page that is busy does not count: neither clock waits for it.
const MAX_STALL_MS = 250;
// The longest wait for the end of a sound after its time, in ms.
const MAX_WAIT_MS = 2000;

// Plays a sound once. The times include the output latency that the browser reports. An error has `wasHeard` if the sound had begun.
function playSound(sound) {
  return new Promise((done, failed) => {
    if (audio.state !== "running") return failed(new Error(NO_SOUND));
    const source = audio.createBufferSource();
    source.buffer = sound;
    source.connect(audio.destination);
    const delay = (audio.outputLatency || audio.baseLatency || 0) + 0.05;
    const begun = audio.currentTime, now = performance.now();
    source.start(begun + 0.05);
    const onset = now + 1000 * delay;
    const offset = onset + 1000 * sound.duration;
    // A call, another program or a change of devices may stop all sounds, for a while or for good. Then the state changes, or only the clock
    // of the sounds stops; `onended` comes late or never.
    const end = isWhole => {
      clearTimeout(timer);
      audio.removeEventListener("statechange", changed);
      source.onended = null;
      if (isWhole) return done({ onset_ms: onset, offset_ms: offset, shown_ms: 1000 * sound.duration });
      source.disconnect();
      failed(Object.assign(new Error("The sound was interrupted."), { wasHeard: true }));
    };
    const changed = () => { if (audio.state !== "running") end(false); };
    const check = () => {
      const stall = performance.now() - now - 1000 * (audio.currentTime - begun);
      if (stall > MAX_STALL_MS) return end(false);
      // The browser is done with the sound before its end is heard.
      clearTimeout(timer);
      timer = setTimeout(end, offset - performance.now(), true);
    };
    let timer = setTimeout(check, offset - now + MAX_WAIT_MS);
    audio.addEventListener("statechange", changed);
    source.onended = check;
  });
}
