// Asking what it was: buttons, or a word of a list that is typed or chosen.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(properties)) if (name.startsWith("aria-") || name === "role") node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const say = text => { document.getElementById("live").textContent = text; };

// Buttons in a grid of four columns. Arrows move, the first letters of a word find it, Enter or a click chooses.
function askByButtons(place, choices, done) {
  const buttons = choices.map(word => element("button", { type: "button", textContent: word, onclick: () => done(word) }));
  const grid = element("div", { className: "choices", role: "group", tabIndex: -1, "aria-label": "What was it? Arrow keys or first letters move, Enter chooses." }, ...buttons);
  let typed = "";
  let lastKey = 0;
  grid.onkeydown = event => {
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 4, ArrowUp: -4, Home: -at, End: buttons.length - 1 - at }[event.key];
    let to = -1;
    if (step !== undefined) {
      to = at < 0 ? 0 : Math.min(Math.max(at + step, 0), buttons.length - 1);
    } else if (event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey && !event.altKey) {
      typed = (event.timeStamp - lastKey < 1500 ? typed : "") + event.key.toLowerCase();
      lastKey = event.timeStamp;
      const starts = letters => choices.findIndex(word => word.toLowerCase().startsWith(letters));
      to = starts(typed);
      if (to < 0) to = starts(typed = event.key.toLowerCase());
    }
    if (to >= 0) {
      event.preventDefault();
      buttons[to].focus();
    }
  };
  place.append(grid);
  grid.focus({ preventScroll: true });
}

// A field with the words of the list that go with what is typed. Enter takes the word itself, or the only one left.
function askByTyping(place, choices, done) {
  const most = 8;
  const plain = text => text.trim().toLowerCase();
  const fitting = text => {
    const starting = choices.filter(word => plain(word).startsWith(text));
    return starting.concat(choices.filter(word => !plain(word).startsWith(text) && plain(word).includes(text)));
  };
  const field = element("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: false, id: "word" });
  const words = element("div", { className: "words", role: "group", "aria-label": "Words of the list" });
  const list = () => {
    const text = plain(field.value);
    const found = text === "" ? [] : fitting(text);
    const shown = found.slice(0, most).map(word => element("button", { type: "button", textContent: word, onclick: () => done(word) }));
    words.replaceChildren(...shown);
    if (found.length > most) words.append(element("span", { className: "quiet", textContent: `and ${found.length - most} more` }));
    if (text !== "" && found.length === 0) words.append(element("span", { className: "quiet", textContent: "No word of the list goes with this." }));
    say(text === "" ? "" : `${found.length} words go with this`);
    return found;
  };
  field.oninput = list;
  field.onkeydown = event => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const found = list();
    const exact = choices.find(word => plain(word) === plain(field.value));
    if (exact !== undefined) done(exact);
    else if (found.length === 1) done(found[0]);
    else say(found.length === 0 ? "No word of the list goes with this." : "Several words go with this: choose one.");
  };
  place.append(element("label", {}, "Type the word, or its beginning", field), words);
  field.focus({ preventScroll: true });
}
