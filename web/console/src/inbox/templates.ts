// Message templates as carriers describe them, read for a form: what is to be filled in, and what comes of it. What we cannot
// read is no error: such a template is shown, and cannot be chosen.
import type { MediaType, SendTemplate, TemplateComponent, TemplateParameter } from "@omni/shared";
import type { Template } from "../api/records";

interface RawButton {
  type?: string;
  text?: string;
  url?: string;
}

interface RawComponent {
  type?: string;
  format?: string;
  text?: string;
  buttons?: RawButton[];
  example?: { body_text?: string[][]; header_text?: string[] };
}

export type FieldKind =
  | "text"
  | "url"
  | "code"
  | "image"
  | "video"
  | "document"
  | "latitude"
  | "longitude"
  | "placeName";

/** Something to fill in. */
export interface Field {
  /** As the server names it: body.1, header.name, button.0; of files and places with what it is. */
  key: string;
  part: "header" | "body" | "button";
  kind: FieldKind;
  /** Of a place in a text: "1", or a name. */
  place?: string;
  /** Of a button: its text. */
  label?: string;
  index?: number;
  example?: string;
  optional?: boolean;
}

export interface Form {
  fields: Field[];
  header: string;
  body: string;
  footer: string;
  buttons: string[];
  /** It has a part that this form cannot fill. */
  beyond: boolean;
}

const placePattern = /\{\{\s*([^{}]+?)\s*\}\}/g;

function placesOf(text: string, named: boolean): string[] {
  const names = [...new Set([...text.matchAll(placePattern)].map((m) => m[1] ?? ""))];
  return named ? names : names.sort((a, b) => Number(a) - Number(b));
}

export function formOf(t: Template): Form {
  const form: Form = { fields: [], header: "", body: "", footer: "", buttons: [], beyond: false };
  const parts: RawComponent[] = Array.isArray(t.components) ? t.components : [];
  for (const c of parts) {
    const text = c.text ?? "";
    switch (c.type) {
      case "HEADER":
        header(form, c, text, t.namedParameters);
        break;
      case "BODY":
        form.body = text;
        placesOf(text, t.namedParameters).forEach((place, n) => {
          const example = c.example?.body_text?.[0]?.[n];
          form.fields.push({ key: `body.${place}`, part: "body", kind: "text", place, ...(example && { example }) });
        });
        break;
      case "FOOTER":
        form.footer = text;
        break;
      case "BUTTONS":
        (c.buttons ?? []).forEach((b, index) => {
          button(form, b, index);
        });
        break;
      default:
        form.beyond = true;
    }
  }
  if (!form.body) form.beyond = true;
  return form;
}

function header(form: Form, c: RawComponent, text: string, named: boolean): void {
  const part = "header";
  switch (c.format ?? "TEXT") {
    case "TEXT":
      form.header = text;
      placesOf(text, named).forEach((place, n) => {
        const example = c.example?.header_text?.[n];
        form.fields.push({ key: `header.${place}`, part, kind: "text", place, ...(example && { example }) });
      });
      break;
    case "IMAGE":
    case "VIDEO":
    case "DOCUMENT": {
      const kind = c.format?.toLowerCase() as "image";
      form.fields.push({ key: `header.${kind}`, part, kind });
      break;
    }
    case "LOCATION":
      form.fields.push(
        { key: "header.latitude", part, kind: "latitude" },
        { key: "header.longitude", part, kind: "longitude" },
        { key: "header.placeName", part, kind: "placeName", optional: true },
      );
      break;
    default:
      form.beyond = true;
  }
}

function button(form: Form, b: RawButton, index: number): void {
  const label = b.text ?? "";
  if (label) form.buttons.push(label);
  const field = (kind: "url" | "code") =>
    form.fields.push({ key: `button.${index}`, part: "button", kind, label, index });
  if (b.type === "OTP" || (b.type === "URL" && b.url?.includes("{{"))) field("url");
  else if (b.type === "COPY_CODE") field("code");
  else if (b.type === "MPM") form.beyond = true;
}

export type Values = Readonly<Record<string, string>>;

/** Ids of uploaded files by the key of the field that each fills, in the place of an address. */
export type FileIds = Readonly<Record<string, string>>;

export type FileKind = Exclude<MediaType, "audio">;

/** The kind of file that fills a field; undefined: another value does. */
export function fileKind(f: Field): FileKind | undefined {
  return f.kind === "image" || f.kind === "video" || f.kind === "document" ? f.kind : undefined;
}

/** What a file of a type is as a header. "" is not known yet. */
export function fitsKind(kind: FileKind, contentType: string): boolean {
  const major = contentType.split("/")[0] ?? "";
  if (kind !== "document") return major === kind || major === "";
  return !["image", "video", "audio"].includes(major);
}

export type Mistake = "required" | "spaces" | "https" | "number";

export function mistakeIn(f: Field, value: string): Mistake | undefined {
  if (!value.trim()) return f.optional ? undefined : "required";
  switch (f.kind) {
    case "image":
    case "video":
    case "document":
      return /^https:\/\/[^\s/]+/.test(value.trim()) ? undefined : "https";
    case "latitude":
    case "longitude":
      return Number.isFinite(Number(value)) ? undefined : "number";
    case "placeName":
      return undefined;
    default:
      return /[\n\r\t]| {5}/.test(value) ? "spaces" : undefined;
  }
}

/** A text with what is filled in; what is not yet stays as it is. */
export function fill(text: string, part: "header" | "body", values: Values): string {
  return text.replace(placePattern, (whole, name: string) => values[`${part}.${name}`]?.trim() || whole);
}

/** What its reader sees. */
export function textOf(form: Form, values: Values): string {
  return [fill(form.header, "header", values), fill(form.body, "body", values), form.footer].filter(Boolean).join("\n");
}

/** The message that is sent. */
export function messageOf(t: Template, form: Form, values: Values, files: FileIds = {}): SendTemplate {
  const components: TemplateComponent[] = [];
  const value = (key: string) => (values[key] ?? "").trim();
  for (const part of ["header", "body"] as const) {
    const parameters = form.fields
      .filter((f) => f.part === part)
      .flatMap((f) => parameter(f, value, t.namedParameters, files[f.key]));
    if (parameters.length > 0) components.push({ type: part, parameters });
  }
  for (const f of form.fields.filter((x) => x.part === "button")) {
    const text = value(f.key);
    components.push({
      type: "button",
      subType: f.kind === "code" ? "copy_code" : "url",
      index: f.index ?? 0,
      parameters: [{ type: f.kind === "code" ? "coupon_code" : "text", text }],
    });
  }
  return { templateId: t.id, ...(components.length > 0 && { components }) };
}

function parameter(
  f: Field,
  value: (key: string) => string,
  named: boolean,
  fileId: string | undefined,
): TemplateParameter[] {
  switch (f.kind) {
    case "image":
    case "video":
    case "document":
      return [{ type: f.kind, ...(fileId ? { fileId } : { url: value(f.key) }) }];
    case "latitude": {
      const name = value("header.placeName");
      const location = { latitude: Number(value(f.key)), longitude: Number(value("header.longitude")) };
      return [{ type: "location", location: { ...location, ...(name && { name }) } }];
    }
    case "longitude":
    case "placeName":
      return [];
    default:
      return [{ type: "text", text: value(f.key), ...(named && f.place && { name: f.place }) }];
  }
}
