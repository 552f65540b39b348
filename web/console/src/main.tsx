import "@mantine/core/styles/baseline.css";
import "@mantine/core/styles/default-css-variables.css";
import "@mantine/core/styles/global.css";
import "./ui/mantine.css";
import "./ui/global.css";
import { createRoot } from "react-dom/client";
import { App } from "./App";

// A page that was open over an update asks for files that are gone: loading it again gets the new ones, once (ST11).
window.addEventListener("vite:preloadError", (e) => {
  const last = Number(sessionStorage.getItem("omni.reloaded") ?? 0);
  if (Date.now() - last < 60_000) return;
  sessionStorage.setItem("omni.reloaded", `${Date.now()}`);
  e.preventDefault();
  location.reload();
});

const root = document.getElementById("root");
if (!root) throw new Error("no #root in the page");
createRoot(root).render(<App />);
