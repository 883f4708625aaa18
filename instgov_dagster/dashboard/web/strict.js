"use strict";
/* The page's policy refuses style elements and style attributes. The drawing library brings a sheet for
   maps, which no page has: it is left out. The attributes it writes go through the style object instead,
   property by property, which the policy allows. */
(() => {
  const set = Element.prototype.setAttribute, append = Node.prototype.appendChild;
  Element.prototype.setAttribute = function (name, value) {
    if (String(name).toLowerCase() === "style" && this.style) { this.style.cssText = value; } else { set.call(this, name, value); }
  };
  Node.prototype.appendChild = function (node) {
    return node instanceof HTMLStyleElement && node.textContent ? node : append.call(this, node);
  };
})();
