import packageFile from "../../package.json" with { type: "json" };

/** Of the product, semantic. */
export const VERSION = packageFile.version;
export const API_VERSION = "caxton.v1";
export const ABI_VERSION = 1;
