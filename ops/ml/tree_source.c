#include "ops/heap_sort.h"
#include "ops/key_table.h"
#include "ops/ml/features.h"
#include "ops/ml/tree_ensemble.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---------------------------------------------------------------------------------------------------------- numbers */

#define TYPES_TREE (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_DOUBLE) | TYPE_BIT(NORMA_FLOAT16))

static norma_status read_number_tensor(const node *node, const char *name, const norma_tensor *tensor, region *region,
                                       const double **numbers, size_t *count, bool *is_double, norma_error *error) {
  if (!(TYPE_BIT(tensor->type) & TYPES_TREE))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s is of type %s", name,
                         norma_element_type_name(tensor->type));
  *count = (size_t)norma_tensor_count(tensor);
  double *made = region_array(region, *count, sizeof *made);
  if (!made) return region_error(region, error);
  elements_to_double(tensor->type, tensor->data, 0, (int64_t)*count, made);
  if (tensor->type == NORMA_DOUBLE) *is_double = true;
  *numbers = made;
  return NORMA_OK;
}

norma_status tree_read_numbers(const node *node, const char *name, const char *tensor_name, region *region,
                               const double **numbers, size_t *count, bool *is_double, norma_error *error) {
  const float *floats = name ? attribute_floats(node, name, count) : NULL;
  const value *tensor = tensor_name ? attribute_tensor(node, tensor_name) : NULL;
  *numbers = NULL;
  if (!name) *count = 0;
  if (tensor && norma_tensor_count(&tensor->tensor) > 0) {
    if (*count > 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has both %s and %s", name, tensor_name);
    return read_number_tensor(node, tensor_name, &tensor->tensor, region, numbers, count, is_double, error);
  }
  if (*count == 0) return NORMA_OK;
  double *made = region_array(region, *count, sizeof *made);
  if (!made) return region_error(region, error);
  for (size_t i = 0; i < *count; i++) made[i] = (double)floats[i];
  *numbers = made;
  return NORMA_OK;
}

/* A list of integers that has `count` elements. */
static norma_status read_tree_ints(const node *node, const char *name, size_t count, const int64_t **ints,
                                   norma_error *error) {
  size_t given;
  *ints = attribute_ints(node, name, &given);
  if (given == count) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %zu elements, expected %zu", name, given, count);
}

static norma_status read_missing(const node *node, region *region, tree_source *source, norma_error *error) {
  size_t given;
  const int64_t *missing = attribute_ints(node, "nodes_missing_value_tracks_true", &given);
  bool *made = region_array(region, source->nodes, sizeof *made);
  if (!made) return region_error(region, error);
  if (given > source->nodes)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "nodes_missing_value_tracks_true has %zu elements for %zu nodes", given, source->nodes);
  for (size_t i = 0; i < given; i++) made[i] = missing[i] == 1;
  source->missing_true = made;
  return NORMA_OK;
}

static norma_status check_tree_features(const node *node, const tree_source *source, norma_error *error) {
  for (size_t i = 0; i < source->nodes; i++) {
    if (source->features[i] < 0 || source->features[i] > INT32_MAX)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_featureids[%zu] is %" PRId64, i,
                           source->features[i]);
  }
  return NORMA_OK;
}

static norma_status check_targets(const node *node, const tree_source *source, size_t votes, norma_error *error) {
  for (size_t i = 0; i < votes; i++) {
    if (source->targets[i] < 0 || source->targets[i] >= source->target_count)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "target %" PRId64 " is none of %" PRId64,
                           source->targets[i], source->target_count);
  }
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------- versions 1 and 3: node ids */

#define TREE_MODE_LEAF 255

