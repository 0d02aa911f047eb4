/** What whoever runs the servers knows of their disks, and wants to know of their streams. */
export interface Room {
  /** Why nothing may be sent to be stored now; undefined while it may. */
  lack(): string | undefined;
  /** The leader of the stream answers, but has acknowledged nothing for long. */
  storesNothing(stream: string): void;
}

/** Of servers that are not the node's own: only what they answer is known. */
export const UNKNOWN_ROOM: Room = {
  lack: () => undefined,
  storesNothing: () => undefined,
};
