// An exported notebook whose cells make their metamers anew: one panel, which moves to the cell that asks for it.

const CELLS = CONTENT.cells;
let loading = null;
let choices = [];

// Loads the engine when the first cell asks for it, so that a page that is only read stays light.
async function load() {
  const network = await loadEngine();
  CONTENT.stages = network.stages;
  CONTENT.recipes = network.recipes;
  buildControls();
  choices = buildChoices();
  drawCurve(CONTENT.until);
  setState("ready");
}

async function open({ original, stage, seed, recipe }) {
  await (loading ??= load());
  await chooseOriginal(choices[original]);
  $("stage").value = CONTENT.stages.findIndex(s => s.name === stage);
  $("stage").oninput();
  $("seed").value = seed;
  $("recipe").value = recipe;
  $("make").focus();
}

for (const offer of document.querySelectorAll("p[data-cell]")) {
  offer.hidden = false;
  offer.querySelector("button").onclick = () => {
    if (isMaking()) {
      HOST.scrollIntoView({ block: "nearest" });
      return showProblem("A metamer is being made. Stop it here, before another cell makes one.");
    }
    HOST.hidden = false;
    offer.after(HOST);
    HOST.scrollIntoView({ block: "nearest" });
    attempt(() => open(CELLS[Number(offer.dataset.cell)]));
  };
}
setState("empty");
// In the panel only: the rest of the page is the notebook's.
acceptDrops(HOST);