static norma_status read_tree_modes(const node *node, region *region, tree_source *source, norma_error *error) {
  static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"};
  size_t count;
  const norma_string *given = attribute_strings(node, "nodes_modes", &count);
  uint8_t *modes = region_array(region, count, sizeof *modes);
  if (!modes) return region_error(region, error);
  if (count != source->nodes)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_modes has %zu elements, expected %zu", count,
                         source->nodes);
  for (size_t i = 0; i < count; i++) {
    uint8_t mode = 0;
    if (strcmp(given[i].data, "LEAF") == 0)
      mode = TREE_MODE_LEAF;
    else
      while (mode < 6 && strcmp(given[i].data, names[mode]) != 0) mode++;
    if (mode == 6)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_modes[%zu] is '%.40s'", i, given[i].data);
    modes[i] = mode;
  }
  source->modes = modes;
  return NORMA_OK;
}

/* Finds nodes by tree and id. Most models count ids from 0 in each tree, have its nodes one behind the other, and trees
 * in rising order: then a node's place follows from where its tree begins. */
typedef struct tree_index {
  size_t count, runs;
  const int64_t *trees, *ids;
  const size_t *begins; /* of runs of nodes of one tree */
  size_t run;           /* the one found last */
  bool hashed;          /* the order is another: nodes are found by words that mix tree and id */
  key_table table;
} tree_index;

static uint64_t tree_word(int64_t tree, int64_t id) {
  return key_hash_words((uint64_t)tree, (uint64_t)id);
}

static norma_status tree_index_make(const node *node, region *region, tree_index *index, norma_error *error) {
  size_t *begins = region_array(region, index->count, sizeof *begins);
  if (!begins) return region_error(region, error);
  for (size_t i = 0; i < index->count; i++) {
    if (i == 0 || index->trees[i] != index->trees[i - 1]) {
      if (i > 0 && index->trees[i] < index->trees[i - 1]) index->hashed = true;
      begins[index->runs++] = i;
    }
    if (index->ids[i] != (int64_t)(i - begins[index->runs - 1])) index->hashed = true;
  }
  index->begins = begins;
  if (!index->hashed) return NORMA_OK;
  uint64_t *words = region_array(region, index->count, sizeof *words);
  if (!words) return region_error(region, error);
  for (size_t i = 0; i < index->count; i++) words[i] = tree_word(index->trees[i], index->ids[i]);
  TRY(key_table_of_words(&index->table, region, words, index->count, KEY_FIRST, error));
  if (index->table.has_equal)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "a node stands twice in its tree");
  return NORMA_OK;
}

/* Sets `run` to the tree's; false: there is no such tree. */
static bool find_run(tree_index *index, int64_t tree) {
  if (index->runs == 0) return false;
  if (index->trees[index->begins[index->run]] == tree) return true;
  size_t low = 0, high = index->runs;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if (index->trees[index->begins[middle]] <= tree)
      low = middle;
    else
      high = middle;
  }
  index->run = low;
  return index->trees[index->begins[low]] == tree;
}

/* The node's index, or -1. */
static int64_t tree_index_find(tree_index *index, int64_t tree, int64_t id) {
  if (index->hashed) {
    const int64_t found = key_table_find_word(&index->table, tree_word(tree, id));
    return found >= 0 && index->trees[found] == tree && index->ids[found] == id ? found : -1;
  }
  if (id < 0 || id >= (int64_t)index->count || !find_run(index, tree)) return -1;
  const int64_t at = (int64_t)index->begins[index->run] + id;
  return at < (int64_t)index->count && index->trees[at] == tree ? at : -1;
}

