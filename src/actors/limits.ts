/** Limits of the node, compiled from its configuration. Limits of an agent are in its manifest. */
export interface NodeLimits {
  readonly messageBytesMax: number;
  readonly effectsBytesMax: number;
  /** One frame, header included. */
  readonly frameBytesMax: number;
  readonly moduleBytesMax: number;
  /** Client message ids remembered per partition. */
  readonly clientIdsMax: number;
  /** Bytes of replies remembered for them per partition. */
  readonly clientIdBytesMax: number;
  readonly dedupWindowMs: number;
  /** Per partition; the oldest goes when it is reached. */
  readonly deadLettersMax: number;
  readonly deadLetterBytesMax: number;
  /** Committed sends of one partition that their receivers have not committed yet. */
  readonly outboxBytesMax: number;
  /** Client messages and their bytes on the way to a frame, per worker. */
  readonly inflightBytesMax: number;
  /** Tries of a message pending at a crash of the process before it becomes a dead letter. */
  readonly crashIntentsMax: number;
}
