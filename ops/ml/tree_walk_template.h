/* Walks over nodes of one kind: part of tree_walk.c. The macros WALK(name), WALK_NODE, WALK_REAL, and WALK_UNPACK(node,
 * ensemble, threshold, feature, child) say of which. */

/* One step of LANES walks at once: nodes[l] is where walk l stands, in the tree at trees[l], on the row at rows[l]. Returns
 * whether any has moved. */
static inline __attribute__((always_inline)) uint32_t WALK(step)(const WALK_NODE *const trees[WALK_LANES],
                                                                 const WALK_REAL *const rows[WALK_LANES],
                                                                 const tree_ensemble *ensemble,
                                                                 uint32_t at[WALK_LANES]) {
  uint32_t moved = 0;
  (void)ensemble; /* of wide nodes */
  WALK_UNROLL
  for (int l = 0; l < WALK_LANES; l++) {
    WALK_REAL threshold;
    uint32_t feature, child;
    WALK_UNPACK(trees[l][at[l]], ensemble, threshold, feature, child);
    const uint32_t next = child + (uint32_t)(rows[l][feature] <= threshold);
    moved |= next ^ at[l];
    at[l] = next;
  }
  return moved;
}

static inline __attribute__((always_inline)) void WALK(all)(const WALK_NODE *const trees[WALK_LANES],
                                                            const WALK_REAL *const rows[WALK_LANES],
                                                            const tree_ensemble *ensemble, int32_t sure_steps,
                                                            uint32_t at[WALK_LANES]) {
  for (int32_t i = 0; i < sure_steps; i++) WALK(step)(trees, rows, ensemble, at);
  while (WALK(step)(trees, rows, ensemble, at)) continue;
}

/* The same for one walk on a row with a NaN. */
static uint32_t WALK(with_nan)(const tree_ensemble *ensemble, const tree *tree, const WALK_NODE *nodes,
                               const WALK_REAL *row) {
  uint32_t at = 0;
  for (;;) {
    WALK_REAL threshold;
    uint32_t feature, child;
    WALK_UNPACK(nodes[at], ensemble, threshold, feature, child);
    const size_t bit = tree->first_node + at;
    const bool other = row[feature] != row[feature] && (ensemble->nan_bits[bit / 64] >> (bit % 64) & 1);
    const uint32_t next = child + (uint32_t)(row[feature] <= threshold || other);
    if (next == at || child == at) return at;
    at = next;
  }
}

static void WALK(rows)(const tree_ensemble *ensemble, size_t index, const tree_rows *rows, uint32_t *leaves) {
  const tree *tree = &ensemble->tree[index];
  const WALK_NODE *nodes = WALK_NODES(ensemble) + tree->first_node, *trees[WALK_LANES];
  const WALK_REAL *x = rows->x, *of_lane[WALK_LANES];
  for (int l = 0; l < WALK_LANES; l++) trees[l] = nodes;
  for (int64_t first = 0; first < rows->count; first += WALK_LANES) {
    uint32_t at[WALK_LANES] = {0};
    const int64_t left = rows->count - first;
    for (int64_t l = 0; l < WALK_LANES; l++) /* lanes behind the last row repeat it */
      of_lane[l] = x + (first + (l < left ? l : left - 1)) * rows->stride;
    WALK(all)(trees, of_lane, ensemble, tree->least_depth, at);
    for (int64_t l = 0; l < WALK_LANES && l < left; l++) {
      if (rows->has_nan && rows->has_nan[first + l]) at[l] = WALK(with_nan)(ensemble, tree, nodes, of_lane[l]);
      leaves[first + l] = (uint32_t)(tree->first_leaf + WALK_LEAF(nodes[at[l]]));
    }
  }
}

static void WALK(trees)(const tree_ensemble *ensemble, size_t first, size_t count, const tree_rows *row,
                        uint32_t *leaves) {
  const WALK_NODE *all = WALK_NODES(ensemble), *trees[WALK_LANES];
  const WALK_REAL *x = row->x, *of_lane[WALK_LANES];
  const bool has_nan = row->has_nan && row->has_nan[0];
  for (int l = 0; l < WALK_LANES; l++) of_lane[l] = x;
  for (size_t done = 0; done < count; done += WALK_LANES) {
    const tree *tree = &ensemble->tree[first + done];
    const size_t left = count - done;
    uint32_t at[WALK_LANES] = {0};
    int32_t sure_steps = INT32_MAX;
    for (size_t l = 0; l < WALK_LANES; l++) {
      const size_t mine = l < left ? l : left - 1;
      trees[l] = all + tree[mine].first_node;
      if (tree[mine].least_depth < sure_steps) sure_steps = tree[mine].least_depth;
    }
    if (!has_nan) WALK(all)(trees, of_lane, ensemble, sure_steps, at);
    for (size_t l = 0; l < WALK_LANES && l < left; l++) {
      if (has_nan) at[l] = WALK(with_nan)(ensemble, &tree[l], trees[l], x);
      leaves[done + l] = (uint32_t)(tree[l].first_leaf + WALK_LEAF(trees[l][at[l]]));
    }
  }
}

#undef WALK
#undef WALK_NODE
#undef WALK_NODES
#undef WALK_REAL
#undef WALK_UNPACK
#undef WALK_LEAF
