
"use strict";
(() => {
    const get = id => document.getElementById(id);
    const content = JSON.parse(get("content").textContent);
    const [first, second] = [get("first"), get("second")];
    // Twice a second: more than three flashes a second can cause seizures.
    const PERIOD = 500;
    let timer = null;
    let showsSecond = false;

    get("title").textContent = content.title;
    [first, second].forEach((image, index) => {
        image.src = content.pictures[index].url;
        image.alt = content.pictures[index].alt;
    });
    get("axes").textContent = content.axes;
    get("axes").hidden = !content.axes;
    content.pictures.forEach(picture => {
        if (!picture.player) return;
        const place = document.createElement("div");
        place.innerHTML = picture.player;
        get("players").append(place);
    });

    function drawSwipe() {
        const percent = Number(get("swipe").value);
        second.hidden = false;
        second.style.clipPath = `inset(0 0 0 ${percent}%)`;
        get("line").hidden = false;
        get("line").style.left = `${percent}%`;
        const words = `${percent} % ${content.pictures[0].name}, ${100 - percent} % ${content.pictures[1].name}`;
        get("swipe").setAttribute("aria-valuetext", words);
        get("seen").textContent = words;
    }

    function drawFlicker() {
        second.style.clipPath = "none";
        second.hidden = !showsSecond;
        get("line").hidden = true;
        get("seen").textContent = content.pictures[showsSecond ? 1 : 0].name;
    }

    function stop() {
        clearInterval(timer);
        timer = null;
        get("auto").setAttribute("aria-pressed", "false");
        get("seen").setAttribute("aria-live", "polite");
    }

    function toggle() {
        showsSecond = !showsSecond;
        drawFlicker();
    }

    function mode() {
        const isSwipe = document.querySelector("[name=mode]:checked").value === "swipe";
        stop();
        get("swipe").parentElement.hidden = !isSwipe;
        get("flicker").hidden = isSwipe;
        if (isSwipe) drawSwipe(); else drawFlicker();
    }

    document.querySelectorAll("[name=mode]").forEach(radio => radio.addEventListener("change", mode));
    get("swipe").addEventListener("input", drawSwipe);
    get("toggle").addEventListener("click", () => { stop(); toggle(); });
    get("auto").addEventListener("click", () => {
        if (timer) return stop();
        get("auto").setAttribute("aria-pressed", "true");
        // Announcing each change would never end.
        get("seen").setAttribute("aria-live", "off");
        timer = setInterval(toggle, PERIOD);
    });
    mode();
})();
