/** Every kind of guest there is. */
import { componentDoor } from "./component/component-door.ts";
import { coreDoor } from "./core-door.ts";
import type { DoorKind } from "./guest-door.ts";
import { quickJsDoor } from "./quickjs/quickjs-door.ts";

export const DOORS = {
  core: coreDoor,
  component: componentDoor,
  quickjs: quickJsDoor,
} as const satisfies Record<string, DoorKind>;

export type Door = keyof typeof DOORS;
