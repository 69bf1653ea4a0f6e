// The start of a page of its own.

async function main() {
  $("introduction").textContent = CONTENT.introduction;
  $("footer").textContent = CONTENT.footer;
  buildControls();
  setState("empty");
  await nextTask();
  const choices = buildChoices();
  await nextTask();
  drawCurve(CONTENT.until);
  await nextTask();
  const network = await loadEngine();
  $("footer").textContent += ` Runs with ${network.instructions}.`;
  setState("ready");
  choices[0]?.click();
}

attempt(main);
