import type {
  DeadLetterServiceService,
  DropDeadLetterRequest,
  ListDeadLettersRequest,
  RetryDeadLetterRequest,
} from "../../gen/caxton/v1/dead_letter.ts";
import type { ApiContext } from "../request.ts";
import { encodeDeadLetter } from "./encode.ts";
import type { Methods } from "./method.ts";
import { checkAgentFilter, checkRequired, pageRequest } from "./validate.ts";

export function deadLetterService(api: ApiContext): Methods<DeadLetterServiceService> {
  const { kernel } = api;
  return {
    listDeadLetters: async (request: ListDeadLettersRequest) => {
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
    },
    retryDeadLetter: async ({ id }: RetryDeadLetterRequest) => {
      checkRequired("id", id);
      await kernel.deadLetters.retry(id);
      return {};
    },
    dropDeadLetter: async ({ id }: DropDeadLetterRequest) => {
      checkRequired("id", id);
      await kernel.deadLetters.drop(id);
      return {};
    },
  };
}
