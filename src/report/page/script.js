// Conveniences only: the page reads without them.
(() => {
  // Light or dark, whatever the system prefers.
  const root = document.documentElement;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "theme";
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = dark() ? "Light colours" : "Dark colours"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  name();
  document.querySelector("header").prepend(button);
  // Everything that is folded is printed.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((element) => { element.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((element) => { element.open = false; }));
})();
