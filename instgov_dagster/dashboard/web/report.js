"use strict";
/* Draws the report's figures once; the file asks nobody for anything. */
(() => {
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  for (const place of document.querySelectorAll(".plot")) {
    const told = document.getElementById(`${place.id}-data`);
    const figure = JSON.parse(told.textContent);
    figure.layout.font = Object.assign({}, figure.layout.font, { color: ink("--ink") });
    for (const name of Object.keys(figure.layout)) {
      if (/^[xy]axis\d*$/.test(name)) { figure.layout[name].gridcolor = ink("--grid"); }
    }
    Plotly.newPlot(place, figure.data, figure.layout, { displayModeBar: false, responsive: true });
  }
})();
