import { type Token, tokenize } from "@omni/shared";
import { memo } from "react";

/** Message text: text nodes, links, and WhatsApp's marks; never HTML (TH10, M5). */
export const Text = memo(function Text({ text, marks }: { text: string; marks: boolean }) {
  // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a text have no identity but their place
  return tokenize(text, { marks }).map((token, n) => <Piece key={`${n}`} token={token} />);
});

function Piece({ token }: { token: Token }) {
  switch (token.kind) {
    case "text":
      return token.text;
    case "link":
      return (
        <a href={token.href} target="_blank" rel="noopener noreferrer">
          {token.text}
        </a>
      );
    case "bold":
      return <strong>{token.text}</strong>;
    case "italic":
      return <em>{token.text}</em>;
    case "strike":
      return <s>{token.text}</s>;
    case "code":
      return <code>{token.text}</code>;
  }
}
