"use strict";
const byId = (id) => document.getElementById(id);
const cards = [...document.querySelectorAll(".card")];

// Images: their data lies in this file as text, and becomes an image only when it comes into view.
const source = (number) => "data:image/webp;base64," + byId(number).textContent;
const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      entry.target.decoding = "async";
      entry.target.src = source(entry.target.dataset.image);
      nearby.unobserve(entry.target);
    }
  }
}, { rootMargin: "400px" });
for (const image of document.querySelectorAll("img[data-image]")) nearby.observe(image);

// Filter and order.
const shown = () => [...byId("cards").querySelectorAll(".card:not([hidden])")];
function filter() {
  const wanted = (name) => new Set([...document.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value));
  const [grades, verdicts, text] = [wanted("grade"), wanted("verdict"), byId("find").value.trim().toLowerCase()];
  for (const card of cards) {
    const { grade, verdict, name } = card.dataset;
    const fits = (!grade || grades.has(grade)) && (!verdict || verdicts.has(verdict));
    card.hidden = !(fits && name.toLowerCase().includes(text));
  }
  const count = shown().length;
  byId("count").textContent = `${count.toLocaleString("en")} of ${cards.length.toLocaleString("en")} cases`;
  byId("none").hidden = count > 0;
}
function order() {
  const byName = byId("order").value === "name";
  const key = (card) => (byName ? card.dataset.name : Number(card.dataset.rank));
  cards.sort((one, other) => (key(one) < key(other) ? -1 : 1));
  byId("none").before(...cards);
}
byId("bar").addEventListener("input", filter);
byId("bar").addEventListener("submit", (event) => event.preventDefault());
byId("order").addEventListener("change", order);
filter();

// The close look.
const look = byId("look");
const stage = byId("stage");
let file = null;
const chosen = (name) => look.querySelector(`input[name=${name}]:checked`).value;
const choose = (name, value) => { look.querySelector(`input[name=${name}][value=${value}]`).checked = true; };
const figure = (role) => file.querySelector(`[data-role=${role}] img`);

function draw() {
  const pair = chosen("pair");
  const roles = pair === "engine" ? ["new", "engine"] : ["published", "new"];
  const images = roles.map((role) => figure(role) || figure("new") || file.querySelector("img"));
  const map = figure(`${pair}_map`);
  byId("left").src = source(images[0].dataset.image);
  byId("right").src = source(images[1].dataset.image);
  byId("map").src = map ? source(map.dataset.image) : "";
  [byId("left-tag").textContent, byId("right-tag").textContent] = roles;
  look.querySelector("input[value=map]").disabled = !map;
  if (!map && chosen("mode") === "map") choose("mode", "slide");
  const mode = chosen("mode");
  stage.dataset.mode = mode;
  byId("slider").hidden = mode !== "slide";
  byId("map-legend").hidden = mode !== "map";
  byId("flip-hint").hidden = mode !== "flip";
  fit(images[0], mode);
}
function fit(image, mode) {
  const [wide, frame] = [mode === "side" ? 2 : 1, stage.querySelector(".frame")];
  const [width, height] = [wide * image.getAttribute("width"), Number(image.getAttribute("height"))];
  const pixels = byId("zoom").checked;
  stage.classList.toggle("pixels", pixels);
  const room = [stage.clientWidth - 32, stage.clientHeight - 16];
  const scale = pixels ? 3 : Math.min(room[0] / width, room[1] / height);
  frame.style.width = `${width * scale}px`;
  frame.style.height = `${height * scale}px`;
  byId("slider").style.width = `${width * scale}px`;
}
function open(section, role) {
  file = section;
  byId("look-title").textContent = file.dataset.file;
  byId("look-badges").replaceChildren(...[...file.closest(".card").querySelectorAll(".badge")].map((badge) => badge.cloneNode(true)));
  for (const pair of ["published", "engine"]) look.querySelector(`input[value=${pair}]`).disabled = !figure(pair);
  if (look.querySelector("input[name=pair]:checked").disabled || role.startsWith("engine")) {
    choose("pair", figure("published") && !role.startsWith("engine") ? "published" : "engine");
  }
  if (!figure("engine")) choose("pair", "published");
  if (role.endsWith("_map")) choose("mode", "map");
  if (!look.open) look.showModal();
  draw();
  byId("slider").focus();
}
function step(by) {
  const files = shown().flatMap((card) => [...card.querySelectorAll(".file")]).filter((each) => each.querySelector(".open"));
  const next = files[files.indexOf(file) + by];
  if (next) open(next, chosen("pair"));
}
function slide(percent) {
  byId("slider").value = percent;
  stage.style.setProperty("--at", `${byId("slider").value}%`);
}
byId("cards").addEventListener("click", (event) => {
  const button = event.target.closest(".open");
  if (button) open(button.closest(".file"), button.dataset.role);
});
byId("slider").addEventListener("input", (event) => slide(event.target.value));
stage.querySelector(".frame").addEventListener("pointermove", (event) => {
  const box = event.currentTarget.getBoundingClientRect();
  if (chosen("mode") === "slide") slide(100 * (event.clientX - box.left) / box.width);
});
byId("stage").addEventListener("click", () => { if (chosen("mode") === "flip") stage.classList.toggle("flipped"); });
byId("modes").addEventListener("change", draw);
byId("pairs").addEventListener("change", draw);
byId("zoom").addEventListener("change", draw);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => look.close());
look.addEventListener("close", () => { if (file) file.querySelector(".open").focus(); });
addEventListener("resize", () => { if (look.open) draw(); });
const modes = { s: "slide", f: "flip", d: "map", b: "side" };
document.addEventListener("keydown", (event) => {  // of the document: an element that a mode hides loses the focus
  if (!look.open || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "n" || event.key === "p") step(event.key === "n" ? 1 : -1);
  else if (event.key === "z") { byId("zoom").checked = !byId("zoom").checked; draw(); }
  else if (event.key === "f" && chosen("mode") === "flip") stage.classList.toggle("flipped");
  else if (event.key in modes && !look.querySelector(`input[value=${modes[event.key]}]`).disabled) {
    choose("mode", modes[event.key]);
    draw();
    byId("slider").focus();  // nothing where the slider is hidden
  }
});
