/* Walks over nodes of one kind: part of tree_walk.c. The macros WALK(name), WALK_NODE, WALK_NODES(ensemble), WALK_KEY
 * and WALK_NAN say of which. */

/* One step of WALK_LANES walks at once: at[l] is where walk l stands, in the tree at trees[l], on the row at rows[l].
 * Returns whether any has moved. */
static inline __attribute__((always_inline)) uint32_t
WALK(step)(const WALK_NODE *const trees[WALK_LANES], const WALK_KEY *const rows[WALK_LANES], uint32_t at[WALK_LANES]) {
  uint32_t moved = 0;
  WALK_UNROLL
  for (int l = 0; l < WALK_LANES; l++) {
    const WALK_NODE *node = &trees[l][at[l]];
    const uint32_t next = (uint32_t)node->after - 1 - (uint32_t)(node->key < rows[l][node->feature]);
    moved |= next ^ at[l];
    at[l] = next;
  }
  return moved;
}

/* All walks to their ends, which are at depths least to most. */
static inline __attribute__((always_inline)) void WALK(all)(const WALK_NODE *const trees[WALK_LANES],
                                                            const WALK_KEY *const rows[WALK_LANES], int32_t least,
                                                            int32_t most, uint32_t at[WALK_LANES]) {
  for (int32_t i = 0; i < least; i++) WALK(step)(trees, rows, at);
  for (int32_t i = least; i < most; i++) {
    if (!WALK(step)(trees, rows, at)) return;
  }
}

/* The same for one walk on a row with a NaN. */
static uint32_t WALK(with_nan)(const tree_ensemble *ensemble, const tree *tree, const WALK_NODE *nodes,
                               const WALK_KEY *row) {
  for (uint32_t at = 0;;) {
    const WALK_NODE *node = &nodes[at];
    const WALK_KEY x = row[node->feature];
    const size_t bit = tree->first_node + at;
    const bool other = x == WALK_NAN && (ensemble->nan_bits[bit / 64] >> (bit % 64) & 1);
    if ((uint32_t)node->after - 2 == at) return at;
    at = (uint32_t)node->after - 1 - (uint32_t)(node->key < x && !other);
  }
}

static void WALK(rows)(const tree_ensemble *ensemble, size_t index, const tree_rows *rows, uint32_t *leaves) {
  const tree *tree = &ensemble->tree[index];
  const WALK_NODE *nodes = WALK_NODES(ensemble) + tree->first_node, *trees[WALK_LANES];
  const WALK_KEY *x = rows->keys, *of_lane[WALK_LANES];
  for (int l = 0; l < WALK_LANES; l++) trees[l] = nodes;
  for (int64_t first = 0; first < rows->count; first += WALK_LANES) {
    uint32_t at[WALK_LANES] = {0};
    const int64_t left = rows->count - first;
    for (int64_t l = 0; l < WALK_LANES; l++) /* lanes behind the last row repeat it */
      of_lane[l] = x + (first + (l < left ? l : left - 1)) * rows->stride;
    WALK(all)(trees, of_lane, tree->least_depth, tree->most_depth, at);
    for (int64_t l = 0; l < WALK_LANES && l < left; l++) {
      if (rows->has_nan && rows->has_nan[first + l]) at[l] = WALK(with_nan)(ensemble, tree, nodes, of_lane[l]);
      leaves[first + l] = (uint32_t)(tree->first_leaf + nodes[at[l]].key);
    }
  }
}

static void WALK(trees)(const tree_ensemble *ensemble, size_t first, size_t count, const tree_rows *row,
                        uint32_t *leaves) {
  const WALK_NODE *all = WALK_NODES(ensemble), *trees[WALK_LANES];
  const WALK_KEY *x = row->keys, *of_lane[WALK_LANES];
  const bool has_nan = row->has_nan && row->has_nan[0];
  for (int l = 0; l < WALK_LANES; l++) of_lane[l] = x;
  for (size_t done = 0; done < count; done += WALK_LANES) {
    const tree *tree = &ensemble->tree[first + done];
    const size_t left = count - done;
    uint32_t at[WALK_LANES] = {0};
    int32_t least = INT32_MAX, most = 0;
    for (size_t l = 0; l < WALK_LANES; l++) {
      const size_t mine = l < left ? l : left - 1;
      trees[l] = all + tree[mine].first_node;
      if (tree[mine].least_depth < least) least = tree[mine].least_depth;
      if (tree[mine].most_depth > most) most = tree[mine].most_depth;
    }
    if (!has_nan) WALK(all)(trees, of_lane, least, most, at);
    for (size_t l = 0; l < WALK_LANES && l < left; l++) {
      if (has_nan) at[l] = WALK(with_nan)(ensemble, &tree[l], trees[l], x);
      leaves[done + l] = (uint32_t)(tree[l].first_leaf + trees[l][at[l]].key);
    }
  }
}

#undef WALK
#undef WALK_NODE
#undef WALK_NODES
#undef WALK_KEY
#undef WALK_NAN
