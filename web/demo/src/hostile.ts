import "./hostile.css";

// What pages of another age did to the browser's own objects.
const omni = window as unknown as Record<string, unknown>;
omni.$ = omni.jQuery = () => [];
omni._ = omni.require = omni.module = undefined;
(Array.prototype as unknown as Record<string, unknown>).remove = function remove() {};
(Function.prototype as unknown as Record<string, unknown>).bindTo = function bindTo() {};

Object.defineProperty(window, "localStorage", {
  get() {
    throw new DOMException("forbidden", "SecurityError");
  },
});

let errors = 0;
const count = () => {
  errors++;
  const line = document.querySelector("#errors");
  if (line) line.textContent = `${errors} errors reached this page`;
};
addEventListener("error", count);
addEventListener("unhandledrejection", count);
document.addEventListener("securitypolicyviolation", count);
