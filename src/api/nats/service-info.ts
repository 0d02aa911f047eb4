/**
 * What NATS's service tools ask a service: PING, INFO and STATS below `$SRV`.
 *
 * Owns the counts of one endpoint.
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { isClientSubject } from "../../base/nats-subjects.ts";

export interface ServiceIdentity {
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly endpoint: {
    readonly name: string;
    readonly subject: string;
    readonly queueGroup: string;
  };
}

const TYPE = "io.nats.micro.v1";

export class ServiceInfo {
  private readonly identity: ServiceIdentity;
  private readonly started = new Date().toISOString();
  private readonly subscriptions: Subscription[] = [];
  private requests = 0;
  private errors = 0;
  private lastError = "";
  private processingMs = 0;

  constructor(identity: ServiceIdentity) {
    this.identity = identity;
  }

  listen(connection: NatsConnection): void {
    const { name, id } = this.identity;
    const answers = { PING: this.ping, INFO: this.info, STATS: this.stats };
    for (const [verb, answer] of Object.entries(answers)) {
      const callback = (_error: Error | null, message: Msg): void => {
        if (isClientSubject(message.reply ?? "")) message.respond(JSON.stringify(answer()));
      };
      for (const subject of [verb, `${verb}.${name}`, `${verb}.${name}.${id}`]) {
        this.subscriptions.push(connection.subscribe(`$SRV.${subject}`, { callback }));
      }
    }
  }

  stop(): void {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
  }

  answered(durationMs: number, error?: string): void {
    this.requests++;
    this.processingMs += durationMs;
    if (error === undefined) return;
    this.errors++;
    this.lastError = error;
  }

  private head(type: string) {
    const { name, id, version, metadata } = this.identity;
    return { type: `${TYPE}.${type}`, name, id, version, metadata };
  }

  private readonly ping = () => this.head("ping_response");

  private readonly info = () => {
    const { description, endpoint } = this.identity;
    const { name, subject, queueGroup: queue_group } = endpoint;
    return {
      ...this.head("info_response"),
      description,
      endpoints: [{ name, subject, queue_group, metadata: {} }],
    };
  };

  private readonly stats = () => {
    const { name, subject, queueGroup: queue_group } = this.identity.endpoint;
    const nanos = Math.round(this.processingMs * 1e6);
    const endpoint = {
      name,
      subject,
      queue_group,
      num_requests: this.requests,
      num_errors: this.errors,
      last_error: this.lastError,
      processing_time: nanos,
      average_processing_time: this.requests === 0 ? 0 : Math.round(nanos / this.requests),
    };
    return { ...this.head("stats_response"), started: this.started, endpoints: [endpoint] };
  };
}