/* The first node of each tree. */
static norma_status find_roots(const tree_index *index, const int64_t *refs, region *region, tree_source *source,
                               norma_error *error) {
  int64_t *roots = region_array(region, index->runs, sizeof *roots);
  uint64_t *trees = region_array(region, index->runs, sizeof *trees);
  if (!roots || !trees) return region_error(region, error);
  for (size_t i = 0; i < index->runs; i++) {
    trees[i] = (uint64_t)index->trees[index->begins[i]];
    roots[i] = refs[index->begins[i]];
  }
  source->roots = index->runs;
  source->root_refs = roots;
  if (!index->hashed) return NORMA_OK;
  key_table seen; /* a tree whose nodes stand in several runs is one tree all the same */
  TRY(key_table_of_words(&seen, region, trees, index->runs, KEY_FIRST, error));
  source->roots = 0;
  for (size_t i = 0; i < index->runs; i++) {
    if (key_table_find_word(&seen, trees[i]) == (int64_t)i) roots[source->roots++] = roots[i];
  }
  return NORMA_OK;
}

/* Children by reference. refs[i] is how others refer to node i. */
static norma_status find_children(const node *node, tree_index *index, const int64_t *refs, const char *name,
                                  region *region, const tree_source *source, const int64_t **children,
                                  norma_error *error) {
  const int64_t *ids;
  int64_t *made = region_array(region, source->nodes, sizeof *made);
  if (!made) return region_error(region, error);
  TRY(read_tree_ints(node, name, source->nodes, &ids, error));
  for (size_t i = 0; i < source->nodes; i++) {
    if (source->modes[i] == TREE_MODE_LEAF) continue;
    const int64_t found = tree_index_find(index, index->trees[i], ids[i]);
    if (found < 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s[%zu]: tree %" PRId64 " has no node %" PRId64,
                           name, i, index->trees[i], ids[i]);
    made[i] = refs[found];
  }
  *children = made;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------ versions 1 and 3: votes */

/* The attributes PREFIX_ids and its siblings. */
typedef struct given_votes {
  size_t count;
  const int64_t *trees, *nodes, *targets;
  const double *weights;
} given_votes;

static norma_status read_votes(const node *node, const char *prefix, region *region, tree_source *source,
                               given_votes *votes, norma_error *error) {
  char name[64], tensor_name[64];
  size_t weights;
  snprintf(name, sizeof name, "%s_ids", prefix);
  votes->targets = attribute_ints(node, name, &votes->count);
  snprintf(name, sizeof name, "%s_treeids", prefix);
  TRY(read_tree_ints(node, name, votes->count, &votes->trees, error));
  snprintf(name, sizeof name, "%s_nodeids", prefix);
  TRY(read_tree_ints(node, name, votes->count, &votes->nodes, error));
  snprintf(name, sizeof name, "%s_weights", prefix);
  snprintf(tensor_name, sizeof tensor_name, "%s_weights_as_tensor", prefix);
  TRY(tree_read_numbers(node, name, tensor_name, region, &votes->weights, &weights, &source->is_double, error));
  if (weights == votes->count) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s has %zu elements, expected %zu", name, weights,
                       votes->count);
}

/* Sorts votes by leaf; those that name an inner node, as old converters wrote them, are left out. */
static norma_status collect_votes(const node *node, const char *prefix, tree_index *index, const int64_t *refs,
                                  region *region, tree_source *source, norma_error *error) {
  given_votes votes;
  TRY(read_votes(node, prefix, region, source, &votes, error));
  size_t *first = region_array(region, source->leaves + 2, sizeof *first); /* [leaf + 2] counts; [leaf + 1] is next */
  int64_t *leaves = region_array(region, votes.count, sizeof *leaves);
  int64_t *targets = region_array(region, votes.count, sizeof *targets);
  double *weights = region_array(region, votes.count, sizeof *weights);
  if (!first || !leaves || !targets || !weights) return region_error(region, error);
  for (size_t i = 0; i < votes.count; i++) {
    const int64_t found = tree_index_find(index, votes.trees[i], votes.nodes[i]);
    if (found < 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                           "%s_nodeids[%zu]: tree %" PRId64 " has no node %" PRId64, prefix, i, votes.trees[i],
                           votes.nodes[i]);
    leaves[i] = refs[found] < 0 ? ~refs[found] : -1;
    if (leaves[i] >= 0) first[leaves[i] + 2]++;
  }
  for (size_t i = 0; i < source->leaves; i++) first[i + 2] += first[i + 1];
  for (size_t i = 0; i < votes.count; i++) {
    if (leaves[i] < 0) continue;
    const size_t at = first[leaves[i] + 1]++;
    targets[at] = votes.targets[i];
    weights[at] = votes.weights[i];
  }
  source->leaf_first = first;
  source->targets = targets;
  source->weights = weights;
  return check_targets(node, source, first[source->leaves], error);
}

