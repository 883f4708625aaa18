"use strict";
/* Keeps a page up to date: asks every second, draws what changed, and says STALE when nobody answers.
   No address but this server's own is ever asked, and nothing but GET is ever sent. */
(() => {
  const EVERY_MS = 1000, STALE_MS = 4000;
  const root = document.documentElement, body = document.body;
  let tag = "", answered = Date.now(), drawn = {}, held = {}, said = {};

  const ink = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function themed(layout) {
    const made = structuredClone(layout);
    made.font = Object.assign({}, made.font, { color: ink("--ink") });
    for (const name of Object.keys(made)) {
      if (/^[xy]axis\d*$/.test(name)) {
        Object.assign(made[name], { gridcolor: ink("--grid"), linecolor: ink("--line"), tickcolor: ink("--line") });
      }
    }
    for (const note of made.annotations || []) { note.font = Object.assign({ color: ink("--ink") }, note.font); }
    return made;
  }

  function draw(key, figure) {
    const place = document.getElementById(`${key}-plot`);
    if (!place) { return; }
    held[key] = figure;
    Plotly.react(place, figure.data, themed(figure.layout), { displayModeBar: false, responsive: true });
  }

  function redraw() { for (const key of Object.keys(held)) { draw(key, held[key]); } }

  function opened() {
    return new Set([...document.querySelectorAll("details[open]")].map((d) => d.dataset.key));
  }

  function keyed() {
    for (const place of document.querySelectorAll("section")) {
      place.querySelectorAll("details").forEach((d, k) => { d.dataset.key = `${place.id}-${k}`; });
    }
  }

  function show(told) {
    body.dataset.state = told.state;
    body.dataset.standing = told.standing;
    for (const name of ["banner", "tiles"]) {  // what is unchanged is not said again to a screen reader
      if (said[name] !== told[name]) { said[name] = told[name]; document.getElementById(name).innerHTML = told[name]; }
    }
    const wereOpen = opened();
    const main = document.getElementById("sections");
    for (const row of told.sections) {
      if (drawn[row.key] === row.digest) { continue; }
      drawn[row.key] = row.digest;
      const template = document.createElement("template");
      template.innerHTML = row.html;
      const fresh = template.content.firstElementChild, old = document.getElementById(row.key);
      const plot = old && old.querySelector(".plot"), wanted = fresh.querySelector(".plot");
      if (plot && wanted) { plot.setAttribute("aria-label", wanted.getAttribute("aria-label")); wanted.replaceWith(plot); }
      if (old) { old.replaceWith(fresh); } else { main.append(fresh); }
      keyed();
      fresh.querySelectorAll("details").forEach((d) => { d.open = wereOpen.has(d.dataset.key); });
      if (row.figure) { draw(row.key, row.figure); }
    }
    body.dataset.cycle = told.cycle;
    document.getElementById("read").textContent = told.at;
  }

  function lost(why) {
    if (body.dataset.standing === "STALE" && body.dataset.lost) { return; }
    body.dataset.standing = "STALE";
    body.dataset.lost = "yes";
    const line = document.createElement("p");
    line.className = "state";
    line.textContent = `STALE: ${why}. What stands below is not live.`;
    document.getElementById("banner").replaceChildren(line);
  }

  async function ask() {
    try {
      const asked = new URLSearchParams(location.search);
      asked.set("known", tag);
      const answer = await fetch(`/api/${body.dataset.page}?${asked}`, { cache: "no-store", credentials: "same-origin" });
      if (!answer.ok) { throw new Error(`the server answers ${answer.status}`); }
      const told = await answer.json();
      if (told.tag) { tag = told.tag; show(told); }
      answered = Date.now();
      delete body.dataset.lost;
    } catch (error) {
      if (Date.now() - answered > STALE_MS) { tag = ""; drawn = {}; said = {}; lost("the server of this page does not answer"); }
    }
    setTimeout(ask, EVERY_MS);
  }

  document.getElementById("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (error) { /* private windows keep nothing */ }
    redraw();
  });
  try { const kept = localStorage.getItem("theme"); if (kept) { root.dataset.theme = kept; } } catch (error) { /* as above */ }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  keyed();
  ask();
})();
