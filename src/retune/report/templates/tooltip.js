"use strict";
// Shows the label of a chart's mark next to the pointer.
(() => {
  const tooltip = document.getElementById("tooltip");

  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest?.(".panel svg [aria-label]");
    tooltip.hidden = !mark;
    if (mark) tooltip.textContent = mark.getAttribute("aria-label");
  });

  document.addEventListener("pointermove", (event) => {
    if (tooltip.hidden) return;
    const width = document.documentElement.clientWidth - tooltip.offsetWidth - 8;
    tooltip.style.left = `${Math.max(0, Math.min(event.clientX + 14, width))}px`;
    tooltip.style.top = `${Math.max(0, event.clientY - tooltip.offsetHeight - 10)}px`;
  });
})();