/* How others refer to each node, and how many are leaves. */
static const int64_t *make_references(region *region, tree_source *source) {
  int64_t *refs = region_array(region, source->nodes, sizeof *refs);
  for (size_t i = 0; refs && i < source->nodes; i++)
    refs[i] = source->modes[i] == TREE_MODE_LEAF ? ~(int64_t)source->leaves++ : (int64_t)i;
  return refs;
}

norma_status tree_source_read(const node *node, const char *prefix, region *region, tree_source *source,
                              norma_error *error) {
  tree_index index = {0};
  size_t thresholds;
  index.ids = attribute_ints(node, "nodes_nodeids", &source->nodes);
  index.count = source->nodes;
  TRY(read_tree_ints(node, "nodes_treeids", source->nodes, &index.trees, error));
  TRY(read_tree_ints(node, "nodes_featureids", source->nodes, &source->features, error));
  TRY(check_tree_features(node, source, error));
  TRY(read_tree_modes(node, region, source, error));
  TRY(tree_read_numbers(node, "nodes_values", "nodes_values_as_tensor", region, &source->thresholds, &thresholds,
                        &source->is_double, error));
  if (thresholds != source->nodes)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_values has %zu elements, expected %zu",
                         thresholds, source->nodes);
  TRY(read_missing(node, region, source, error));
  TRY(tree_index_make(node, region, &index, error));
  const int64_t *refs = make_references(region, source);
  if (!refs) return region_error(region, error);
  TRY(find_children(node, &index, refs, "nodes_truenodeids", region, source, &source->true_refs, error));
  TRY(find_children(node, &index, refs, "nodes_falsenodeids", region, source, &source->false_refs, error));
  TRY(find_roots(&index, refs, region, source, error));
  return collect_votes(node, prefix, &index, refs, region, source, error);
}

/* -------------------------------------------------------------------------------------------------------- version 5 */

static norma_status read_modes_5(const node *node, region *region, tree_source *source, norma_error *error) {
  const value *given = attribute_tensor(node, "nodes_modes");
  const norma_tensor *tensor = &given->tensor;
  if (tensor->type != NORMA_UINT8 || norma_tensor_count(tensor) != (int64_t)source->nodes)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_modes is not %zu elements of uint8",
                         source->nodes);
  uint8_t *modes = region_array(region, source->nodes, sizeof *modes);
  if (!modes) return region_error(region, error);
  for (size_t i = 0; i < source->nodes; i++) {
    modes[i] = ((const uint8_t *)tensor->data)[i];
    if (modes[i] > TREE_MEMBER)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_modes[%zu] is %d", i, modes[i]);
  }
  source->modes = modes;
  return NORMA_OK;
}

/* References from indices of nodes or, where `leafs` says so, of leaves. */
static norma_status read_children_5(const node *node, const char *name, const char *leafs_name, region *region,
                                    const tree_source *source, const int64_t **children, norma_error *error) {
  const int64_t *ids, *leafs;
  TRY(read_tree_ints(node, name, source->nodes, &ids, error));
  TRY(read_tree_ints(node, leafs_name, source->nodes, &leafs, error));
  int64_t *made = region_array(region, source->nodes, sizeof *made);
  if (!made) return region_error(region, error);
  for (size_t i = 0; i < source->nodes; i++) {
    const size_t count = leafs[i] ? source->leaves : source->nodes;
    if (ids[i] < 0 || (uint64_t)ids[i] >= count)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s[%zu] is %" PRId64 ", of %zu", name, i, ids[i],
                           count);
    made[i] = leafs[i] ? ~ids[i] : ids[i];
  }
  *children = made;
  return NORMA_OK;
}

