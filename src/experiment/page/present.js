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

// Browsers allow sound only after a key press or a click, so event handlers call this.
function resumeAudio() {
  audio ??= new AudioContext();
  return audio.resume();
}

function decodeSound(source) {
  const bytes = Uint8Array.from(atob(source.slice(source.indexOf(",") + 1)), letter => letter.charCodeAt(0));
  return audio.decodeAudioData(bytes.buffer);
}

// Plays a sound once. The times include the output latency that the browser reports.
function playSound(sound) {
  return new Promise((done, failed) => {
    if (audio.state !== "running") return failed(new Error("This browser does not allow the page to play sounds."));
    const source = audio.createBufferSource();
    source.buffer = sound;
    source.connect(audio.destination);
    const delay = (audio.outputLatency || audio.baseLatency || 0) + 0.05;
    source.start(audio.currentTime + 0.05);
    const onset = performance.now() + 1000 * delay;
    source.onended = () => {
      const offset = Math.max(performance.now(), onset);
      done({ onset_ms: onset, offset_ms: offset, shown_ms: 1000 * sound.duration });
    };
  });
}
