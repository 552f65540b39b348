import "./site.css";

declare global {
  interface Window {
    omni?: { push(...calls: unknown[][]): void };
  }
}

window.omni ??= [] as unknown[][];

for (const button of document.querySelectorAll<HTMLButtonElement>("[data-ask]")) {
  button.addEventListener("click", () => {
    window.omni?.push(["prefill", button.dataset.ask ?? ""], ["open"]);
  });
}

const modes = ["auto", "light", "dark"] as const;
const look = document.querySelector<HTMLButtonElement>("#look");
let mode: (typeof modes)[number] = "auto";
look?.addEventListener("click", () => {
  mode = modes[(modes.indexOf(mode) + 1) % modes.length] ?? "auto";
  document.documentElement.dataset.look = mode;
  look.textContent = `Look: ${mode}`;
  window.omni?.push(["setTheme", mode]);
});
