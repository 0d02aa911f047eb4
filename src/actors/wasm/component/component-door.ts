/** The door of components: world `caxton:agent` of sdk/wit, through the canonical ABI. */
import type { DoorKind } from "../guest-door.ts";
import { ComponentGuest } from "./component-guest.ts";
import { componentImports } from "./host-imports.ts";

export const componentDoor: DoorKind = {
  imports: componentImports,
  open: (exports, memory) => new ComponentGuest(exports, memory),
};
