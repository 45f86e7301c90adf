/* Fetching a large operand ahead: part of kernel_table_isa.c.
 *
 * Weights that do not fit the second-level cache stream through it. Were they waited for where they are used first,
 * memory would be idle during all other uses. So what computes with one block of them fetches the next one meanwhile, a
 * round of one cache line from each of a few streams at a time: several streams use memory better than one. */

enum {
  STREAM_FETCH_STREAMS = 4,
  STREAM_FETCH_LINE = 64,
  STREAM_FETCH_CHUNK = 4 /* steps between looks at the fetch */
};

struct stream_fetch {
  const char *next; /* of the first stream */
  size_t stream;    /* from one stream to the next, in bytes */
  const char *end;  /* of the first stream */
  size_t period;    /* chunks of work between rounds; 0: nothing to fetch */
};

/* `bytes` from `next` on, spread over so many chunks of work. */
INLINE struct stream_fetch stream_fetch_of(const void *next, size_t bytes, size_t chunks) {
  const size_t round = STREAM_FETCH_STREAMS * STREAM_FETCH_LINE, rounds = (bytes + round - 1) / round;
  struct stream_fetch fetch = {.next = next, .stream = rounds * STREAM_FETCH_LINE};
  fetch.end = fetch.next + fetch.stream;
  fetch.period = !rounds ? 0 : rounds < chunks ? chunks / rounds : 1;
  return fetch;
}

INLINE void stream_fetch_round(const char *next, size_t stream) {
  UNROLL
  for (size_t i = 0; i < STREAM_FETCH_STREAMS; i++) __builtin_prefetch(next + i * stream, 0, 2);
}

/* Nothing is fetched twice. */
INLINE void stream_fetch_stop(struct stream_fetch *fetch) {
  if (fetch->next >= fetch->end) fetch->period = 0;
}
