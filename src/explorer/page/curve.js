// The curve of the signal-to-noise ratio.

let points = [];

function drawCurve(until) {
  // At the size of the screen, so that texts stay legible on a telephone.
  const width = Math.max(280, Math.min(740, $("curve").clientWidth || 640));
  const [height, left, right, top, bottom] = [220, 44, 12, 12, 40];
  const last = Math.max(20, points.length ? points[points.length - 1][0] : 0);
  const values = points.map(p => p[1]).filter(Number.isFinite);
  const high = Math.max(until, ...values) * 1.05, low = Math.min(0, ...values);
  const x = evaluation => left + (width - left - right) * evaluation / last;
  const y = snr => height - bottom - (height - top - bottom) * (snr - low) / (high - low);
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].find(s => last / s <= width / 90) ?? 5000;
  const parts = [];
  for (let v = Math.ceil(low / 5) * 5; v <= high; v += 5) {
    parts.push(`<line class="grid" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 6}" y="${y(v) + 4}" text-anchor="end">${v}</text>`);
  }
  for (let v = 0; v <= last; v += step) {
    parts.push(`<text x="${x(v)}" y="${height - bottom + 16}" text-anchor="middle">${v}</text>`);
  }
  parts.push(`<line class="target" x1="${left}" x2="${width - right}" y1="${y(until)}" y2="${y(until)}"/>`);
  let best = -Infinity;
  const path = points.filter(p => Number.isFinite(p[1])).map(p => {
    best = Math.max(best, p[1]);
    return `${x(p[0]).toFixed(1)},${y(best).toFixed(1)}`;
  });
  parts.push(`<polyline class="line" points="${path.join(" ")}"/>`);
  parts.push(`<text x="${(left + width - right) / 2}" y="${height - 6}" text-anchor="middle">gradient evaluations</text>`);
  parts.push(`<text transform="rotate(-90)" x="${-(top + height - bottom) / 2}" y="12" text-anchor="middle">best SNR (dB)</text>`);
  const label = values.length
    ? `The best signal-to-noise ratio over ${points.length} gradient evaluations: ${Math.max(...values).toFixed(1)} dB; target ${until} dB.`
    : "No gradient evaluation yet.";
  $("curve").innerHTML = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${parts.join("")}</svg>`;
}
