#include "ops/ml/tree_ensemble.h"

#include <inttypes.h>
#include <math.h>

/* Of one tree: what `after` can say. */
#define MOST_NARROW_NODES ((size_t)UINT16_MAX)
#define MOST_TREE_NODES   ((size_t)1 << 30)

/* What has been found out about each node of the source, for one tree after the other. */
typedef struct tree_builder {
  const node *node;
  const tree_source *source;
  region *work, *region; /* of what goes and of what stays */
  norma_error *error;
  uint32_t *seen; /* by node: 2 * tree + 1 while its children are looked at, 2 * tree + 2 afterwards */
  size_t *stack;
  size_t reached;    /* nodes of all trees, of each as often as trees have it */
  size_t most_nodes; /* that one tree will have */

  tree_ensemble *ensemble;
  tree *trees;
  tree_node *narrow;
  tree_node_wide *wide;
  uint64_t *nan_bits;
  size_t node_count, node_capacity; /* packed ones */
  size_t *leaf_of;                  /* the source's leaf of each packed one */
  size_t leaf_count, leaf_capacity;
  uint32_t *leaf_seen, *leaf_number; /* by the source's leaf: the tree that has it, counted from 1; its number there */
  uint32_t *node_seen, *pair_of;     /* the same of inner nodes; the place of their children */
} tree_builder;

static norma_status builder_no_memory(const tree_builder *builder) {
  return region_error(builder->work, builder->error);
}

/* ------------------------------------------------------------------------------------------------------- validation */

/* Comparisons that a node becomes. */
static size_t comparisons_of(const tree_source *source, size_t index) {
  switch (source->modes[index]) {
  case TREE_EQ:
  case TREE_NEQ:
    return 2;
  case TREE_MEMBER: {
    const size_t members = source->member_first[index + 1] - source->member_first[index];
    return members > 0 ? 2 * members : 1;
  }
  default:
    return 1;
  }
}

static norma_status push_child(tree_builder *builder, int64_t ref, uint32_t open, size_t *depth) {
  if (ref < 0 || builder->seen[ref] == open + 1) return NORMA_OK;
  if (builder->seen[ref] == open)
    return error_at_node(builder->error, NORMA_ERROR_INVALID_MODEL, builder->node,
                         "node %" PRId64 " of a tree is below itself", ref);
  builder->stack[(*depth)++] = (size_t)ref;
  return NORMA_OK;
}

/* Walks over one tree, children after their parents; *comparisons counts what its nodes become. A node is closed when
 * it comes to the top of the stack again. */
static norma_status check_tree(tree_builder *builder, size_t index, size_t *comparisons) {
  const tree_source *source = builder->source;
  const int64_t root = source->root_refs[index];
  const uint32_t open = 2 * (uint32_t)index + 1;
  size_t depth = 0;
  *comparisons = 0;
  if (root >= 0) builder->stack[depth++] = (size_t)root;
  while (depth > 0) {
    const size_t at = builder->stack[depth - 1];
    if (builder->seen[at] == open || builder->seen[at] == open + 1) {
      builder->seen[at] = open + 1;
      depth--;
      continue;
    }
    builder->seen[at] = open;
    *comparisons += comparisons_of(source, at);
    builder->reached++;
    TRY(push_child(builder, source->true_refs[at], open, &depth));
    TRY(push_child(builder, source->false_refs[at], open, &depth));
  }
  return NORMA_OK;
}

