/* How walks hide their latency: each step waits for a node and for a feature, some 10 cycles from the second-level cache,
 * so WALK_LANES walks that know nothing of each other are done in step. */
#include "ops/ml/tree_ensemble.h"

#define WALK_LANES 8
#ifdef __clang__
#define WALK_UNROLL _Pragma("unroll")
#else
#define WALK_UNROLL _Pragma("GCC unroll 8")
#endif

static inline float narrow_threshold(uint64_t node) {
  const uint32_t bits = (uint32_t)node;
  float threshold;
  memcpy(&threshold, &bits, sizeof threshold);
  return threshold;
}

static inline uint32_t wide_leaf(double threshold) {
  uint64_t bits;
  memcpy(&bits, &threshold, sizeof bits);
  return (uint32_t)bits;
}

#define WALK(name)           narrow_walk_##name
#define WALK_NODE            uint64_t
#define WALK_NODES(ensemble) (ensemble)->narrow
#define WALK_REAL            float
#define WALK_UNPACK(node, ensemble, threshold, feature, child)                                                         \
  do {                                                                                                                 \
    const uint64_t packed_node = (node);                                                                               \
    const uint32_t high = (uint32_t)(packed_node >> 32);                                                               \
    threshold = narrow_threshold(packed_node);                                                                         \
    feature = high >> (ensemble)->shift;                                                                               \
    child = high & ((UINT32_C(1) << (ensemble)->shift) - 1);                                                           \
  } while (0)
#define WALK_LEAF(node) ((uint32_t)(node)&0x3FFFFF)
#include "ops/ml/tree_walk_template.h"

#define WALK(name)           wide_walk_##name
#define WALK_NODE            tree_node_wide
#define WALK_NODES(ensemble) (ensemble)->wide_nodes
#define WALK_REAL            double
#define WALK_UNPACK(node, ensemble, threshold, feature, child)                                                         \
  do {                                                                                                                 \
    const tree_node_wide *wide_node = &(node);                                                                         \
    threshold = wide_node->threshold;                                                                                  \
    feature = wide_node->feature;                                                                                      \
    child = wide_node->child;                                                                                          \
  } while (0)
#define WALK_LEAF(node) wide_leaf((node).threshold)
#include "ops/ml/tree_walk_template.h"

void tree_walk_rows(const tree_ensemble *ensemble, size_t index, const tree_rows *rows, uint32_t *leaves) {
  (ensemble->wide ? wide_walk_rows : narrow_walk_rows)(ensemble, index, rows, leaves);
}

void tree_walk_trees(const tree_ensemble *ensemble, size_t first, size_t count, const tree_rows *row,
                     uint32_t *leaves) {
  (ensemble->wide ? wide_walk_trees : narrow_walk_trees)(ensemble, first, count, row, leaves);
}
