// Showing pictures for exact times, and playing sounds.

// The time of the next frame. What changes before it returns to the browser is on the screen with that frame.
const frame = () => new Promise(requestAnimationFrame);

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

// The time between frames, as this screen has it now.
async function frameInterval() {
  const times = [];
  while (times.length < 31) times.push(await frame());
  return median(times.slice(1).map((time, k) => time - times[k]));
}

async function decoded(source) {
  const picture = new Image();
  picture.src = source;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  canvas.getContext("2d").drawImage(picture, 0, 0);
  return canvas;
}

// Coloured noise whose octaves have equal contrast, so that it covers coarse and fine shapes alike.
function mask(random, width, height) {
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

// Fixation, picture and mask, one after the other, each for its time to the nearest frame. Times are those of the frames.
async function presentPicture(stand, layers, timing, interval) {
  const [fixation, picture, noise] = layers;
  const intervals = [];
  const show = layer => layers.forEach(each => each.classList.toggle("on", each === layer));
  const wait = async (since, milliseconds) => {
    let now = since;
    while (now - since < milliseconds - interval / 2) {
      const next = await frame();
      intervals.push(next - now);
      now = next;
    }
    return now;
  };
  stand.replaceChildren(...layers);
  const begun = await frame();
  show(fixation);
  const onset = await wait(begun, timing.fixation_ms);
  show(picture);
  const offset = await wait(onset, timing.stimulus_ms);
  show(noise);
  await wait(offset, timing.mask_ms);
  show(null);
  return {
    onset_ms: onset, offset_ms: offset, shown_ms: offset - onset,
    frame_ms: median(intervals), longest_frame_ms: Math.max(...intervals),
  };
}

let audio = null;

// Browsers let a page sound only after a key or a click: this is called from one.
function wakeAudio() {
  audio ??= new AudioContext();
  return audio.resume();
}

function soundFrom(source) {
  const bytes = Uint8Array.from(atob(source.slice(source.indexOf(",") + 1)), letter => letter.charCodeAt(0));
  return audio.decodeAudioData(bytes.buffer);
}

// Plays once; the times are those of the loudspeaker as far as the browser knows its delay.
function playSound(sound) {
  return new Promise((done, failed) => {
    if (audio.state !== "running") return failed(new Error("the browser does not let the page play sounds"));
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
