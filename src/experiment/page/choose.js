// Response screens: buttons, or a word that is typed or selected from a list.

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(properties)) if (name.startsWith("aria-") || name === "role") node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Announces a text to screen readers.
const announce = text => { document.getElementById("live").textContent = text; };

// Shows a text in its place, and announces it.
function tell(place, text) {
  place.textContent = text;
  announce(text);
}

// Shows the choices as buttons in four columns. Arrow keys or first letters move the focus; Enter or a click selects.
function askByButtons(place, choices, done) {
  const buttons = choices.map(word => element("button", { type: "button", textContent: word, onclick: () => done(word) }));
  const grid = element("div", { className: "choices", role: "group", tabIndex: -1, "aria-label": "Choices. Move with the arrow keys or first letters, and select with Enter." }, ...buttons);
  let typed = "";
  let lastKey = 0;
  screenKeys = event => {
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

// Shows a text field and the choices that match it. Enter selects an exact match, or the only match.
function askByTyping(place, choices, done) {
  const maxShown = 8;
  const normalize = text => text.trim().toLowerCase();
  const noMatch = "No word in the list matches.";
  const matching = text => {
    const starting = choices.filter(word => normalize(word).startsWith(text));
    return starting.concat(choices.filter(word => !normalize(word).startsWith(text) && normalize(word).includes(text)));
  };
  const field = element("input", { type: "text", autocomplete: "off", autocapitalize: "off", spellcheck: false, id: "word" });
  const words = element("div", { className: "words", role: "group", "aria-label": "Matching words" });
  const list = () => {
    const text = normalize(field.value);
    const found = text === "" ? [] : matching(text);
    const shown = found.slice(0, maxShown).map(word => element("button", { type: "button", textContent: word, onclick: () => done(word) }));
    words.replaceChildren(...shown);
    if (found.length > maxShown) words.append(element("span", { className: "quiet", textContent: `and ${found.length - maxShown} more` }));
    if (text !== "" && found.length === 0) words.append(element("span", { className: "quiet", textContent: noMatch }));
    announce(text === "" ? "" : `${found.length} matching ${found.length === 1 ? "word" : "words"}`);
    return found;
  };
  field.oninput = list;
  const submit = () => {
    const found = list();
    const exact = choices.find(word => normalize(word) === normalize(field.value));
    if (exact !== undefined) done(exact);
    else if (found.length === 1) done(found[0]);
    else if (found.length === 0 && field.value.trim() !== "") announce(noMatch);
    else {
      const hint = element("span", { className: "quiet" });
      words.append(hint);
      tell(hint, found.length === 0 ? "Please type a word." : "Several words match. Please choose one.");
    }
  };
  screenKeys = event => {
    if (event.ctrlKey || event.metaKey || event.altKey || (isButton(event.target) && (event.key === "Enter" || event.key === " "))) return;
    if (event.key === "Enter") {
      event.preventDefault();
      submit();
    } else if (event.target !== field && (event.key.length === 1 || event.key === "Backspace")) {
      // The letter goes to the element that has the focus when the handler returns.
      field.focus({ preventScroll: true });
      field.setSelectionRange(field.value.length, field.value.length);
    }
  };
  place.append(element("label", {}, "Type the word, or its first letters", field), words);
  field.focus({ preventScroll: true });
}
