/** The standard function fetch. */
export type Fetch = typeof fetch;

/** Clock and waiting, which tests simulate. */
export interface Runtime {
  /** The wall clock in seconds: a monotonic clock stands still while a process is frozen. */
  now(): number;
  /** Resolves after that many seconds, or when the signal aborts. */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

/** The real clock and timers. */
export const realTime: Runtime = {
  now: () => Date.now() / 1000,
  sleep: (seconds, signal) =>
    new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, seconds * 1000);
      if (signal?.aborted) end();
      else signal?.addEventListener("abort", end);
    }),
};
