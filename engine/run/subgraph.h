/* Runs of the graphs below nodes (If, Loop, Scan, SequenceMap): behind run_subgraph of ops/operator.h. */
#ifndef ENGINE_RUN_SUBGRAPH_H
#define ENGINE_RUN_SUBGRAPH_H

#include "engine/base/memory.h"

#define SUBGRAPH_BUCKETS 64

/* Plans and frames of subgraphs, a few per subgraph, kept by a session. */
typedef struct subgraph_cache {
  memory *memory;
  bool keep_all;
  struct subgraph_plans *buckets[SUBGRAPH_BUCKETS]; /* by the graph's address */
} subgraph_cache;

void subgraph_cache_free(subgraph_cache *cache);

#endif
