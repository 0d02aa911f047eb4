/** A subscription that goes on where it was when the connection or the server is lost for a while. */
import type {
  SubscribeMessagesRequest,
  SubscribeMessagesResponse,
} from "../../src/gen/caxton/v1/message.ts";
import type { Channel, EventStream } from "./channel.ts";

type Request = Partial<SubscribeMessagesRequest>;
type Subscribe = (request: Request) => EventStream<SubscribeMessagesResponse>;

/** Fails when it was away for longer than the channel's time for a call, or before the first resume token. */
export function resuming(
  channel: Channel,
  subscribe: Subscribe,
  request: Request,
): EventStream<SubscribeMessagesResponse> {
  const first = subscribe(request);
  const { opened } = first;
  return { opened, [Symbol.asyncIterator]: () => follow(channel, subscribe, request, first) };
}

async function* follow(
  channel: Channel,
  subscribe: Subscribe,
  request: Request,
  first: EventStream<SubscribeMessagesResponse>,
): AsyncGenerator<SubscribeMessagesResponse> {
  let { resumeToken = "" } = request;
  let events = first;
  for (let attempt = 1, endMs = Infinity; ; attempt++) {
    try {
      for await (const event of events) {
        [attempt, endMs] = [0, Infinity];
        if (event.resumeToken !== "") ({ resumeToken } = event);
        yield event;
      }
      return;
    } catch (error) {
      if (endMs === Infinity) endMs = Date.now() + channel.timeoutMs;
      // Without a token messages would be missed.
      if (resumeToken === "") throw error;
      if (!(await channel.mayRepeat(error, Math.max(1, attempt), endMs))) throw error;
      events = subscribe({ ...request, resumeToken });
    }
  }
}
