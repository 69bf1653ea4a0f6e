// The start of a page of its own.

async function main() {
  $("introduction").textContent = CONTENT.introduction;
  $("footer").textContent = CONTENT.footer;
  buildControls();
  const choices = buildChoices();
  setState("empty");
  drawCurve(CONTENT.until);
  const network = await loadEngine();
  $("footer").textContent += ` Runs with ${network.instructions}.`;
  setState("ready");
  choices[0]?.click();
}

attempt(main);
