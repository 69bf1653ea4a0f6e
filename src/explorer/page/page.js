// The start of a page of its own.

async function main() {
  $("introduction").textContent = CONTENT.introduction;
  $("footer").textContent = CONTENT.footer;
  buildControls();
  setState("empty");
  acceptDrops(document);
  await nextTask();
  const choices = buildChoices();
  await nextTask();
  drawCurve(CONTENT.until);
  await nextTask();
  const network = await loadEngine();
  $("footer").textContent += ` Runs with ${network.instructions}${network.threads > 1 ? ` on ${network.threads} threads` : ""}.`;
  setState("ready");
  choices[0]?.click();
}

attempt(main);
