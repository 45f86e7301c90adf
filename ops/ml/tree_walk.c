/* How walks hide their latency: each step waits for a node and for a feature, some 10 cycles from the first-level cache
 * and twice as many from the second, so WALK_LANES walks that know nothing of each other are done in step. */
#include "ops/ml/tree_ensemble.h"

#define WALK_LANES 8
#ifdef __clang__
#define WALK_UNROLL _Pragma("unroll")
#else
#define WALK_UNROLL _Pragma("GCC unroll 16")
#endif

#define WALK(name)           narrow_walk_##name
#define WALK_NODE            tree_node
#define WALK_NODES(ensemble) (ensemble)->narrow
#define WALK_KEY             uint32_t
#define WALK_NAN             TREE_NAN32
#include "ops/ml/tree_walk_template.h"

#define WALK(name)           wide_walk_##name
#define WALK_NODE            tree_node_wide
#define WALK_NODES(ensemble) (ensemble)->wide_nodes
#define WALK_KEY             uint64_t
#define WALK_NAN             TREE_NAN64
#include "ops/ml/tree_walk_template.h"

void tree_walk_rows(const tree_ensemble *ensemble, size_t index, const tree_rows *rows, uint32_t *leaves) {
  (ensemble->wide ? wide_walk_rows : narrow_walk_rows)(ensemble, index, rows, leaves);
}

void tree_walk_trees(const tree_ensemble *ensemble, size_t first, size_t count, const tree_rows *row,
                     uint32_t *leaves) {
  (ensemble->wide ? wide_walk_trees : narrow_walk_trees)(ensemble, first, count, row, leaves);
}
