import { mount } from "./mount";

if (document.currentScript instanceof HTMLScriptElement) mount(document.currentScript).catch(() => {});
