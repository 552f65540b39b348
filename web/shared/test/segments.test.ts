import { describe, expect, it } from "vitest";
import cases from "../../../omni/testdata/segments.json";
import { countSegments, plainForms, plainSMS } from "../src";

describe("CO5 parts of an SMS", () => {
  it.each(cases.segments)("$name", ({ text, segments, units, unicode }) => {
    expect(countSegments(text)).toEqual({ segments, units, unicode });
  });

  it("takes half a pair of surrogates for a character of its own", () => {
    expect(countSegments("\ud83d")).toEqual({ segments: 1, units: 1, unicode: true });
  });
});

describe("CO5 plain forms", () => {
  it.each(cases.plain)("$name", ({ text, plain, replacements }) => {
    expect(plainSMS(text)).toEqual({ text: plain, replacements });
  });

  it("has the table of the cases, and no more", () => {
    expect([...plainForms].sort()).toEqual(cases.table.map(({ from, to }) => [from, to]).sort());
    for (const { from, to } of cases.table) {
      expect(plainSMS(`a${from}b${from}`)).toEqual({ text: `a${to}b${to}`, replacements: [{ from, to, count: 2 }] });
    }
  });

  it("leaves nothing that would be replaced again", () => {
    for (const { plain } of cases.plain) expect(plainSMS(plain).replacements).toEqual([]);
  });
});
