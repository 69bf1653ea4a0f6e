// The controls and the start of the engine.

function buildControls() {
  const stage = $("stage");
  stage.max = CONTENT.stages.length - 1;
  stage.value = Math.max(0, CONTENT.stages.findIndex(s => s.name === CONTENT.stage));
  const describe = () => {
    const { name, shape } = CONTENT.stages[Number(stage.value)];
    $("stage-name").textContent = name;
    stage.setAttribute("aria-valuetext", name);
    const size = shape.length === 3 ? `${shape[0]} channels of ${shape[1]} x ${shape[2]} activations` : `${shape[0]} activations`;
    $("stage-about").textContent = `Stage ${Number(stage.value) + 1} of ${CONTENT.stages.length}: ${size}. Later stages ignore more of the original.`;
  };
  stage.oninput = describe;
  describe();
  $("seed").value = CONTENT.seed;
  $("until").value = CONTENT.until;
  for (const name of CONTENT.recipes) $("recipe").append(new Option(name, name, name === CONTENT.recipe, name === CONTENT.recipe));
  $("until").onchange = () => drawCurve(target());
  // Enter that is held down would press the button that has the focus next.
  $("controls").onkeydown = event => { if (event.repeat && event.key === "Enter") event.preventDefault(); };
  $("controls").onsubmit = event => { event.preventDefault(); attemptSynthesis(make); };
  $("pause").onclick = () => state === "paused" ? attemptSynthesis(goOn) : interrupt("pause");
  $("finish").onclick = () => state === "paused" ? attemptSynthesis(() => finish(null)) : interrupt("finish");
}

// Starts the worker and loads the module and the network; returns what the network has.
async function loadEngine() {
  setStatus("Loading \u2026");
  const name = moduleName();
  if (!name) {
    throw new Error("this browser cannot run it: WebAssembly with SIMD, or DecompressionStream, is missing. Chrome or Edge 97, Firefox 113 and Safari 16.4 have what it needs, and newer versions.");
  }
  startWorker();
  await nextTask();
  onEvent = data => { if (data.event === "progress") showProgress(data); };
  const threads = numThreads();
  const module = threads > 1 ? "module-threads" : `module-${name}`;
  await sendFiles([module, ...CONTENT.provided, ...CONTENT.originals.map(o => o.file)], done => { $("loading").value = done; });
  setStatus("Loading the network \u2026");
  const network = await send({ load: { module, threads, provided: CONTENT.provided, network: CONTENT.network } });
  $("loading").hidden = true;
  return { ...network, threads };
}
