// The panel, apart from the ids and the style of the page around it.

// The elements are selected by tags that the cleaned HTML of a notebook cannot have.
const HOST = document.querySelector("section#metamers-panel");
const ROOT = HOST.attachShadow({ mode: "open" });
ROOT.append(document.querySelector("template#metamers-panel-content").content.cloneNode(true));
