/**
 * The stream that clients send by, between its reader and the partitions.
 *
 * Owns what is on its way to the workers. All of one turn of the event loop travels together.
 */
import { CaxtonError } from "../base/errors.ts";
import type { SendInput, SendStream, StreamListener, StreamNumber, StreamPlace } from "./kernel.ts";
import type { PartitionAccess } from "./partition-access.ts";
import { WorkerBatches } from "./worker-batches.ts";
import { Packer } from "./worker-protocol.ts";
import type { FromWorker, PackedStreamed, ToWorker } from "./worker-protocol.ts";

export interface SendStreamsPorts {
  readonly partitions: PartitionAccess;
  workerOf(partition: number): number;
  post(worker: number, message: ToWorker, transfer: readonly ArrayBuffer[]): void;
  prepare(input: SendInput): {
    readonly id: string;
    readonly partition: number;
    readonly envelope: Buffer;
  };
}

interface Numbered {
  readonly partition: number;
  readonly n: number;
}

interface Outgoing {
  readonly packer: Packer;
  readonly messages: PackedStreamed[];
  readonly disposed: Numbered[];
  readonly givenUp: Numbered[];
}

export class SendStreams implements SendStream {
  private readonly ports: SendStreamsPorts;
  private readonly outgoing: WorkerBatches<Outgoing>;
  private listener: StreamListener | undefined;

  constructor(ports: SendStreamsPorts) {
    this.ports = ports;
    this.outgoing = new WorkerBatches<Outgoing>(
      () => ({ packer: new Packer(), messages: [], disposed: [], givenUp: [] }),
      (worker, { packer, messages, disposed, givenUp }) => {
        const bytes = packer.finish();
        ports.post(worker, { kind: "stream", messages, bytes, disposed, givenUp }, [bytes.buffer]);
      },
      // Behind the microtasks: a reader gets on by those from message to message.
      (run) => {
        process.nextTick(run);
      },
    );
  }

  open(listener: StreamListener): SendStream {
    this.listener = listener;
    return this;
  }

  place(partition: number): Promise<StreamPlace> {
    return this.ports.partitions.query<StreamPlace>({ kind: "stream", partition });
  }

  async begin(partition: number, incarnation: number, last: number): Promise<StreamPlace> {
    await this.ports.partitions.control(partition, { kind: "stream-begin", incarnation, last });
    return this.place(partition);
  }

  offer(partition: number, message: StreamNumber, input: SendInput, hasOwnId: boolean): void {
    const { id, envelope, partition: destination } = this.ports.prepare(input);
    if (destination !== partition) {
      const text = `A message to ${input.receiver} came as one of partition ${String(partition)}.`;
      throw new CaxtonError("INVALID_ADDRESS", text);
    }
    const { packer, messages } = this.outgoingTo(partition);
    const packed = packer.add(envelope, 0, envelope.length);
    messages.push({ partition, ...message, id: hasOwnId ? id : undefined, ...packed });
  }

  refuse(partition: number, message: StreamNumber): void {
    const { messages } = this.outgoingTo(partition);
    messages.push({ partition, ...message, id: undefined, offset: 0, length: 0 });
  }

  disposed(partition: number, n: number): void {
    this.outgoingTo(partition).disposed.push({ partition, n });
  }

  giveUp(partition: number, n: number): void {
    this.outgoingTo(partition).givenUp.push({ partition, n });
  }

  private outgoingTo(partition: number): Outgoing {
    return this.outgoing.to(this.ports.workerOf(partition));
  }

  streamed({ settled, refused }: Extract<FromWorker, { kind: "streamed" }>): void {
    for (const each of settled) {
      this.listener?.settled(each.partition, each.settled, each.accepted);
    }
    for (const { partition, n, code, reason } of refused) {
      this.listener?.refused(partition, n, new CaxtonError(code, reason));
    }
  }

  /** A worker is gone, and what it had in hand. */
  lost(worker: number): void {
    this.outgoing.drop(worker);
    const { ports } = this;
    this.listener?.lost(ports.partitions.ids.filter((id) => ports.workerOf(id) === worker));
  }
}