static norma_status read_leaves_5(const node *node, region *region, tree_source *source, norma_error *error) {
  size_t weights;
  source->targets = attribute_ints(node, "leaf_targetids", &source->leaves);
  TRY(tree_read_numbers(node, NULL, "leaf_weights", region, &source->weights, &weights, &source->is_double, error));
  if (weights != source->leaves)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "leaf_weights has %zu elements, expected %zu", weights,
                         source->leaves);
  size_t *first = region_array(region, source->leaves + 1, sizeof *first);
  if (!first) return region_error(region, error);
  for (size_t i = 0; i <= source->leaves; i++) first[i] = i;
  source->leaf_first = first;
  source->target_count = attribute_int(node, "n_targets", 0);
  for (size_t i = 0; i < source->leaves && !node_attribute(node, "n_targets"); i++) {
    if (source->targets[i] >= source->target_count && source->targets[i] < INT32_MAX)
      source->target_count = source->targets[i] + 1;
  }
  return check_targets(node, source, source->leaves, error);
}

static int compare_members(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* membership_values are the sets of the nodes that have one, each ended by a NaN (the last may do without). */
static norma_status read_members(const node *node, region *region, tree_source *source, norma_error *error) {
  const double *given;
  size_t count, at = 0, kept = 0;
  bool has_sets = false;
  TRY(tree_read_numbers(node, NULL, "membership_values", region, &given, &count, &source->is_double, error));
  for (size_t i = 0; i < source->nodes; i++) has_sets = has_sets || source->modes[i] == TREE_MEMBER;
  if (!has_sets) return NORMA_OK;
  size_t *first = region_array(region, source->nodes + 1, sizeof *first);
  double *members = region_array(region, count, sizeof *members);
  if (!first || !members) return region_error(region, error);
  for (size_t i = 0; i < source->nodes; i++) {
    first[i] = kept;
    if (source->modes[i] != TREE_MEMBER) continue;
    if (at >= count)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "membership_values has no set for node %zu", i);
    for (; at < count && !isnan(given[at]); at++) members[kept++] = given[at];
    at++;
    heap_sort(members + first[i], kept - first[i], sizeof *members, compare_members);
  }
  first[source->nodes] = kept;
  source->members = members;
  source->member_first = first;
  return NORMA_OK;
}

norma_status tree_source_read_5(const node *node, region *region, tree_source *source, norma_error *error) {
  size_t thresholds;
  source->features = attribute_ints(node, "nodes_featureids", &source->nodes);
  TRY(check_tree_features(node, source, error));
  TRY(read_modes_5(node, region, source, error));
  TRY(tree_read_numbers(node, NULL, "nodes_splits", region, &source->thresholds, &thresholds, &source->is_double,
                        error));
  if (thresholds != source->nodes)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "nodes_splits has %zu elements, expected %zu",
                         thresholds, source->nodes);
  TRY(read_missing(node, region, source, error));
  TRY(read_leaves_5(node, region, source, error));
  TRY(read_children_5(node, "nodes_truenodeids", "nodes_trueleafs", region, source, &source->true_refs, error));
  TRY(read_children_5(node, "nodes_falsenodeids", "nodes_falseleafs", region, source, &source->false_refs, error));
  source->root_refs = attribute_ints(node, "tree_roots", &source->roots);
  for (size_t i = 0; i < source->roots; i++) {
    if (source->root_refs[i] < 0 || (uint64_t)source->root_refs[i] >= source->nodes)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "tree_roots[%zu] is %" PRId64, i,
                           source->root_refs[i]);
  }
  return read_members(node, region, source, error);
}
