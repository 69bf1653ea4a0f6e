// Reproducible random numbers: the same text gives the same numbers here and in src/experiment/assignment.rs.

// FNV-1a over the UTF-8 bytes, 32 bits.
function hash(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

// sfc32 (Chris Doty-Humphrey, PractRand), seeded from four hashes of the text.
function generator(text) {
  let [a, b, c, d] = [0, 1, 2, 3].map(k => hash(`${text}|${k}`));
  const next = () => {
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return t >>> 0;
  };
  for (let k = 0; k < 15; k++) next();
  const below = n => Math.floor(next() * n / 2 ** 32);
  // Fisher-Yates.
  const shuffled = n => {
    const order = Array.from({ length: n }, (_, k) => k);
    for (let k = n - 1; k > 0; k--) {
      const other = below(k + 1);
      [order[k], order[other]] = [order[other], order[k]];
    }
    return order;
  };
  return { next, below, shuffled };
}

// Assigns each stimulus one of its available conditions, as evenly as possible over the conditions.
function assign(random, available, conditions) {
  const load = Array(conditions).fill(0);
  const chosen = available.map(() => -1);
  const rank = random.shuffled(conditions);
  const order = random.shuffled(available.length);
  for (const stimulus of order) {
    let best = available[stimulus][0];
    for (const condition of available[stimulus]) {
      const [lighter, earlier] = [load[condition] - load[best], rank[condition] - rank[best]];
      if (lighter < 0 || (lighter === 0 && earlier < 0)) best = condition;
    }
    chosen[stimulus] = best;
    load[best] += 1;
  }
  // In random order, too: otherwise the conditions would depend on positions in the list of stimuli and of conditions.
  const ranked = [...rank.keys()].sort((a, b) => rank[a] - rank[b]);
  while (balanceStep(available, order, ranked, chosen, load));
  return chosen;
}

// Moves one stimulus along each link of a chain of conditions, from one condition to another with at least two fewer stimuli; tries the
// stimuli in `order` and the conditions as they are `ranked`. Returns whether such a chain exists.
function balanceStep(available, order, ranked, chosen, load) {
  for (const full of ranked) {
    const cameBy = Array(load.length).fill(-1);
    const queue = [full];
    for (let head = 0; head < queue.length; head++) {
      const from = queue[head];
      if (load[from] <= load[full] - 2) {
        for (let to = from; to !== full;) {
          const stimulus = cameBy[to];
          const before = chosen[stimulus];
          chosen[stimulus] = to;
          to = before;
        }
        load[full] -= 1;
        load[from] += 1;
        return true;
      }
      for (const to of ranked) {
        if (to === full || cameBy[to] >= 0) continue;
        const stimulus = order.find(each => chosen[each] === from && available[each].includes(to));
        if (stimulus === undefined) continue;
        cameBy[to] = stimulus;
        queue.push(to);
      }
    }
  }
  return false;
}
