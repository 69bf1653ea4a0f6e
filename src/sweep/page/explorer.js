
"use strict";
(() => {
    const get = id => document.getElementById(id);
    const content = JSON.parse(get("content").textContent);
    const stage = get("stage");
    let chosen = 0;

    function fill(id, shown, alt) {
        get(id).hidden = !shown;
        // A new player would stop the sound; it changes only with the sound.
        const player = (shown && shown.player) || "";
        if (get(`${id}-player`).dataset.html !== player) {
            get(`${id}-player`).innerHTML = player;
            get(`${id}-player`).dataset.html = player;
        }
        get(`${id}-caption`).textContent = shown ? shown.caption : "";
        if (!shown) return;
        get(id).src = shown.url;
        get(id).alt = alt;
    }

    function draw() {
        const stimulus = content.stimuli[chosen];
        const name = content.stages[stage.value];
        const metamer = stimulus.metamers[stage.value];
        stage.setAttribute("aria-valuetext", name);
        get("name").textContent = name;
        fill("original", stimulus.original, `original: ${stimulus.name}`);
        fill("metamer", metamer, `metamer of ${stimulus.name} at ${name}`);
        get("missing").hidden = Boolean(metamer);
        [...get("stimuli").querySelectorAll("button")].forEach((button, index) =>
            button.setAttribute("aria-pressed", String(index === chosen)));
    }

    get("title").textContent = content.title;
    stage.max = content.stages.length - 1;
    content.stimuli.forEach((stimulus, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = stimulus.name.replaceAll("_", " ");
        button.addEventListener("click", () => { chosen = index; draw(); });
        get("stimuli").append(button);
    });
    stage.addEventListener("input", draw);
    draw();
})();