/* Counts what all trees become; refuses circles. */
static norma_status check_trees(tree_builder *builder) {
  const tree_source *source = builder->source;
  const size_t most = 8 * source->nodes + ((size_t)1 << 20);
  if (source->roots > INT32_MAX / 2 - 1)
    return error_at_node(builder->error, NORMA_ERROR_UNSUPPORTED, builder->node, "%zu trees are too many",
                         source->roots);
  builder->seen = region_array(builder->work, source->nodes, sizeof *builder->seen);
  /* Each child is pushed once for each parent at most. */
  builder->stack = region_array(builder->work, 2 * source->nodes + 1, sizeof *builder->stack);
  if (!builder->seen || !builder->stack) return builder_no_memory(builder);
  for (size_t i = 0; i < source->roots; i++) {
    size_t comparisons;
    TRY(check_tree(builder, i, &comparisons));
    if (builder->reached > most)
      return error_at_node(builder->error, NORMA_ERROR_UNSUPPORTED, builder->node, "trees share too many nodes");
    const size_t nodes = 2 * comparisons + 1;
    if (nodes > MOST_TREE_NODES)
      return error_at_node(builder->error, NORMA_ERROR_UNSUPPORTED, builder->node, "a tree has %zu nodes", nodes);
    if (nodes > builder->most_nodes) builder->most_nodes = nodes;
    builder->node_capacity += nodes;
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- layout */

/* Chooses narrow or wide nodes. */
static void choose_layout(const tree_builder *builder, tree_ensemble *ensemble) {
  const tree_source *source = builder->source;
  int64_t largest = -1;
  for (size_t i = 0; i < source->nodes; i++) {
    /* Nodes of mode 255 are leaves. */
    if (source->modes[i] <= TREE_MEMBER && source->features[i] > largest) largest = source->features[i];
  }
  ensemble->features = largest + 1;
  ensemble->wide = source->is_double || largest > UINT16_MAX || builder->most_nodes > MOST_NARROW_NODES;
}

static norma_status allocate_ensemble(tree_builder *builder) {
  const tree_source *source = builder->source;
  region *region = builder->region, *work = builder->work;
  const size_t nodes = builder->node_capacity;
  const bool wide = builder->ensemble->wide;
  builder->trees = region_array(region, source->roots, sizeof *builder->trees);
  builder->narrow = region_array(region, wide ? 0 : nodes, sizeof *builder->narrow);
  builder->wide = region_array(region, wide ? nodes : 0, sizeof *builder->wide);
  builder->nan_bits = region_array(region, nodes / 64 + 1, sizeof *builder->nan_bits);
  builder->leaf_of = region_array(work, nodes, sizeof *builder->leaf_of);
  builder->leaf_seen = region_array(work, source->leaves, sizeof *builder->leaf_seen);
  builder->leaf_number = region_array(work, source->leaves, sizeof *builder->leaf_number);
  builder->node_seen = region_array(work, source->nodes, sizeof *builder->node_seen);
  builder->pair_of = region_array(work, source->nodes, sizeof *builder->pair_of);
  const bool good = builder->trees && builder->narrow && builder->wide && builder->nan_bits && builder->leaf_of &&
                    builder->leaf_seen && builder->leaf_number && builder->node_seen && builder->pair_of;
  return good ? NORMA_OK : builder_no_memory(builder);
}

/* ---------------------------------------------------------------------------------------------------------- packing */

/* A record that is still to be written at `slot` of a tree. */
typedef struct tree_task {
  enum { TASK_REFERENCE, TASK_BELOW, TASK_MEMBERS } kind;
  uint32_t slot;
  int64_t ref;          /* REFERENCE; else the index of a node */
  double threshold;     /* BELOW */
  int64_t equal, other; /* BELOW: references for x == threshold, and for x below it */
  size_t low, high;     /* MEMBERS, and BELOW of them: those still to be looked for */
  bool among_members;   /* BELOW: what is below the threshold may be a member from low to high - 1 */
} tree_task;

typedef struct tree_packer {
  tree_builder *builder;
  uint32_t tree; /* counted from 1 */
  size_t base;   /* its first node */
  uint32_t used; /* of its nodes */
  tree_task *tasks;
  size_t pending;
} tree_packer;

/* The largest number below a threshold that is compared as float, or as double; NaN, which nothing is up to, below
 * all. */
static double number_below(const tree_packer *packer, double threshold) {
  if (threshold == -INFINITY) return NAN;
  if (packer->builder->ensemble->wide) return nextafter(threshold, -INFINITY);
  return (double)nextafterf((float)threshold, -INFINITY);
}

/* NaN as a threshold is below all numbers: nothing is up to it. */
static void put_record(const tree_packer *packer, uint32_t slot, double threshold, int64_t feature, uint32_t pair,
                       bool nan_bit) {
  const tree_builder *builder = packer->builder;
  const size_t at = packer->base + slot;
  if (nan_bit) builder->nan_bits[at / 64] |= UINT64_C(1) << (at % 64);
  if (builder->ensemble->wide)
    builder->wide[at] = (tree_node_wide){isnan(threshold) ? 0 : tree_key64(threshold), (uint32_t)feature, pair + 2};
  else
    builder->narrow[at] =
        (tree_node){isnan(threshold) ? 0 : tree_key32((float)threshold), (uint16_t)feature, (uint16_t)(pair + 2)};
}

/* A leaf: its number for a key, and itself as its first child. Who stands on it compares feature 0, which every row
 * has. */
static void put_leaf(const tree_packer *packer, uint32_t slot, int64_t leaf) {
  tree_builder *builder = packer->builder;
  tree *tree = &builder->trees[packer->tree - 1];
  const size_t at = packer->base + slot;
  if (builder->leaf_seen[leaf] != packer->tree) {
    builder->leaf_seen[leaf] = packer->tree;
    builder->leaf_number[leaf] = (uint32_t)(builder->leaf_count - tree->first_leaf);
    builder->leaf_of[builder->leaf_count++] = (size_t)leaf;
  }
  const uint32_t number = builder->leaf_number[leaf];
  if (builder->ensemble->wide)
    builder->wide[at] = (tree_node_wide){.key = number, .after = slot + 2};
  else
    builder->narrow[at] = (tree_node){.key = number, .after = (uint16_t)(slot + 2)};
}

static void push_task(tree_packer *packer, tree_task task) {
  packer->tasks[packer->pending++] = task;
}

static uint32_t take_pair(tree_packer *packer) {
  packer->used += 2;
  return packer->used - 2;
}

/* x == threshold: a record for x <= threshold at `slot`, one for x <= the next number below at its second child. */
static void put_equality(tree_packer *packer, uint32_t slot, uint32_t pair, double threshold, bool nan_bit,
                         tree_task above, tree_task below) {
  const tree_source *source = packer->builder->source;
  put_record(packer, slot, threshold, source->features[below.ref], pair, nan_bit);
  above.slot = pair;
  below.slot = pair + 1;
  below.kind = TASK_BELOW;
  below.threshold = threshold;
  push_task(packer, below);
  push_task(packer, above);
}

static void put_below(tree_packer *packer, const tree_task *task) {
  const tree_source *source = packer->builder->source;
  const uint32_t pair = take_pair(packer);
  put_record(packer, task->slot, number_below(packer, task->threshold), source->features[task->ref], pair, false);
  tree_task lower = {.kind = TASK_REFERENCE, .slot = pair + 1, .ref = task->other};
  if (task->among_members) {
    lower.kind = TASK_MEMBERS;
    lower.ref = task->ref;
    lower.low = task->low;
    lower.high = task->high;
  }
  push_task(packer, lower);
  push_task(packer, (tree_task){.kind = TASK_REFERENCE, .slot = pair, .ref = task->equal});
}

/* Members low .. high - 1 of a node's set, by halves. */
static void put_members(tree_packer *packer, const tree_task *task, uint32_t pair, bool nan_bit) {
  const tree_source *source = packer->builder->source;
  const int64_t index = task->ref;
  const size_t middle = task->low + (task->high - task->low) / 2;
  const tree_task above = {.kind = TASK_MEMBERS, .ref = index, .low = middle + 1, .high = task->high};
  const tree_task below = {
      .ref = index, .equal = source->true_refs[index], .low = task->low, .high = middle, .among_members = true};
  put_equality(packer, task->slot, pair, source->members[middle], nan_bit, above, below);
}

/* An inner node. `is_new`: its children have no place yet. */
static void put_inner(tree_packer *packer, uint32_t slot, int64_t index, uint32_t pair, bool is_new) {
  const tree_source *source = packer->builder->source;
  const bool missing = source->missing_true[index];
  const int64_t when_true = source->true_refs[index], when_false = source->false_refs[index];
  double threshold = source->thresholds[index];
  tree_mode mode = (tree_mode)source->modes[index];
  const size_t pending = packer->pending;
  if (mode == TREE_MEMBER) {
    const size_t low = source->member_first[index], high = source->member_first[index + 1];
    const tree_task set = {.kind = TASK_MEMBERS, .slot = slot, .ref = index, .low = low, .high = high};
    if (low < high) {
      put_members(packer, &set, pair, missing);
      if (!is_new) packer->pending = pending;
      return;
    }
    threshold = NAN;
  }
  if (mode == TREE_EQ || mode == TREE_NEQ) {
    const bool is_equal = mode == TREE_EQ; /* a NaN is not equal to anything, missing or not */
    const tree_task above = {.kind = TASK_REFERENCE, .ref = is_equal ? when_false : when_true};
    const tree_task below = {
        .ref = index, .equal = is_equal ? when_true : when_false, .other = is_equal ? when_false : when_true};
    put_equality(packer, slot, pair, threshold, is_equal && missing, above, below);
    if (!is_new) packer->pending = pending;
    return;
  }
  const bool exchanged = (mode == TREE_GT || mode == TREE_GTE) && !isnan(threshold);
  if (mode == TREE_LT || mode == TREE_GTE) threshold = number_below(packer, threshold);
  put_record(packer, slot, threshold, source->features[index], pair, missing != exchanged);
  if (!is_new) return;
  push_task(packer, (tree_task){.kind = TASK_REFERENCE, .slot = pair + 1, .ref = exchanged ? when_false : when_true});
  push_task(packer, (tree_task){.kind = TASK_REFERENCE, .slot = pair, .ref = exchanged ? when_true : when_false});
}

static void put_reference(tree_packer *packer, uint32_t slot, int64_t ref) {
  tree_builder *builder = packer->builder;
  if (ref < 0) {
    put_leaf(packer, slot, ~ref);
    return;
  }
  const bool is_new = builder->node_seen[ref] != packer->tree;
  if (is_new) {
    builder->node_seen[ref] = packer->tree;
    builder->pair_of[ref] = take_pair(packer);
  }
  put_inner(packer, slot, ref, builder->pair_of[ref], is_new);
}

static void put_task(tree_packer *packer, const tree_task *task) {
  if (task->kind == TASK_REFERENCE)
    put_reference(packer, task->slot, task->ref);
  else if (task->kind == TASK_BELOW)
    put_below(packer, task);
  else if (task->low == task->high)
    put_reference(packer, task->slot, packer->builder->source->false_refs[task->ref]);
  else
    put_members(packer, task, take_pair(packer), false);
}

/* Depth first, so that a parent's first child mostly lies in the cache line behind it. */
static void pack_tree(tree_builder *builder, size_t index, tree_task *tasks) {
  tree_packer packer = {.builder = builder, .tree = (uint32_t)index + 1, .base = builder->node_count, .used = 1};
  builder->trees[index] = (tree){.first_node = builder->node_count, .first_leaf = builder->leaf_count};
  packer.tasks = tasks;
  put_reference(&packer, 0, builder->source->root_refs[index]);
  while (packer.pending > 0) {
    const tree_task task = packer.tasks[--packer.pending];
    put_task(&packer, &task);
  }
  builder->node_count += packer.used;
}

/* Level by level through a tree of `count` nodes, each once: the least depth of a leaf, and the most; the depths of all
 * are added to *depths. `queue` has room for as many numbers. */
static void measure_tree(const tree_builder *builder, size_t index, size_t count, uint32_t *queue, bool *visited,
                         double *depths) {
  const tree_ensemble *ensemble = builder->ensemble;
  tree *tree = &builder->trees[index];
  size_t begin = 0, end = 1;
  int32_t depth = 0;
  bool shares = false;
  memset(visited, 0, count * sizeof *visited);
  tree->least_depth = -1;
  queue[0] = 0;
  for (; begin < end; depth++) {
    for (const size_t level = end; begin < level; begin++) {
      const uint32_t at = queue[begin];
      const size_t place = tree->first_node + at;
      const uint32_t child = (ensemble->wide ? builder->wide[place].after : builder->narrow[place].after) - 2;
      if (child == at) {
        if (tree->least_depth < 0) tree->least_depth = depth;
        tree->most_depth = depth;
        *depths += depth;
      } else if (!visited[child]) {
        visited[child] = true;
        queue[end++] = child;
        queue[end++] = child + 1;
      } else {
        shares = true;
      }
    }
  }
  if (shares) tree->most_depth = (int32_t)count; /* a longer way than the one found may lead to a leaf */
}

static norma_status pack_trees(tree_builder *builder) {
  const size_t most = builder->most_nodes;
  tree_task *tasks = region_array(builder->work, most + 2, sizeof *tasks);
  uint32_t *queue = region_array(builder->work, most, sizeof *queue);
  bool *visited = region_array(builder->work, most, sizeof *visited);
  double depths = 0;
  if (!tasks || !queue || !visited) return builder_no_memory(builder);
  for (size_t i = 0; i < builder->source->roots; i++) {
    const size_t before = builder->node_count;
    pack_tree(builder, i, tasks);
    measure_tree(builder, i, builder->node_count - before, queue, visited, &depths);
  }
  builder->ensemble->mean_depth = builder->leaf_count > 0 ? depths / (double)builder->leaf_count : 0;
  for (size_t i = 0; i <= builder->node_count / 64; i++) {
    if (builder->nan_bits[i]) builder->ensemble->nan_bits = builder->nan_bits;
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ votes */

static tree_votes choose_votes(const tree_builder *builder) {
  const tree_source *source = builder->source;
  bool one = true, all = source->target_count > 1;
  for (size_t i = 0; i < builder->leaf_count && (one || all); i++) {
    const size_t *first = source->leaf_first + builder->leaf_of[i], votes = first[1] - first[0];
    one = one && votes == 1;
    all = all && votes == (size_t)source->target_count;
    for (size_t v = 0; all && v < votes; v++) all = source->targets[first[0] + v] == (int64_t)v;
  }
  return one ? TREE_VOTES_ONE : all ? TREE_VOTES_ALL : TREE_VOTES_SPARSE;
}

/* Whether each target has a tree all whose leaves vote for it. Of sparse votes nothing is said. */
static norma_status find_votes_for_all(tree_builder *builder) {
  const tree_source *source = builder->source;
  tree_ensemble *ensemble = builder->ensemble;
  ensemble->votes_for_all = ensemble->votes == TREE_VOTES_ALL && source->roots > 0;
  if (ensemble->votes != TREE_VOTES_ONE) return NORMA_OK;
  bool *has_tree = region_array(builder->work, (size_t)source->target_count, sizeof *has_tree);
  if (!has_tree) return builder_no_memory(builder);
  int64_t missing = source->target_count;
  for (size_t i = 0; i < source->roots; i++) {
    const size_t begin = builder->trees[i].first_leaf;
    const size_t end = i + 1 < source->roots ? builder->trees[i + 1].first_leaf : builder->leaf_count;
    const int64_t target = source->targets[source->leaf_first[builder->leaf_of[begin]]];
    size_t leaf = begin;
    while (leaf < end && source->targets[source->leaf_first[builder->leaf_of[leaf]]] == target) leaf++;
    if (leaf < end || has_tree[target]) continue;
    has_tree[target] = true;
    missing--;
  }
  ensemble->votes_for_all = missing == 0;
  return NORMA_OK;
}

static norma_status pack_votes(tree_builder *builder) {
  const tree_source *source = builder->source;
  tree_ensemble *ensemble = builder->ensemble;
  region *region = builder->region;
  size_t votes = 0, at = 0;
  bool has_targets = false;
  ensemble->votes = choose_votes(builder);
  for (size_t i = 0; i < builder->leaf_count; i++) {
    const size_t *first = source->leaf_first + builder->leaf_of[i];
    if (!size_add(votes, first[1] - first[0], &votes)) return memory_error(region->memory, SIZE_MAX, builder->error);
    for (size_t v = first[0]; v < first[1]; v++) has_targets = has_targets || source->targets[v] != 0;
  }
  has_targets = has_targets && ensemble->votes != TREE_VOTES_ALL;
  float *floats = region_array(region, ensemble->wide ? 0 : votes, sizeof *floats);
  double *doubles = region_array(region, ensemble->wide ? votes : 0, sizeof *doubles);
  uint32_t *targets = region_array(region, has_targets ? votes : 0, sizeof *targets);
  const bool sparse = ensemble->votes == TREE_VOTES_SPARSE;
  size_t *vote_first = region_array(region, sparse ? builder->leaf_count + 1 : 0, sizeof *vote_first);
  if (!floats || !doubles || !targets || !vote_first) return region_error(region, builder->error);
  for (size_t i = 0; i < builder->leaf_count; i++) {
    const size_t *first = source->leaf_first + builder->leaf_of[i];
    for (size_t v = first[0]; v < first[1]; v++, at++) {
      if (ensemble->wide)
        doubles[at] = source->weights[v];
      else
        floats[at] = (float)source->weights[v];
      if (has_targets) targets[at] = (uint32_t)source->targets[v];
    }
    if (sparse) vote_first[i + 1] = at;
  }
  ensemble->weights = ensemble->wide ? (const void *)doubles : floats;
  ensemble->targets = has_targets ? targets : NULL;
  ensemble->vote_first = sparse ? vote_first : NULL;
  return NORMA_OK;
}

norma_status tree_ensemble_make(const node *node, const tree_source *source, region *region, tree_ensemble *ensemble,
                                norma_error *error) {
  struct region work;
  tree_builder builder = {
      .node = node, .source = source, .work = &work, .region = region, .error = error, .ensemble = ensemble};
  region_init(&work, region->memory);
  norma_status status = check_trees(&builder);
  if (status == NORMA_OK && builder.node_capacity > UINT32_MAX)
    status = error_at_node(error, NORMA_ERROR_UNSUPPORTED, node, "%zu nodes are too many", builder.node_capacity);
  if (status == NORMA_OK) {
    choose_layout(&builder, ensemble);
    status = allocate_ensemble(&builder);
  }
  if (status == NORMA_OK) status = pack_trees(&builder);
  if (status == NORMA_OK) status = pack_votes(&builder);
  if (status == NORMA_OK) status = find_votes_for_all(&builder);
  ensemble->trees = source->roots;
  ensemble->tree = builder.trees;
  ensemble->narrow = builder.narrow;
  ensemble->wide_nodes = builder.wide;
  ensemble->target_count = source->target_count;
  region_free(&work);
  return status;
}
