import type {
  DeadLetterServiceServer,
  DropDeadLetterRequest,
  ListDeadLettersRequest,
  RetryDeadLetterRequest,
} from "../../gen/caxton/v1/dead_letter.ts";
import { type CallContext, unary } from "./call.ts";
import { encodeDeadLetter } from "./encode.ts";
import { checkAgentFilter, checkRequired, pageRequest } from "./validate.ts";

export function deadLetterService(api: CallContext): DeadLetterServiceServer {
  const { kernel } = api;
  return {
    listDeadLetters: unary(api, "ListDeadLetters", async (request: ListDeadLettersRequest) => {
      checkAgentFilter(request);
      const filter = {
        ...(request.namespace === "" ? {} : { namespace: request.namespace }),
        ...(request.agent === "" ? {} : { agent: request.agent }),
      };
      const page = await kernel.deadLetters.list(filter, pageRequest(request));
      return {
        deadLetters: page.items.map(encodeDeadLetter),
        nextPageToken: page.nextPageToken ?? "",
      };
    }),
    retryDeadLetter: unary(api, "RetryDeadLetter", async ({ id }: RetryDeadLetterRequest) => {
      checkRequired("id", id);
      await kernel.deadLetters.retry(id);
      return {};
    }),
    dropDeadLetter: unary(api, "DropDeadLetter", async ({ id }: DropDeadLetterRequest) => {
      checkRequired("id", id);
      await kernel.deadLetters.drop(id);
      return {};
    }),
  };
}
