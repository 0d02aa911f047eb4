/** How texts look on a terminal. Colour is only where it shows: NO_COLOR and pipes are looked at. */
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];

const STATUS_STYLE: Readonly<Record<string, Style>> = {
  running: "green",
  ready: "green",
  idle: "green",
  open: "cyan",
  yes: "green",
  recovering: "yellow",
  backoff: "yellow",
  suspended: "yellow",
  held: "red",
  failed: "red",
  no: "red",
};

export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function bold(text: string): string {
  return styled("bold", text);
}

/** By its first word, so that a reason may follow. */
export function statusStyled(text: string): string {
  const style = STATUS_STYLE[/^[a-z]+/.exec(text)?.[0] ?? ""];
  return style === undefined ? text : styled(style, text);
}

/** What agents and clients wrote must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
