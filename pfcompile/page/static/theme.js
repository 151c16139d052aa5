// Runs before the page is drawn, so that a chosen theme does not flicker.
"use strict";
try {
  document.documentElement.dataset.theme = localStorage.getItem("pfcompile.theme") ?? "auto";
} catch {
  document.documentElement.dataset.theme = "auto"; // storage may be switched off
}
